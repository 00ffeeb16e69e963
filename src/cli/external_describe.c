/* external_describe.c - who a process is and what its limits are, from /proc. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "cli/diag.h"
#include "cli/external.h"
#include "report/self.h"
#include "stack/blame.h"

#define SL_ARGUMENTS_MAX 1024

/* The arguments, NULL-terminated, in the arena; NULL: not to be had. */
static const char *const *read_argv(struct sl_arena *arena, int pid)
{
	size_t n, count = 0;
	char *text = sl_proc_file(pid, "cmdline", &n);
	const char **argv = sl_arena_alloc(arena, (SL_ARGUMENTS_MAX + 1) * sizeof(*argv));
	for (size_t at = 0; text && argv && at < n && count < SL_ARGUMENTS_MAX;
	     at += strlen(text + at) + 1)
		argv[count++] = sl_arena_text(arena, text + at, strlen(text + at));
	free(text);
	return text && argv ? argv : NULL;
}

/* The same words as the library's: argv[0] and, of a JVM, the main class or jar. Command lines carry passwords. */
static void describe_command(struct sl_arena *arena, const struct sl_proc *proc,
                             struct sl_snapshot *s)
{
	char path[SL_PROC_PATH_BYTES], name[SL_PROC_NAME_BYTES + 256];
	const char *const *argv = read_argv(arena, proc->pid);
	const char **kept = sl_arena_alloc(arena, 3 * sizeof(*kept));
	sl_proc_exe(proc->pid, path);
	s->process.is_jvm = sl_proc_has_object(proc->pid, "libjvm.so", NULL) == 1;
	bool is_launcher = s->process.is_jvm && strcmp(proc->name, "java") == 0;
	const char *java_main = is_launcher ? sl_self_java_main(argv) : NULL;
	(void)snprintf(name, sizeof(name), "%s%s%.255s", proc->name, java_main ? " " : "",
	               java_main ? sl_file_name_of(java_main) : "");
	s->process.name = sl_arena_text(arena, name, strlen(name));
	s->process.exe = path[0] ? sl_arena_text(arena, path, strlen(path)) : NULL;
	if (kept && argv && argv[0]) {
		kept[0] = argv[0];
		kept[1] = java_main;
	}
	s->process.argv = kept;
}

/* The number at *at, which moves behind it; SL_UNKNOWN: "unlimited". */
static int64_t take_limit(char **at)
{
	char *end = NULL;
	long long value = strtoll(*at, &end, 10);
	bool is_number = end != *at;
	*at = is_number ? end : *at + strspn(*at, " ") + strlen("unlimited");
	return is_number ? value : SL_UNKNOWN;
}

static void read_nofile(int pid, struct sl_snapshot *s)
{
	static const char label[] = "Max open files";
	size_t n;
	char *limits = sl_proc_file(pid, "limits", &n);
	char *at = limits ? strstr(limits, label) : NULL;
	s->limits.nofile_soft = s->limits.nofile_hard = SL_UNKNOWN;
	if (at) {
		at += sizeof(label) - 1;
		s->limits.nofile_soft = take_limit(&at);
		s->limits.nofile_hard = take_limit(&at);
	}
	free(limits);
}

void sl_external_describe(struct sl_arena *arena, const struct sl_proc *proc,
                          struct sl_snapshot *snapshot)
{
	struct utsname names;
	long range[2];
	snapshot->process.pid = proc->pid;
	snapshot->process.uptime_ms = proc->uptime_ms;
	snapshot->process.started_wall_ms = sl_clock_wall_ms() - proc->uptime_ms;
	if (uname(&names) == 0)
		snapshot->process.hostname =
			sl_arena_text(arena, names.nodename, strlen(names.nodename));
	describe_command(arena, proc, snapshot);
	read_nofile(proc->pid, snapshot);
	snapshot->limits.fds_exhausted_in_ms = snapshot->limits.fds_earliest_ms =
		snapshot->limits.fds_latest_ms = SL_UNKNOWN;
	bool has_range =
		sl_diag_setting(proc->pid, "/proc/sys/net/ipv4/ip_local_port_range", range) == 2;
	snapshot->limits.port_low = has_range ? range[0] : SL_UNKNOWN;
	snapshot->limits.port_high = has_range ? range[1] : SL_UNKNOWN;
}
