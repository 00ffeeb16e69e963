/* format_html.h - a snapshot as one HTML page that stands alone: for a ticket, a mail, a browser with no network.
 *
 * Readable without scripts; they add zoom, search and the choice of light or dark. The page forbids itself every
 * request and every script but its own (Content-Security-Policy), and each string of the snapshot is escaped.
 *
 * Layer: cli. Context: one thread. Locks: none. A failed write stays in the stream's error flag.
 * Errors: out of memory ends the command.
 */
#ifndef SL_CLI_FORMAT_HTML_H
#define SL_CLI_FORMAT_HTML_H

#include <stdio.h>

#include "cli/measure.h"
#include "report/snapshot.h"

/* `measure`: the width of the flame graph, until the reader chooses another; of one that is 0, as SL_MEASURE_AUTO. */
void sl_format_html(FILE *to, const struct sl_snapshot *s, enum sl_measure measure);

#endif
