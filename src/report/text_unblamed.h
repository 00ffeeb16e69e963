/* text_unblamed.h - what the report says of a site none of whose frames is the application's.
 *
 * An async client's own thread, or an interpreter, whose program is in another language than its frames: neither is to
 * blame, and what helps is to know the thread, whose it is, and the peer.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here, if the flush
 * function of the writer is.
 */
#ifndef SL_REPORT_TEXT_UNBLAMED_H
#define SL_REPORT_TEXT_UNBLAMED_H

#include <stdbool.h>

#include "report/snapshot.h"
#include "report/text_line.h"

#define SL_TEXT_UNBLAMED_BYTES 512

/* Has it frames, and none to blame? */
bool sl_text_is_unblamed(const struct sl_snapshot_site *site);

/* 'no frame of the application: thread "I/O dispatcher 1" of httpasyncclient, to 10.0.0.1:80': not escaped, and without the
 * peer, then the number of threads, where that would take more than `columns`. */
void sl_text_unblamed(char text[SL_TEXT_UNBLAMED_BYTES], const struct sl_snapshot_site *site,
                      unsigned columns);

/* The blame, else that, else `none`; what is no blame lies in `text`. */
const char *sl_text_blame(char text[SL_TEXT_UNBLAMED_BYTES], const struct sl_snapshot_site *site,
                          unsigned columns, const char *none);

/* Behind FIX: where to look, or how to see more. */
void sl_text_unblamed_fix(struct sl_text_line *line, const struct sl_snapshot_site *site);

#endif
