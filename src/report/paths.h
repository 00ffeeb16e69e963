/* paths.h - from a path as an option names it to the path of a file of this process.
 *
 * Layer: report. Locks: none. Fork: sl_paths_forked(). errno: untouched.
 */
#ifndef SL_REPORT_PATHS_H
#define SL_REPORT_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#define SL_PATH_BYTES 4096

/* Fill in %p, %e, %h; a forked child's own if it has no %p. NUL-terminated; "" if it does not fit. True: no other process has
 * this path. */
bool sl_paths_expand(const char *path, char *expanded, size_t n);

/* Append ".PID"; "" if it does not fit. */
void sl_paths_add_pid(char *path, size_t n);

void sl_paths_forked(void);

#endif
