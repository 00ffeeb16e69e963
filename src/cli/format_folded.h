/* format_folded.h - a snapshot as folded stacks: one line a site, "outermost;...;innermost COUNT".
 *
 * What flamegraph.pl, inferno and speedscope read. The first frame is the program's name.
 *
 * Layer: cli. Locks: none. Fork: no state. A failed write stays in the stream's error flag.
 */
#ifndef SL_CLI_FORMAT_FOLDED_H
#define SL_CLI_FORMAT_FOLDED_H

#include <stdio.h>

#include "cli/measure.h"
#include "report/snapshot.h"

/* Sites whose count is 0 have no line. Control characters, bytes that are no UTF-8 and semicolons in names are
 * replaced: a name never makes a line or a frame. */
void sl_format_folded(FILE *to, const struct sl_snapshot *s, enum sl_measure measure);

#endif
