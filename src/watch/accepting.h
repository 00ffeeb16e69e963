/* accepting.h - is the program not accepting connections? Pure functions.
 *
 * Layer: watch. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_WATCH_ACCEPTING_H
#define SL_WATCH_ACCEPTING_H

#include <stdbool.h>
#include <stdint.h>

#include "watch/verdict.h"

/* How long a full backlog must stay before it is more than a burst; any backlog, as long as the deadline. */
#define SL_ACCEPTING_FULL_MS 10000u

/* The kernel takes one connection more than the limit says (sk_acceptq_is_full()); from then on it turns clients away. */
static inline bool sl_accepting_is_full(uint64_t backlog, uint64_t limit)
{
	return backlog > limit;
}

/* Connections have waited for `waited_ms`, in which none was accepted. */
static inline bool sl_accepting_is_stalled(uint64_t backlog, uint64_t limit, uint64_t waited_ms,
                                           uint64_t deadline_ms)
{
	uint64_t full_ms = deadline_ms < SL_ACCEPTING_FULL_MS ? deadline_ms : SL_ACCEPTING_FULL_MS;
	if (backlog == 0)
		return false;
	return waited_ms >= (sl_accepting_is_full(backlog, limit) ? full_ms : deadline_ms);
}

/* The verdict of the process, with a listener that stalls. A leak is worse: a program out of fds accepts nothing either. */
static inline enum sl_verdict sl_accepting_verdict(enum sl_verdict so_far, bool is_stalled)
{
	return is_stalled && so_far != SL_VERDICT_LEAK ? SL_VERDICT_NOT_ACCEPTING : so_far;
}

#endif
