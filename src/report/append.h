/* append.h - a file that is appended to, report after report, and belongs to one process.
 *
 * A program that an instrumented one has started has the same options, and so the same path. Two processes never share a file: the
 * first that writes has it for as long as it lives, by a lock (flock(2)) on a descriptor that stays open; the others add
 * their pid. A file that was moved away, by logrotate say, is made anew.
 *
 * Layer: report. Locks: none: each file has its thread, the clerk's. Fork: the child begins with SL_APPEND_NONE. errno: untouched.
 */
#ifndef SL_REPORT_APPEND_H
#define SL_REPORT_APPEND_H

#include <stdbool.h>

#include "report/paths.h"

struct sl_append {
	int fd;        /* open, and locked; -1: none */
	bool is_taken; /* another process had it first */
};

#define SL_APPEND_NONE ((struct sl_append){.fd = -1})

/* Open the file that the option names; its path into `path`, SL_PATH_BYTES. A descriptor, to be given to sl_append_close(), or
 * -errno. Blocks: as long as the file system does, never for a FIFO's reader. */
int sl_append_open(struct sl_append *file, const char *option, char *path);
void sl_append_close(const struct sl_append *file, int fd);

/* Create a file that is not there, with mode=, whatever the umask. */
int sl_append_create(const char *path, int flags);

#endif
