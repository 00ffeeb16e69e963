/* text_next.h - NEXT: what to look at, see advice.h.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here, if the flush
 * function of the writer is.
 */
#ifndef SL_REPORT_TEXT_NEXT_H
#define SL_REPORT_TEXT_NEXT_H

#include <stdbool.h>

#include "base/out.h"
#include "report/snapshot.h"

/* At most `most` lines, the first with the label; nothing where there is no advice. */
void sl_text_next(struct sl_out *out, const struct sl_snapshot *s, unsigned most, bool colour);

#endif
