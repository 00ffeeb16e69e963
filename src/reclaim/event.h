/* event.h - what happened, for the audit trail: made by reclaim/, written by report/.
 *
 * Layer: reclaim. Plain data; strings and ids as in the ledger.
 */
#ifndef SL_RECLAIM_EVENT_H
#define SL_RECLAIM_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "reclaim/ladder.h"
#include "watch/judge.h"

enum sl_event_kind {
	SL_EVENT_STUCK,
	SL_EVENT_RETRACTED, /* was stuck, then the program used or closed it, before we acted */
	SL_EVENT_PROBED,
	SL_EVENT_SHUTDOWN,
	SL_EVENT_APP_REACTED, /* the program closed it itself after our shutdown */
	SL_EVENT_NEUTRALIZED,
	SL_EVENT_CLOSED,
	SL_EVENT_SKIPPED, /* a rung was due, and `spared` says which rule forbade it */
	SL_EVENT_REGRETTED,
	SL_EVENT_STOPPED, /* three regrets within ten minutes: action=report from now on; no connection */
	SL_EVENT_RESCUE, /* a rescue: `count` connections shut down for `peer`; no connection of its own */
	SL_EVENT_PRESSURE, /* a call failed for want of ports or fds: `error`, `peer` where known; no connection */
	SL_EVENT_KEEPALIVE, /* the kernel ended it by the probes of keepalive= */
	SL_EVENT_SET,       /* a user changed an option: `option`; no connection */
	SL_EVENT_REVERTED, /* the time that such a change was for is over: `option`; no connection */
	SL_EVENT_COUNT,
};

/* An option, as a user would write its values. */
struct sl_event_option {
	const char *key;
	const char *was;
	const char *is;
	int64_t uid;    /* who asked; -1: nobody */
	int64_t for_ms; /* how long; < 0: until the process ends */
};

struct sl_event {
	enum sl_event_kind kind;
	int fd;                /* -1: no connection */
	uint64_t cookie;       /* 0: none */
	uint32_t peer;         /* peer id; 0: none */
	uint32_t site;         /* site id, where fd >= 0 */
	int64_t quiet_ms;      /* wall time, as reports say; -1: none */
	enum sl_cause cause;   /* SL_CAUSE_NONE: none */
	enum sl_spared spared; /* skipped only */
	enum sl_rung
		rung; /* skipped: the rung that was due; regretted: the one that had been reached */
	bool is_rescue;                /* shutdown: by a rescue, not by the ladder */
	bool is_dry_run;               /* decided, not done */
	int error;                     /* pressure: EADDRNOTAVAIL, EADDRINUSE, EMFILE, ENFILE */
	uint32_t count;                /* rescue: connections shut down */
	struct sl_event_option option; /* set, reverted */
};

typedef void sl_event_fn(const struct sl_event *event);

#endif
