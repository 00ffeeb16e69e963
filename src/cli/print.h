/* print.h - the writers of the library (base/out.h) into a stdio stream.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_PRINT_H
#define SL_CLI_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/out.h"

#define SL_PRINT_BYTES 8192

/* Holds its buffer: it must not be copied or moved. */
struct sl_print {
	struct sl_out out;
	char bytes[SL_PRINT_BYTES];
};

void sl_print_start(struct sl_print *print, FILE *file);
/* What is left in the buffer. False: not all could be written. */
bool sl_print_end(struct sl_print *print);

/* A name from outside, escaped for the terminal. */
void sl_print_name(FILE *file, const char *name);

/* Columns of a table: the first is left, numbers are to be aligned by the caller's `rights`, a bit a column. `cells` has rows *
 * columns strings; they are escaped. */
void sl_print_table(FILE *file, const char *const *cells, unsigned rows, unsigned columns,
                    unsigned rights);

#endif
