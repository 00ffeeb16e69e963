/* root_file.h - a file as a process sees it, never outside the process's root.
 *
 * Layer: cli. Context: one thread. errno: any.
 */
#ifndef SL_CLI_ROOT_FILE_H
#define SL_CLI_ROOT_FILE_H

#include <stdbool.h>

/* Open a regular file for reading, in the root of process `pid`, or here where that is 0: an absolute link there is one of
 * that root; with may_follow false there may be no link at all. A descriptor, or -errno; what is no regular file is
 * -EINVAL. */
int sl_root_file_open(int pid, const char *path, bool may_follow);

#endif
