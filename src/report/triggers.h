/* triggers.h - when the worker reports, and when it only warns.
 *
 * Layer: report. Locks: none: the worker only. Fork: the child starts anew. errno: untouched.
 */
#ifndef SL_REPORT_TRIGGERS_H
#define SL_REPORT_TRIGGERS_H

#include <stdint.h>

#include "base/arena.h"
#include "report/snapshot.h"
#include "watch/worker.h"

/* One turn of the worker: sweep if it is time to, write every report that is due, warn. Returns the ms to sleep. */
uint64_t sl_triggers_turn(unsigned wanted, const struct sl_pressure *pressure);

/* Gather a snapshot for a client of the control socket. Context: the worker. */
void sl_triggers_snapshot(struct sl_arena *arena, struct sl_snapshot *snapshot);

void sl_triggers_forked(void);

#endif
