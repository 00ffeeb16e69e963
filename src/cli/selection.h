/* selection.h - which processes a verb is about: one by its number, or several by what they are.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_SELECTION_H
#define SL_CLI_SELECTION_H

#include <argp.h>
#include <stdbool.h>

#include "cli/proc.h"

struct sl_selection {
	int pid; /* 0: by the others */
	const char
		*exe; /* glob of the executable's file name, or of its path where it has a slash */
	const char *unit;   /* of systemd: "app.service" or "app" */
	const char *cgroup; /* "/system.slice/app.service" and what is below it */
	bool is_all;
	bool needs_library;
	bool is_sure; /* --yes */
	struct sl_proc *procs;
	unsigned count;
	unsigned lacking; /* that are selected, but do not have the library */
};

/* --exe, --unit, --cgroup, --yes, as argp children take them; the input is a struct sl_selection. */
extern const struct argp sl_selection_argp;

/* Does its line of /proc/PID/cgroup, "0::/system.slice/app.service", lie in this unit or group? Pure. */
bool sl_selection_is_in_unit(const char *line, const char *unit);
bool sl_selection_is_in_cgroup(const char *line, const char *cgroup);

/* One way to select must be given, and not two; else the command ends. Context: ARGP_KEY_END. */
void sl_selection_check(const struct argp_state *state, const struct sl_selection *selection,
                        const char *if_none);

/* Find them. 0; or the exit code, said: no such process, not permitted, none selected. `verb` for the command that would be
 * permitted. */
int sl_selection_find(struct sl_selection *selection, const char *verb);

/* Where several were meant and --yes is not there: prints them and what to do; the exit code, or -1: go on. */
int sl_selection_ask(const struct sl_selection *selection, const char *what);

void sl_selection_free(struct sl_selection *selection);

#endif
