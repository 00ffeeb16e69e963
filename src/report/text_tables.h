/* text_tables.h - the parts of a text report below its eight lines.
 *
 * Each part writes a heading and rows; a part with no row writes nothing.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here,
 * if the flush function of the writer is.
 */
#ifndef SL_REPORT_TEXT_TABLES_H
#define SL_REPORT_TEXT_TABLES_H

#include <stdbool.h>

#include "base/out.h"
#include "report/snapshot.h"

/* Open TCP sockets by state, as `netstat | awk` counts them, and the other kinds. */
void sl_text_tables_states(struct sl_out *out, const struct sl_snapshot *s);

void sl_text_tables_peers(struct sl_out *out, const struct sl_snapshot *s);

void sl_text_tables_listeners(struct sl_out *out, const struct sl_snapshot *s);

/* What we did, and what the program did after all; then what the process is. */
void sl_text_tables_totals(struct sl_out *out, const struct sl_snapshot *s);

#endif
