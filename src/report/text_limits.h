/* text_limits.h - the line RUNS OUT of a text report: of ports or fds, and when.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here,
 * if the flush function of the writer is.
 */
#ifndef SL_REPORT_TEXT_LIMITS_H
#define SL_REPORT_TEXT_LIMITS_H

#include <stdbool.h>

#include "base/out.h"
#include "report/snapshot.h"

/* One line of at most SL_TEXT_COLUMNS. */
void sl_text_limits(struct sl_out *out, const struct sl_snapshot *s, bool colour);

/* It is the fds that have run out, or will first: ports would not help. */
bool sl_text_limits_are_fds(const struct sl_snapshot *s);

/* There are no ports left to somebody, or no fds. */
bool sl_text_limits_are_reached(const struct sl_snapshot *s);

/* Are ports or fds half gone, or sure to be gone within the hour? Then a process is not well, whoever has them. */
bool sl_text_limits_are_near(const struct sl_snapshot *s);

#endif
