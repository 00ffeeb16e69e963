/* regret.h - we were wrong: after we ended a connection the program tried to send on it, or on its number, which we had closed.
 *
 * The hooks note it, the worker draws the consequences: the first regret exempts the site from actions, three within
 * ten minutes stop all actions, loudly.
 *
 * Layer: reclaim. Locks: none. Fork: sl_regret_forked(). errno: untouched.
 */
#ifndef SL_RECLAIM_REGRET_H
#define SL_RECLAIM_REGRET_H

#include <stdbool.h>
#include <stdint.h>

#include "reclaim/event.h"

/* From a hook, at most once for each socket. `head` is the record's as the call began. Async-signal-safe. */
void sl_regret_note(int fd, uint64_t head);
/* The same where we had closed the number, and nothing is there now. */
void sl_regret_note_closed(int fd, uint64_t head);

/* Worker: count what was noted, and draw the consequences. */
void sl_regret_drain(uint64_t now_ms, sl_event_fn *tell);

uint64_t sl_regret_count(void);
/* Three within ten minutes: no action any more. */
bool sl_regret_has_stopped_us(void);

void sl_regret_forked(void);

#endif
