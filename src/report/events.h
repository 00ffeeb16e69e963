/* events.h - the audit trail: each event becomes a line of the file of events=.
 *
 * Lines are gathered in memory and handed to the clerk, which appends them. While it is busy, or the file takes nothing,
 * they wait in a buffer that is bounded; what finds no room there, or in the budget of max_output, is counted, and a
 * line of its own says how many as soon as there is room: {"event":"dropped","count":12}.
 *
 * Layer: report. Locks: none: the worker only. Owner: two buffers, of which the clerk has one at a time.
 * Fork: sl_events_forked(): the child forgets what its parent still has to write. errno: untouched.
 */
#ifndef SL_REPORT_EVENTS_H
#define SL_REPORT_EVENTS_H

#include "reclaim/event.h"

/* Events take at most this share of max_output: a report must still find room. */
#define SL_EVENTS_SHARE_PERCENT 75

/* Gather one line; with events=off nothing. A sl_event_fn. Blocks: some 100 ms at most where the buffer is full, once
 * between two calls of sl_events_flush(). */
void sl_events_tell(const struct sl_event *event);

/* Hand what was gathered to the clerk. Blocks: up to 50 ms for the file, not for a clerk that is busy with something
 * else. Call it at the end of each turn of the worker, and before it waits for anything. */
void sl_events_flush(void);

void sl_events_forked(void);

#endif
