/* html_peers.h - the peers of a page: bars of connections, outbound ones against the ephemeral ports; then listeners.
 *
 * Layer: cli. Context: one thread. Locks: none.
 */
#ifndef SL_CLI_HTML_PEERS_H
#define SL_CLI_HTML_PEERS_H

#include <stdio.h>

#include "report/snapshot.h"

#define SL_HTML_PEERS 40 /* rows of each table; the rest is a number */

void sl_html_peers(FILE *to, const struct sl_snapshot *s);
void sl_html_listeners(FILE *to, const struct sl_snapshot *s);

#endif
