/* suspects.h - connections whose peer has gone: CLOSE_WAIT and dead-but-open, by socket cookie.
 *
 * Owned by the worker, in its own memory. What the kernel said at the last sweep is kept here, so that the next one can
 * tell what moved.
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child forgets them (sl_suspects_forked) and finds them anew.
 * errno: untouched.
 */
#ifndef SL_WATCH_SUSPECTS_H
#define SL_WATCH_SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/fdtable.h"
#include "watch/judge.h"
#include "watch/kernel.h"

/* What has been done about a suspect: plain memory for reclaim/, which alone reads and writes it, but for the time. */
struct sl_suspect_rungs {
	uint64_t since_rung_ms; /* on the action clock; reclaim/ sets it to 0 */
	uint64_t probed_at_ms;  /* 0: not, or the answer has been used */
	int32_t keepalive_on;   /* the program's own settings while a probe is under way */
	int32_t keepalive_idle_s;
	uint32_t spared_said; /* a bit for each enum sl_spared that an event "skipped" has named */
	uint8_t reached;      /* enum sl_rung */
	uint8_t probes_lost;  /* without any answer, one after the other */
	bool was_own_keepalive;
	bool is_probing;
	bool is_error_ours; /* no error was pending when we acted: one that is comes of that */
	bool stuck_said;
	bool is_reclaimed; /* counted as one that we ended */
	bool is_pretended; /* dry_run: `reached` was decided, not done */
	bool keepalive_said;
};

/* A suspect as reclaim/ sees it. */
struct sl_suspect_view {
	struct sl_fd_record record; /* of one of its numbers */
	uint32_t descriptors; /* numbers that it has in this process, as the last sweep met them */
	uint64_t cookie;
	uint64_t action_quiet_ms; /* quiet time on the action clock */
	uint64_t bytes_sent;
	uint64_t fin_at_ms;
	int64_t idle_before_fin_ms; /* -1: not known */
	bool has_unread;            /* but for a lone close_notify */
	bool has_unsent;
	bool has_sent; /* since the FIN: the half-close was in use */
	struct sl_judgement judgement;
	struct sl_suspect_rungs *rungs;
};

/* A suspect as the rest of the worker sees it. */
struct sl_suspicion {
	struct sl_judgement judgement;
	int64_t idle_before_fin_ms; /* -1: not known */
	uint64_t fin_at_ms;
	uint32_t unread_bytes;
	uint32_t unsent_bytes;
	uint8_t rung;   /* enum sl_rung of reclaim/: what was done about it */
	bool is_new;    /* first seen in this sweep */
	bool is_shared; /* a second descriptor of it was met in this sweep */
};

/* Begin a sweep, at this tick: those not met in it are gone at its end. */
void sl_suspects_begin(uint32_t tick);

/* This socket is in CLOSE_WAIT or CLOSE: bring its record up to date and judge it. False: it has gone, or there is no
 * memory: the latter is counted. */
bool sl_suspects_meet(const struct sl_fd_record *record, const struct sl_kernel_tcp *tcp,
                      uint64_t deadline_ms, uint64_t now_ms, struct sl_suspicion *suspicion);

/* This number was neutralized: its suspect goes on, for as long as the program keeps the number. */
void sl_suspects_meet_dead(const struct sl_fd_record *record, uint64_t now_ms);

/* End the sweep: forget those that were not met; the stuck ones among them, that we had not ended, are retracted. */
void sl_suspects_end(void);

/* Calls `each` with every suspect that was met in the last sweep. */
typedef void sl_suspects_view_fn(void *context, const struct sl_suspect_view *view);
void sl_suspects_each(sl_suspects_view_fn *each, void *context);

/* Calls `gone` with each suspect that the last sweep did not meet any more, as it is forgotten. Set once at start. */
void sl_suspects_tell_gone(sl_suspects_view_fn *gone);

/* Calls `each` with the peer id of every suspect in CLOSE_WAIT at the last sweep; 0: peer not known. */
typedef void sl_suspects_each_fn(uint32_t peer);
void sl_suspects_each_close_wait(sl_suspects_each_fn *each);

uint32_t sl_suspects_stuck(void); /* at the end of the last sweep */
uint32_t sl_suspects_close_wait(void);
uint64_t sl_suspects_retracted(void); /* since start */
uint64_t sl_suspects_dropped(void);

/* In a forked child, before its worker starts: what earlier ones told (watch/fates.h, watch/habits.h) is forgotten as well. */
void sl_suspects_forked(void);

#endif
