/* text_head.h - the header of a text report, its verdict line, and the one line of a healthy
 * process.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here,
 * if the flush function of the writer is.
 */
#ifndef SL_REPORT_TEXT_HEAD_H
#define SL_REPORT_TEXT_HEAD_H

#include <stdbool.h>

#include "base/out.h"
#include "report/snapshot.h"

/* Nothing to tell: verdict OK, nothing stuck, no backlog, no call failed for want of ports or fds,
 * nothing dropped or held back, nothing done. */
bool sl_text_head_is_healthy(const struct sl_snapshot *s);

/* Something waits for a close: in CLOSE_WAIT, dead-but-open, or stuck. */
bool sl_text_head_has_suspects(const struct sl_snapshot *s);

/* Connections that we ended, over all sites. */
uint64_t sl_text_head_reclaimed(const struct sl_snapshot *s);
/* Something was done, by the ladder, a rescue or keepalive=. */
bool sl_text_head_has_acted(const struct sl_snapshot *s);

/* Each writes one line of at most SL_TEXT_COLUMNS. */
void sl_text_head(struct sl_out *out, const struct sl_snapshot *s, bool colour);
void sl_text_head_verdict(struct sl_out *out, const struct sl_snapshot *s, bool colour);
void sl_text_head_healthy(struct sl_out *out, const struct sl_snapshot *s, bool colour);

#endif
