/* html_sites.h - the sites of a page, worst first, with their stacks; and, with detail=1, the worst connections.
 *
 * Layer: cli. Context: one thread. Locks: none. Errors: out of memory ends the command.
 */
#ifndef SL_CLI_HTML_SITES_H
#define SL_CLI_HTML_SITES_H

#include <stdio.h>

#include "report/snapshot.h"

#define SL_HTML_SITES 100  /* shown; the rest is a number */
#define SL_HTML_SOCKETS 50 /* the same */

void sl_html_sites(FILE *to, const struct sl_snapshot *s);
/* A section of its own, or nothing where sockets are not listed. */
void sl_html_sockets(FILE *to, const struct sl_snapshot *s);

#endif
