/* top_stack.h - a site on the screen of `sockleak top`: its counts, causes, threads, and its stack with the blame marked.
 *
 * Layer: cli. Context: one thread, the screen is started.
 */
#ifndef SL_CLI_TOP_STACK_H
#define SL_CLI_TOP_STACK_H

#include <stdint.h>

#include "report/snapshot.h"

/* So many rows of it, from line `from` on. */
void sl_top_stack_put(const struct sl_snapshot_site *site, uint32_t from, unsigned row,
                      unsigned rows);

#endif
