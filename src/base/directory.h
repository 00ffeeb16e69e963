/* directory.h - the names in a directory, past libc and without memory of its own.
 *
 * Layer: base. Locks: none. Errors: -errno. Source: getdents64(2), readlink(2). errno: untouched. Async-signal-safe: everything.
 */
#ifndef SL_BASE_DIRECTORY_H
#define SL_BASE_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* To be listed: a descriptor, which the caller closes. `at`: a directory, or AT_FDCWD. */
int sl_directory_open(int at, const char *path);

/* Calls `each` with every name, "." and ".." too, until it says false. 0 or -errno. */
typedef bool sl_directory_each_fn(void *context, int directory, const char *name);
long sl_directory_each(int directory, sl_directory_each_fn *each, void *context);

/* The number that a name begins with, modulo 2^63; -1: it begins with no digit. */
int64_t sl_directory_number(const char *name);

/* Where a symbolic link in it leads, cut to the room there is. -errno: then it is "". */
long sl_directory_link(int directory, const char *name, char *link, size_t room);

#endif
