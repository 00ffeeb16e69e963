/* selection.c - see selection.h. */
#include "cli/selection.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/say.h"

enum { SL_KEY_EXE = 512, SL_KEY_UNIT, SL_KEY_CGROUP, SL_KEY_YES };

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct sl_selection *selection = state->input;
	switch (key) {
	case SL_KEY_EXE:
		selection->exe = argument;
		return 0;
	case SL_KEY_UNIT:
		selection->unit = argument;
		return 0;
	case SL_KEY_CGROUP:
		selection->cgroup = argument;
		return 0;
	case SL_KEY_YES:
		selection->is_sure = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option arguments[] = {
	{NULL, 0, NULL, 0, "In place of a PID, every process of yours (as root, everybody's):", 10},
	{"exe", SL_KEY_EXE, "GLOB", 0, "whose executable has such a file name, or path", 10},
	{"unit", SL_KEY_UNIT, "UNIT", 0, "of this systemd unit", 10},
	{"cgroup", SL_KEY_CGROUP, "PATH", 0, "in this control group, or below it", 10},
	{"yes", SL_KEY_YES, NULL, 0, "do it; without this they are only counted and listed", 10},
	{0},
};
const struct argp sl_selection_argp = {.options = arguments, .parser = take};

bool sl_selection_is_in_unit(const char *line, const char *unit)
{
	size_t n = strlen(unit);
	for (const char *at = strchr(line, '/'); at; at = strchr(at, '/')) {
		at++;
		if (strncmp(at, unit, n) != 0)
			continue;
		const char *rest = at + n;
		if (strncmp(rest, ".service", 8) == 0 && !strchr(unit, '.'))
			rest += 8;
		if (!*rest || *rest == '/' || *rest == '\n')
			return true;
	}
	return false;
}

bool sl_selection_is_in_cgroup(const char *line, const char *cgroup)
{
	const char *path = strchr(line, '/');
	size_t n = strlen(cgroup);
	while (n > 1 && cgroup[n - 1] == '/')
		n--;
	if (!path || strncmp(path, cgroup, n) != 0)
		return false;
	return n == 1 || !path[n] || path[n] == '/' || path[n] == '\n';
}

static bool is_in_groups(const struct sl_selection *selection, int pid)
{
	size_t n;
	char *rest, *all = sl_proc_file(pid, "cgroup", &n);
	bool has_unit = !selection->unit, has_group = !selection->cgroup;
	for (char *line = all ? strtok_r(all, "\n", &rest) : NULL; line;
	     line = strtok_r(NULL, "\n", &rest)) {
		has_unit = has_unit || sl_selection_is_in_unit(line, selection->unit);
		has_group = has_group || sl_selection_is_in_cgroup(line, selection->cgroup);
	}
	free(all);
	return has_unit && has_group;
}

static bool is_meant(struct sl_selection *selection, const struct sl_proc *proc)
{
	char path[SL_PROC_PATH_BYTES];
	if (geteuid() != 0 && proc->uid != getuid())
		return false;
	if (selection->exe && strchr(selection->exe, '/')) {
		sl_proc_exe(proc->pid, path);
		if (fnmatch(selection->exe, path, 0) != 0)
			return false;
	} else if (selection->exe && fnmatch(selection->exe, proc->name, 0) != 0) {
		return false;
	}
	if ((selection->unit || selection->cgroup) && !is_in_groups(selection, proc->pid))
		return false;
	bool is_fit = !selection->needs_library ||
	              sl_proc_has_object(proc->pid, "libsockleak.so", NULL) == 1;
	selection->lacking += !is_fit;
	return is_fit;
}

static bool add(struct sl_selection *selection, const struct sl_proc *proc)
{
	struct sl_proc *more = realloc(selection->procs, (selection->count + 1) * sizeof(*more));
	if (!more)
		return false;
	selection->procs = more;
	selection->procs[selection->count++] = *proc;
	return true;
}

static bool look(void *context, int pid)
{
	struct sl_selection *selection = context;
	struct sl_proc proc;
	if (pid == getpid() || sl_proc_read(pid, &proc) || !is_meant(selection, &proc))
		return true;
	return add(selection, &proc);
}

void sl_selection_check(const struct argp_state *state, const struct sl_selection *selection,
                        const char *if_none)
{
	const char *other = selection->is_all   ? "--all"
	                    : selection->exe    ? "--exe"
	                    : selection->unit   ? "--unit"
	                    : selection->cgroup ? "--cgroup"
	                                        : NULL;
	if (selection->pid && other)
		sl_args_fail(state, "a PID, or %s: not both", other);
	if (!selection->pid && !other)
		sl_args_fail(state, "%s", if_none);
}

static int find_one(struct sl_selection *selection, const char *verb)
{
	struct sl_proc proc;
	int error = sl_proc_read(selection->pid, &proc);
	int has_library = error ? 0 : sl_proc_has_object(selection->pid, "libsockleak.so", NULL);
	if (error || has_library < 0)
		return sl_proc_refuse(selection->pid, error ? error : has_library, verb);
	if (selection->needs_library && !has_library)
		return sl_say(SL_EXIT_NO_LIBRARY,
		              "process %d (%s) does not have the library; from outside: sockleak "
		              "report %d, sockleak "
		              "reap %d; with it: sockleak attach %d, or sockleak run -- CMD",
		              proc.pid, proc.name, proc.pid, proc.pid, proc.pid);
	return add(selection, &proc) ? 0 : sl_say(SL_EXIT_USAGE, "no memory");
}

int sl_selection_find(struct sl_selection *selection, const char *verb)
{
	if (selection->pid)
		return find_one(selection, verb);
	sl_proc_each(look, selection);
	if (selection->count == 0 && selection->lacking)
		return sl_say(SL_EXIT_NO_LIBRARY,
		              "no process with the library is selected, but %u without it: "
		              "'sockleak reap' serves those",
		              selection->lacking);
	if (selection->count == 0)
		return sl_say(SL_EXIT_NO_PROCESS, "no process%s is selected",
		              selection->needs_library ? " with the library" : "");
	if (selection->lacking)
		sl_say_note("%u more do%s not have the library, and %s left out",
		            selection->lacking, selection->lacking == 1 ? "es" : "",
		            selection->lacking == 1 ? "is" : "are");
	return 0;
}

int sl_selection_ask(const struct sl_selection *selection, const char *what)
{
	if (selection->pid || selection->is_sure)
		return -1;
	for (unsigned i = 0; i < selection->count; i++)
		(void)printf("%d  %s\n", selection->procs[i].pid, selection->procs[i].name);
	sl_say_note("%u process%s would be %s; nothing was done: add --yes to do it",
	            selection->count, selection->count == 1 ? "" : "es", what);
	return SL_EXIT_FINE;
}

void sl_selection_free(struct sl_selection *selection)
{
	free(selection->procs);
	selection->procs = NULL;
	selection->count = 0;
}
