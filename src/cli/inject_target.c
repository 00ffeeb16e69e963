/* inject_target.c - see inject_target.h. */
#include "cli/inject_target.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/again.h"
#include "cli/inject_tasks.h"
#include "cli/proc.h"

int sl_target_fail(struct sl_injected *injected, int error, enum sl_exit code, const char *format,
                   ...)
{
	va_list list;
	va_start(list, format);
	(void)vsnprintf(injected->error, sizeof(injected->error), format, list);
	va_end(list);
	injected->code = code;
	return error;
}

const char *sl_target_again(int pid)
{
	static char words[32];
	const char *given = sl_again_words();
	if (strncmp(given, "attach ", 7) == 0 || strncmp(given, "detach ", 7) == 0 ||
	    strcmp(given, "...") == 0) /* too long to be said */
		return given;
	(void)snprintf(words, sizeof(words), "attach %d", pid);
	return words;
}

int sl_target_gone(int pid, struct sl_injected *injected)
{
	return sl_target_fail(injected, -ESRCH, SL_EXIT_NO_PROCESS, "process %d has ended", pid);
}

/* Yama's rule, where there is one: 1 only for parents, 2 only for root, 3 for nobody. */
static int ptrace_scope(void)
{
	int scope = 0;
	FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	if (!file)
		return 0;
	if (fscanf(file, "%d", &scope) != 1)
		scope = 0;
	(void)fclose(file);
	return scope;
}

int sl_target_denied(int pid, struct sl_injected *injected)
{
	const int scope = ptrace_scope();
	if (scope == 3)
		return sl_target_fail(injected, -EPERM, SL_EXIT_DENIED,
		                      "process %d: nobody may attach to a process of this host "
		                      "(kernel.yama.ptrace_scope is 3, until it is started anew)",
		                      pid);
	if (geteuid() == 0)
		return sl_target_fail(
			injected, -EPERM, SL_EXIT_DENIED,
			"process %d: not permitted even to root here (CAP_SYS_PTRACE is missing, "
			"or a "
			"security module forbids it): "
			"from the host this would be: sockleak attach with its pid there",
			pid);
	return sl_target_fail(injected, -EPERM, SL_EXIT_DENIED,
	                      "process %d: not permitted%s; this would be: sudo sockleak %s", pid,
	                      scope ? " (kernel.yama.ptrace_scope)" : "", sl_target_again(pid));
}

struct tracer_search {
	int pid, but, tracer;
};

static bool find_tracer(void *context, int tid)
{
	struct tracer_search *search = context;
	char name[64];
	size_t n;
	if (tid == search->but)
		return true;
	(void)snprintf(name, sizeof(name), "task/%d/status", tid);
	char *status = sl_proc_file(search->pid, name, &n);
	if (status)
		search->tracer = (int)sl_proc_status_number(status, "TracerPid");
	free(status);
	if (search->tracer == getpid())
		search->tracer = 0;
	return search->tracer <= 0;
}

int sl_target_tracer(int pid, int but)
{
	struct tracer_search search = {pid, but, 0};
	if (!sl_tasks_each(pid, find_tracer, &search))
		return -1;
	return search.tracer;
}

void sl_target_close(struct sl_target *target)
{
	if (target->memory >= 0)
		(void)close(target->memory);
	target->memory = -1;
	sl_maps_free(&target->maps);
}
