/* perf_map.h - names for code that was made at run time, from the file that its maker writes for perf: /tmp/perf-PID.map.
 *
 * Python 3.12 and later with -X perf, Node.js with --perf-basic-prof and others write lines "START SIZE NAME", both
 * numbers hexadecimal. Code is thrown away and its place used again: the last line that covers an address names it.
 *
 * The file is looked for in the process's own root, under the pid that it has there. It lies in a folder that anybody
 * can write to: so it is read only where it is a regular file of the process's user or of root, reached through no link,
 * that nobody else may write. Whatever its bytes are, they become a name, or none. The memory taken does not depend on its
 * length; more than SL_PERF_MAP_BYTES are not read.
 *
 * Layer: cli. Context: one thread. errno: any.
 */
#ifndef SL_CLI_PERF_MAP_H
#define SL_CLI_PERF_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "cli/proc.h"

#define SL_PERF_NAME_BYTES 512
#define SL_PERF_MAP_BYTES (1u << 29)

struct sl_perf_place {
	uint64_t address;
	char name[SL_PERF_NAME_BYTES]; /* "": not known. Longer ones are cut */
};

/* Name places, which stand in the order of their addresses. 0; -ENOENT: there is no such file; -EPERM: it is not one to be
 * trusted; or -errno. */
int sl_perf_map_name(const struct sl_proc *proc, struct sl_perf_place *places, size_t n);

/* The same from an open file. Returns 0 or -errno. */
int sl_perf_map_read(int fd, struct sl_perf_place *places, size_t n);

#endif
