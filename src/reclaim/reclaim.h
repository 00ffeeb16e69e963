/* reclaim.h - the ladder at work: after each sweep, what is due is done, longest quiet first, within max_rate.
 *
 * Layer: reclaim. Locks: SL_LOCK_ACTION for the length of one action. Owner: the worker. errno: untouched.
 * Fork: sl_reclaim_forked(): the child starts anew; what was done to its sockets stays marked.
 */
#ifndef SL_RECLAIM_RECLAIM_H
#define SL_RECLAIM_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "reclaim/event.h"
#include "watch/suspects.h"

/* Reserve what actions need among the program's numbers, where there may be some. Before the worker is started, in each process. */
void sl_reclaim_ready(void);

/* Where events go. Called once as the worker starts, in each process. */
void sl_reclaim_start(sl_event_fn *tell);

/* After a sweep. is_late: it came so late that the process may have been stopped: nothing is done then. Returns in how many ms another sweep
 * is wanted; UINT64_MAX: at its usual time. */
uint64_t sl_reclaim_turn(uint64_t now_ms, bool is_late);

/* Did the last turn leave something over that was due: for max_rate=, or because /proc was read a moment ago? */
bool sl_reclaim_is_behind(void);

/* For a while no peer that has acknowledged a probe is asked again, however short deadline_in= is. */
void sl_reclaim_ask_once(bool is_once);

/* Before a report: take note of what the hooks have noted. */
void sl_reclaim_listen(uint64_t now_ms);

/* Tell an event of somebody else's. */
void sl_reclaim_tell(const struct sl_event *event);

/* A connection was shut down for a rescue. */
struct sl_due;
void sl_reclaim_count_shutdown(const struct sl_due *due);
/* The ladder's close of a neutralized number, at once: out of fds. False: it was not possible. */
bool sl_reclaim_close(const struct sl_suspect_view *view);

/* From a hook: a late close() of a number that we had closed. Async-signal-safe. */
void sl_reclaim_absorbed(void);

struct sl_reclaim_counts {
	uint64_t probed, shutdown, neutralized, closed, app_reacted;
	uint64_t regretted, rescued;
	uint64_t ended_by_probe, ended_by_keepalive, absorbed;
};
void sl_reclaim_counts(struct sl_reclaim_counts *counts);

/* The action in force: action=, or report once regrets stopped us. */
enum sl_action sl_reclaim_action(void);
bool sl_reclaim_is_stopped(void);

/* Close what the library keeps among the program's fds for an action. Context: while no worker runs. */
void sl_reclaim_rest(void);

void sl_reclaim_forked(void);

#endif
