/* root_copy.h - a file of ours where a process can load it: at the same path, if that is the same file there, else a copy in its root.
 *
 * The copy belongs to root where we and the process have the same, else to the user of the process, and has a name that nobody can
 * guess. No path leads out of the root of the process,
 * and none of it is a link, so that the loader and /proc/PID/maps name it as we do.
 *
 * Layer: cli. Context: one thread. Source: openat2(2), user_namespaces(7).
 */
#ifndef SL_CLI_ROOT_COPY_H
#define SL_CLI_ROOT_COPY_H

#include <stdbool.h>

#include "cli/proc.h"

struct sl_root_copy {
	char path[SL_PROC_PATH_BYTES]; /* as the process sees it */
	bool is_copy;
	bool is_roots;
	int folder; /* where the copy lies */
	char name[64];
};

/* 0; -EROFS: no folder there takes it; -EPERM: we cannot be the user of the process; or -errno. */
int sl_root_copy_make(const struct sl_proc *proc, const char *file, struct sl_root_copy *copy);
/* Take it away again; nothing where it is none. */
void sl_root_copy_remove(const struct sl_proc *proc, struct sl_root_copy *copy);

#endif
