/* blame_text.h - a guilty frame as the reports and the events name it.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here, if the flush
 * function of the writer is.
 */
#ifndef SL_REPORT_BLAME_TEXT_H
#define SL_REPORT_BLAME_TEXT_H

#include <stdbool.h>

#include "base/out.h"
#include "ledger/sites.h"
#include "stack/frame.h"

/* The frame that is to blame; NULL: none is, or the site has no names yet. */
const struct sl_frame *sl_blame_text_frame(const struct sl_site_frames *named);

/* "Class.method(File.java:11)" or "module+0x12f". */
void sl_blame_text_print(struct sl_out *out, const struct sl_frame *frame);

/* The place to mend, "File.java:11"; false and nothing where no line is known. */
bool sl_blame_text_print_where(struct sl_out *out, const struct sl_frame *frame);

#endif
