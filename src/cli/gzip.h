/* gzip.h - bytes to a stream, as one gzip member.
 *
 * Layer: cli. Locks: none. Fork: no state. A failed write stays in the stream's error flag.
 * Errors: out of memory ends the command.
 */
#ifndef SL_CLI_GZIP_H
#define SL_CLI_GZIP_H

#include <stddef.h>
#include <stdio.h>

void sl_gzip_write(FILE *to, const void *bytes, size_t n);

#endif
