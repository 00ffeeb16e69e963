/* inject_loader.h - what the loader of a process keeps of its objects: the list that debuggers read.
 *
 * Layer: cli. Context: one thread. Source: link.h (struct r_debug, struct link_map), proc(5) (auxv).
 */
#ifndef SL_CLI_INJECT_LOADER_H
#define SL_CLI_INJECT_LOADER_H

#include <stdbool.h>
#include <stdint.h>

/* Is the object with this bias one of the program's own, not of another namespace (dlmopen(3), ld.so's auditors)? True also where the list
 * is not to be read. `view`: a thread of the process, `memory`: its memory. */
bool sl_loader_has(int view, int memory, uint64_t bias);

/* Is the first object whose file name begins so behind libc, and so one that came when the program ran already? What is preloaded stands
 * before it. False also where the list is not to be read. */
bool sl_loader_is_late(int view, int memory, const char *name);

#endif
