/* event_line.h - one event as a line of JSON: docs/events.md says what stands there.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched.
 */
#ifndef SL_REPORT_EVENT_LINE_H
#define SL_REPORT_EVENT_LINE_H

#include "base/out.h"
#include "reclaim/event.h"

/* Every line fits, its newline too: a pipe takes as much in one piece or not at all (PIPE_BUF). */
#define SL_EVENT_LINE_BYTES 8192

/* Context: the worker: it looks into the ledger. */
void sl_event_line(struct sl_out *out, const struct sl_event *event, uint64_t wall_ms);

/* So many lines were lost before this one. */
void sl_event_line_dropped(struct sl_out *out, uint64_t count, uint64_t wall_ms);

#endif
