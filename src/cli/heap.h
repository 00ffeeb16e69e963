/* heap.h - memory of the command, which may end where there is none: a line on stderr and exit code 2.
 *
 * Layer: cli. Context: one thread. Owner: the caller frees.
 */
#ifndef SL_CLI_HEAP_H
#define SL_CLI_HEAP_H

#include <stddef.h>

/* realloc(), of NULL too. */
void *sl_heap_grow(void *memory, size_t bytes);

/* A name from outside as sl_out_terminal() shows it: valid UTF-8 without control characters. NULL gives "". */
char *sl_heap_shown(const char *name);

#endif
