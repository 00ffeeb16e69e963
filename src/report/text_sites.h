/* text_sites.h - the sites of a text report: counts, cause, threads, stack with the blame marked.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here,
 * if the flush function of the writer is.
 */
#ifndef SL_REPORT_TEXT_SITES_H
#define SL_REPORT_TEXT_SITES_H

#include <stdbool.h>

#include "base/out.h"
#include "report/snapshot.h"

/* All of them, worst first, up to SL_TEXT_FULL_SITES, with their whole stacks. */
void sl_text_sites_full(struct sl_out *out, const struct sl_snapshot *s, bool colour);

/* The guilty site, then the worst of those that have something to answer for, SL_TEXT_SHORT_SITES in all, one less where there are lines of what is not well elsewhere: SL_TEXT_SHORT_FRAMES
 * frames each, lines of at most SL_TEXT_COLUMNS. Then one line that says what the short form leaves
 * out. */
void sl_text_sites_short(struct sl_out *out, const struct sl_snapshot *s, bool colour);

#endif
