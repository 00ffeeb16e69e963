/* inject_tasks.h - the threads of a process, as /proc tells of them.
 *
 * Layer: cli. Context: one thread. Source: proc(5).
 */
#ifndef SL_CLI_INJECT_TASKS_H
#define SL_CLI_INJECT_TASKS_H

#include <stdbool.h>

#include "cli/inject_machine.h"

/* Every thread; false from `each` ends it. False: there is no such process. */
typedef bool sl_task_each_fn(void *context, int tid);
bool sl_tasks_each(int pid, sl_task_each_fn *each, void *context);

/* Has it ended, or is it a zombie? */
bool sl_task_is_gone(int tid);

/* Frozen by its cgroup, of version 2? Seen by where in the kernel it sleeps: false also where that is not told. A cgroup of version 1
 * leaves most where they wait, and they stop for nobody. */
bool sl_task_is_frozen(int tid);

enum sl_task_state {
	SL_TASK_GONE,    /* or a zombie */
	SL_TASK_UNKNOWN, /* not told */
	SL_TASK_RUNS,    /* on a processor, or about to */
	SL_TASK_WAITS,   /* in the kernel: `point` says where, but for tls and result */
};
enum sl_task_state sl_task_look(int pid, int tid, struct sl_point *point);

#endif
