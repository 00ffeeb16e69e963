/* doctor_host.c - the host, as far as it bears on the library and the command. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/attach_plan.h"
#include "cli/doctor.h"
#include "cli/preload_check.h"

void sl_doctor_find(struct sl_doctor *doctor, enum sl_doctor_status status, const char *name,
                    const char *advice, const char *format, ...)
{
	struct sl_doctor_finding finding = {.status = status, .name = name};
	va_list list;
	va_start(list, format);
	(void)vsnprintf(finding.detail, sizeof(finding.detail), format, list);
	va_end(list);
	(void)snprintf(finding.advice, sizeof(finding.advice), "%s", advice ? advice : "");
	if (doctor->count < SL_DOCTOR_FINDINGS_MAX)
		doctor->findings[doctor->count++] = finding;
}

static void look_at_kernel(struct sl_doctor *doctor)
{
	struct utsname names;
	unsigned major = 0, minor = 0;
	if (uname(&names) < 0 || sscanf(names.release, "%u.%u", &major, &minor) != 2)
		return;
	if (major > 5 || (major == 5 && minor >= 9))
		sl_doctor_find(doctor, SL_DOCTOR_OK, "kernel", NULL, "%s", names.release);
	else
		sl_doctor_find(doctor, SL_DOCTOR_BAD, "kernel",
		               "Linux 5.9 has close_range(): without it reports go to stderr only, "
		               "and before 5.6 nothing "
		               "can be reaped from outside",
		               "%s", names.release);
}

static void look_at_library(struct sl_doctor *doctor)
{
	char path[SL_PRELOAD_PATH_BYTES];
	if (sl_preload_find_library(path))
		sl_doctor_find(doctor, SL_DOCTOR_OK, "library", NULL, "%s", path);
	else
		sl_doctor_find(
			doctor, SL_DOCTOR_BAD, "library", "run 'make install'",
			"libsockleak.so is neither beside this command nor in ../lib/sockleak");
}

static void look_at_libunwind(struct sl_doctor *doctor)
{
	void *handle = dlopen("libunwind.so.8", RTLD_LAZY | RTLD_LOCAL);
	if (handle)
		sl_doctor_find(doctor, SL_DOCTOR_OK, "libunwind", NULL, "libunwind.so.8 is found");
	else
		sl_doctor_find(
			doctor, SL_DOCTOR_BAD, "libunwind",
			"install it (Debian: libunwind8): without it there are no native stacks",
			"libunwind.so.8 is not found");
	if (handle)
		(void)dlclose(handle);
}

static void look_at_java(struct sl_doctor *doctor)
{
	static struct sl_preload_check check;
	char library[SL_PRELOAD_PATH_BYTES];
	sl_preload_check("java", sl_preload_find_library(library) ? library : "/proc/self/exe",
	                 &check);
	char *real = check.code ? NULL : realpath(check.program, NULL);
	if (check.code == SL_EXIT_NOT_FOUND)
		sl_doctor_find(doctor, SL_DOCTOR_NOTE, "java", NULL, "no java in PATH");
	else if (check.code)
		sl_doctor_find(doctor, SL_DOCTOR_BAD, "java", check.why, "cannot be preloaded");
	else
		sl_doctor_find(doctor, SL_DOCTOR_OK, "java", NULL, "%s",
		               real ? real : check.program);
	free(real);
}

static void look_at_ptrace(struct sl_doctor *doctor)
{
	static const char advice[] =
		"programs without the library can be seen, reaped and attached to as root only; "
		"a Java VM lets its own user attach all the same";
	const int scope = sl_attach_ptrace_scope();
	if (scope > 0 && geteuid() != 0)
		sl_doctor_find(doctor, SL_DOCTOR_NOTE, "ptrace", advice,
		               "kernel.yama.ptrace_scope is %d", scope);
	else if (scope > 2)
		sl_doctor_find(doctor, SL_DOCTOR_BAD, "ptrace",
		               "nothing can be reaped from outside, and nothing but a Java VM "
		               "attached to, until a "
		               "reboot",
		               "kernel.yama.ptrace_scope is %d", scope);
	else
		sl_doctor_find(doctor, SL_DOCTOR_OK, "ptrace", NULL,
		               "kernel.yama.ptrace_scope is %d", scope);
}

static void look_at_limits(struct sl_doctor *doctor)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur <= 1024)
		sl_doctor_find(doctor, SL_DOCTOR_NOTE, "fds",
		               "services with many connections need more (LimitNOFILE=, ulimit -n)",
		               "programs started here get %llu",
		               (unsigned long long)limit.rlim_cur);
	else
		sl_doctor_find(doctor, SL_DOCTOR_OK, "fds", NULL,
		               "programs started here get %llu, at most %llu",
		               (unsigned long long)limit.rlim_cur,
		               (unsigned long long)limit.rlim_max);
}

void sl_doctor_host(struct sl_doctor *doctor)
{
	look_at_kernel(doctor);
	look_at_library(doctor);
	look_at_libunwind(doctor);
	look_at_java(doctor);
	look_at_ptrace(doctor);
	look_at_limits(doctor);
}

enum sl_exit sl_doctor_command(struct sl_doctor *doctor, const char *command)
{
	static struct sl_preload_check check;
	char library[SL_PRELOAD_PATH_BYTES];
	if (!sl_preload_find_library(library))
		return SL_EXIT_NO_LIBRARY; /* told by the host's findings */
	sl_preload_check(command, library, &check);
	if (check.code)
		sl_doctor_find(doctor, SL_DOCTOR_BAD, "preload", check.why,
		               "%s cannot be preloaded", command);
	else if (check.note[0])
		sl_doctor_find(doctor, SL_DOCTOR_NOTE, "preload", check.note, "%s can be preloaded",
		               check.program);
	else
		sl_doctor_find(doctor, SL_DOCTOR_OK, "preload", NULL, "%s can be preloaded",
		               check.program);
	return check.code;
}
