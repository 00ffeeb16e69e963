/* text_done.h - the lines DONE and NOW of a text report: what the ladder did, and what helps at once.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here,
 * if the flush function of the writer is.
 */
#ifndef SL_REPORT_TEXT_DONE_H
#define SL_REPORT_TEXT_DONE_H

#include <stdbool.h>

#include "base/out.h"
#include "report/snapshot.h"

/* Each writes one line of at most SL_TEXT_COLUMNS. */
void sl_text_done(struct sl_out *out, const struct sl_snapshot *s, bool colour);
void sl_text_done_now(struct sl_out *out, const struct sl_snapshot *s, bool colour);

#endif
