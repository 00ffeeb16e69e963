/* doctor_process.c - one process: is the library in it, and if not, why. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "cli/attach_jvm.h"
#include "cli/attach_plan.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/external.h"

#define SL_NEARLY_PERCENT 75

static void find_answer(struct sl_doctor *doctor, const char *version)
{
	bool is_same = version && strcmp(version, SL_VERSION) == 0;
	sl_doctor_find(
		doctor, is_same ? SL_DOCTOR_OK : SL_DOCTOR_NOTE, "control",
		is_same ? NULL
			: "it is served as far as both know it; the next start takes the "
			  "library that is installed",
		is_same ? "its control socket answers"
			: "its control socket answers, of version %.20s; this is " SL_VERSION,
		version ? version : "?");
}

/* Whether the library in the process is of this command's version, and on. */
static void look_at_version(struct sl_doctor *doctor, const struct sl_proc *proc,
                            const struct sl_client_reply *reply)
{
	char advice[64];
	json_t *root = json_loadb(reply->bytes, reply->n, 0, NULL);
	find_answer(doctor, json_string_value(json_object_get(root, "version")));
	(void)snprintf(advice, sizeof(advice), "sockleak set %d enabled=1", proc->pid);
	if (json_is_false(json_object_get(root, "enabled")))
		sl_doctor_find(doctor, SL_DOCTOR_NOTE, "enabled", advice,
		               "the library is switched off: it records and reports nothing");
	json_decref(root);
}

static void look_at_control(struct sl_doctor *doctor, const struct sl_proc *proc)
{
	struct sl_client_reply reply;
	int error = sl_client_ask(proc, "version", SL_CLIENT_PATIENCE_MS, &reply);
	if (error)
		sl_doctor_find(doctor, SL_DOCTOR_NOTE, "control",
		               "'report' sees it from outside only, 'set' cannot reach it; the "
		               "report signal works where it is caught",
		               "%s", sl_client_why(error, &reply));
	else
		look_at_version(doctor, proc, &reply);
	sl_client_free(&reply);
}

/* Can it be brought in without a restart? */
static void look_at_attach(struct sl_doctor *doctor, const struct sl_proc *proc)
{
	static struct sl_attach_plan plan;
	char advice[64];
	(void)snprintf(advice, sizeof(advice), "sockleak attach %d", proc->pid);
	sl_attach_plan(proc, NULL, false, &plan);
	if (plan.refusal.code)
		sl_doctor_find(doctor, SL_DOCTOR_NOTE, "attach", NULL, "not possible: %.480s",
		               plan.refusal.why);
	else if (plan.is_jvm && plan.jvm.major >= SL_JVM_WARNS_FROM)
		sl_doctor_find(doctor, SL_DOCTOR_OK, "attach", advice,
		               "possible, by its Java VM, which will print a warning (Java %s)",
		               plan.jvm.version);
	else
		sl_doctor_find(doctor, SL_DOCTOR_OK, "attach", advice, "possible, by %s",
		               plan.is_jvm ? "its Java VM" : "ptrace");
}

/* It was asked for, and is not there: why? */
static void explain_absence(struct sl_doctor *doctor, const struct sl_proc *proc)
{
	char exe[64];
	char *preload = sl_proc_variable(proc->pid, "LD_PRELOAD");
	bool is_asked = preload && strstr(preload, "libsockleak.so");
	free(preload);
	sl_doctor_find(doctor, is_asked ? SL_DOCTOR_BAD : SL_DOCTOR_NOTE, "instrumented",
	               is_asked ? "the loader has dropped it: the next line may say why; else look "
	                          "for 'cannot be "
	                          "preloaded' in the program's stderr"
	                        : "'report' and 'reap' work from outside; 'sockleak run -- CMD' "
	                          "starts it with the library",
	               "no%s", is_asked ? ", though LD_PRELOAD names it" : "");
	(void)snprintf(exe, sizeof(exe), "/proc/%d/exe", proc->pid);
	(void)sl_doctor_command(doctor, exe);
	look_at_attach(doctor, proc);
}

static void look_at_fds(struct sl_doctor *doctor, const struct sl_snapshot *s)
{
	int64_t used = s->limits.nofile_used, soft = s->limits.nofile_soft;
	if (soft == SL_UNKNOWN || soft <= 0)
		sl_doctor_find(doctor, SL_DOCTOR_OK, "fds", NULL, "%lld in use, no limit",
		               (long long)used);
	else if (used * 100 >= soft * SL_NEARLY_PERCENT)
		sl_doctor_find(
			doctor, SL_DOCTOR_BAD, "fds",
			"prlimit --nofile=N: --pid PID raises the limit of a running process",
			"%lld of %lld in use", (long long)used, (long long)soft);
	else
		sl_doctor_find(doctor, SL_DOCTOR_OK, "fds", NULL, "%lld of %lld in use",
		               (long long)used, (long long)soft);
}

static void look_at_sockets(struct sl_doctor *doctor, const struct sl_proc *proc)
{
	struct sl_arena arena = SL_ARENA(1 << 18, 0);
	struct sl_snapshot s;
	char advice[128];
	int error = sl_external_take(&arena, proc, "", &s);
	if (error) {
		sl_doctor_find(doctor, SL_DOCTOR_BAD, "sockets", "look as its user, or as root",
		               "not to be seen: %s", strerror(-error));
		return;
	}
	look_at_fds(doctor, &s);
	(void)snprintf(advice, sizeof(advice), "sockleak report %d", proc->pid);
	sl_doctor_find(doctor, s.totals.stuck ? SL_DOCTOR_BAD : SL_DOCTOR_OK, "sockets",
	               s.totals.stuck ? advice : NULL,
	               "%llu TCP open, %llu in CLOSE_WAIT, %llu of them quiet for a minute",
	               (unsigned long long)s.totals.open, (unsigned long long)s.totals.close_wait,
	               (unsigned long long)s.totals.stuck);
	sl_arena_free(&arena);
}

void sl_doctor_process(struct sl_doctor *doctor, const struct sl_proc *proc)
{
	char path[SL_PROC_PATH_BYTES];
	int has_library = sl_proc_has_object(proc->pid, "libsockleak.so", path);
	if (has_library == 1) {
		/* What attach has copied into its root is removed once it is loaded. */
		bool is_old = strstr(path, " (deleted)") && !strstr(path, "libsockleak.so.");
		sl_doctor_find(
			doctor, is_old ? SL_DOCTOR_NOTE : SL_DOCTOR_OK, "instrumented",
			is_old ? "the file was replaced since: the next start takes the new one"
			       : NULL,
			"%.400s", path);
		look_at_control(doctor, proc);
	} else if (has_library == 0) {
		explain_absence(doctor, proc);
	} else {
		sl_doctor_find(doctor, SL_DOCTOR_BAD, "instrumented",
		               "look as its user, or as root", "not to be seen");
	}
	if (sl_proc_has_object(proc->pid, "libjvm.so", path) == 1)
		sl_doctor_find(doctor, SL_DOCTOR_OK, "jvm", NULL, "%.400s", path);
	if (has_library == 1)
		sl_doctor_find(doctor, SL_DOCTOR_OK, "libunwind", NULL,
		               sl_proc_has_object(proc->pid, "libunwind.so.8", NULL) == 1
		                       ? "in the process: native stacks are walked"
		                       : "not in the process: it has opened no socket yet, or "
		                         "there are no native stacks");
	look_at_sockets(doctor, proc);
}
