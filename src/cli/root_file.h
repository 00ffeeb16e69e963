/* root_file.h - files as a process sees them, never outside the process's root.
 *
 * Layer: cli. Context: one thread. errno: any. Source: openat2(2).
 */
#ifndef SL_CLI_ROOT_FILE_H
#define SL_CLI_ROOT_FILE_H

#include <stdbool.h>
#include <sys/types.h>

/* Open a regular file for reading, in the root of process `pid`, or here where that is 0: an absolute link there is one of
 * that root; with may_follow false there may be no link at all. A descriptor, or -errno; what is no regular file is
 * -EINVAL. */
int sl_root_file_open(int pid, const char *path, bool may_follow);

/* The root of a process: a folder to look from (O_PATH); or -errno. */
int sl_root_open(int pid);

/* A path below `root`, which is one of sl_root_open(), or a folder in it: links are followed inside of that root only, and the last
 * part may be none where `flags` have O_NOFOLLOW; with may_follow false there may be no link at all. A descriptor, or -errno. */
int sl_root_open_at(int root, const char *path, int flags, mode_t mode, bool may_follow);

#endif
