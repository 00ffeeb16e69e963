/* text_elsewhere.h - what is not well, and is no leak of the program's: a line each, where there is any.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here,
 * if the flush function of the writer is.
 */
#ifndef SL_REPORT_TEXT_ELSEWHERE_H
#define SL_REPORT_TEXT_ELSEWHERE_H

#include <stdbool.h>

#include "base/out.h"
#include "report/snapshot.h"

#define SL_TEXT_ELSEWHERE_ROWS 6 /* more are only counted */

/* An empty line, a heading, and lines of at most SL_TEXT_COLUMNS; nothing where there is nothing to say. */
void sl_text_elsewhere(struct sl_out *out, const struct sl_snapshot *s, bool colour);

/* Is any of it worth more than the one line of a healthy process? */
bool sl_text_elsewhere_is_notable(const struct sl_snapshot *s);

#endif
