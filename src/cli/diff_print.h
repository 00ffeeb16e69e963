/* diff_print.h - a diff as text and as JSON (schema sockleak-diff/1).
 *
 * Layer: cli. Context: one thread. Locks: none. A failed write stays in the stream's error flag.
 */
#ifndef SL_CLI_DIFF_PRINT_H
#define SL_CLI_DIFF_PRINT_H

#include <stdio.h>

#include "cli/diff.h"

#define SL_DIFF_ROWS 20 /* rows of text for sites and for peers; the rest is a number */

void sl_diff_print_text(FILE *to, const struct sl_diff *diff);
void sl_diff_print_json(FILE *to, const struct sl_diff *diff);

#endif
