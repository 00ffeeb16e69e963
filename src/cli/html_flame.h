/* html_flame.h - the flame graph of a page: every site's stack from the outermost frame down, width = connections.
 *
 * Layer: cli. Context: one thread. Locks: none. Errors: out of memory ends the command.
 */
#ifndef SL_CLI_HTML_FLAME_H
#define SL_CLI_HTML_FLAME_H

#include <stdio.h>

#include "cli/measure.h"
#include "report/snapshot.h"

/* Frames under a 2000th of the whole in each measure are left out, and counted in a sentence. */
#define SL_FLAME_PARTS 2000

/* Laid out without a script; src/cli/page.js adds zoom, search and keys. */
void sl_html_flame(FILE *to, const struct sl_snapshot *s, enum sl_measure measure);

#endif
