/* inject_tasks.c - see inject_tasks.h. */
#include "cli/inject_tasks.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/proc.h"

bool sl_tasks_each(int pid, sl_task_each_fn *each, void *context)
{
	char path[64];
	struct dirent *entry;
	int tid;
	bool goes_on = true;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *directory = opendir(path);
	if (!directory)
		return false;
	while (goes_on && (entry = readdir(directory)))
		if (sl_args_read_pid(entry->d_name, &tid))
			goes_on = each(context, tid);
	(void)closedir(directory);
	return true;
}

bool sl_task_is_gone(int tid)
{
	size_t n;
	char *status = sl_proc_file(tid, "status", &n);
	const char *state = status ? sl_proc_status_value(status, "State") : NULL;
	const bool is_gone = !state || *state == 'Z' || *state == 'X';
	free(status);
	return is_gone;
}

/* In some kernels do_freezer_trap() is a part of get_signal(), where nobody else sleeps but who is stopped. */
bool sl_task_is_frozen(int tid)
{
	size_t n;
	char *place = sl_proc_file(tid, "wchan", &n);
	char *status = place ? sl_proc_file(tid, "status", &n) : NULL;
	const char *state = status ? sl_proc_status_value(status, "State") : NULL;
	const bool is_it = state && (strcmp(place, "do_freezer_trap") == 0 ||
	                             (*state == 'S' && strcmp(place, "get_signal") == 0));
	free(status);
	free(place);
	return is_it;
}

enum sl_task_state sl_task_look(int pid, int tid, struct sl_point *point)
{
	char name[64];
	size_t n;
	uint64_t *in = point->arguments;
	*point = (struct sl_point){.call = -1};
	(void)snprintf(name, sizeof(name), "task/%d/syscall", tid);
	char *text = sl_proc_file(pid, name, &n);
	if (!text)
		return SL_TASK_UNKNOWN;
	enum sl_task_state state = SL_TASK_UNKNOWN;
	if (n == 0) {
		state = SL_TASK_GONE;
	} else if (strncmp(text, "running", 7) == 0) {
		state = SL_TASK_RUNS;
	} else if (sscanf(text,
	                  "%" SCNd64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
	                  " %" SCNx64 " %" SCNx64 " %" SCNx64,
	                  &point->call, &in[0], &in[1], &in[2], &in[3], &in[4], &in[5], &point->sp,
	                  &point->pc) == 9) {
		state = SL_TASK_WAITS;
	} else if (sscanf(text, "-1 %" SCNx64 " %" SCNx64, &point->sp, &point->pc) == 2) {
		point->call = -1;
		state = SL_TASK_WAITS;
	}
	free(text);
	return state;
}
