/* ladder.h - what may be done about one connection, now: a pure function.
 *
 * probe -> shutdown -> neutralize -> close, each only if the one before did not end the connection and the program did
 * not react within `grace`, and none above the option action=.
 *
 * Layer: reclaim. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 * Units: *_ms; quiet_ms is on the action clock.
 */
#ifndef SL_RECLAIM_LADDER_H
#define SL_RECLAIM_LADDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "ledger/kinds.h"
#include "watch/judge.h"

enum sl_rung {
	SL_RUNG_NONE,
	SL_RUNG_PROBE,
	SL_RUNG_SHUTDOWN,
	SL_RUNG_NEUTRALIZE,
	SL_RUNG_CLOSE,
	SL_RUNG_COUNT,
};

/* Why a connection is left alone: the word of the event "skipped". */
enum sl_spared {
	SL_SPARED_NOT,
	SL_SPARED_NOT_DUE,         /* not stuck, or within grace: no event */
	SL_SPARED_SIDE,            /* side= does not cover its direction */
	SL_SPARED_RULE,            /* only= or never= */
	SL_SPARED_ADOPTED,         /* not seen open: at most shut down */
	SL_SPARED_REGRET,          /* an action at its site was wrong before */
	SL_SPARED_CAUSE,           /* inbound, and the program did not ignore an end of file */
	SL_SPARED_SHARED,          /* another process has it too */
	SL_SPARED_SHARING_UNKNOWN, /* ... or may have: its fds cannot be read */
	SL_SPARED_UNREAD,          /* bytes wait unread: no further than shutdown */
	SL_SPARED_ERROR_PENDING,   /* an error that the program has not seen yet */
	SL_SPARED_EPOLL,           /* a registration would be left spinning */
	SL_SPARED_PEER_WAITS,      /* the probe was acknowledged by an inbound peer */
	SL_SPARED_STDIO, /* a FILE writes to it past the hooks, and SIGPIPE would end the program */
	SL_SPARED_NUMBERS,  /* it has more numbers in this process than can be held at once */
	SL_SPARED_INTENDED, /* the program says that it is to stay as it is */
	SL_SPARED_BUSY, /* the program is in a call on it, or used it a moment ago: looked at again */
	SL_SPARED_COUNT,
};

enum sl_sharing_answer {
	SL_SHARING_NONE,
	SL_SHARING_UNKNOWN,
	SL_SHARING_SHARED,
};

/* All that is known of one suspect. */
struct sl_case {
	enum sl_direction direction;
	enum sl_cause cause;
	bool is_close_wait;
	bool is_dead;
	bool is_adopted;
	bool is_covered;  /* by only=, and not by never= */
	bool is_intended; /* the program says that it is to stay as it is */
	bool is_exempt;   /* its site had a regret */
	bool has_unread;  /* bytes other than a lone close_notify */
	bool has_unsent;  /* still moving */
	bool has_pending_error;
	bool is_in_epoll;
	bool is_level_triggered; /* in an epoll set, and would spin there */
	bool is_behind_stdio;    /* a FILE writes to it, and SIGPIPE is not ignored */
	bool read_last;          /* the program read last and has not written since */
	bool probe_sent;
	bool is_probe_pending; /* the answer may still come */
	bool probe_answered;   /* the peer acknowledged: it still knows the connection */
	enum sl_sharing_answer sharing;
	enum sl_rung reached; /* the highest rung taken so far */
	uint64_t quiet_ms;
	uint64_t since_rung_ms; /* since `reached` was taken */
};

/* What to do, or why not. */
struct sl_decision {
	enum sl_rung rung; /* SL_RUNG_NONE: nothing */
	enum sl_rung due;  /* what would have been done */
	enum sl_spared spared;
};

void sl_ladder_decide(const struct sl_case *known, const struct sl_options *options,
                      struct sl_decision *decision);

/* May a rescue shut it down? It takes no probe first: there is no time. */
enum sl_spared sl_ladder_may_rescue(const struct sl_case *known, const struct sl_options *options);

/* Is it worth asking the costly questions (sharing, epoll) about this one? Same rules, cheap facts only. */
bool sl_ladder_is_due(const struct sl_case *known, const struct sl_options *options);

#endif
