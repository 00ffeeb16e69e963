/* html_ages.h - how long connections have been in CLOSE_WAIT.
 *
 * Where sockets are listed (detail=1) a histogram of all; else only the oldest of each site is known, and said so.
 *
 * Layer: cli. Context: one thread. Locks: none.
 */
#ifndef SL_CLI_HTML_AGES_H
#define SL_CLI_HTML_AGES_H

#include <stdio.h>

#include "report/snapshot.h"

#define SL_HTML_OLDEST 10 /* sites shown where only their oldest is known */

void sl_html_ages(FILE *to, const struct sl_snapshot *s);

#endif
