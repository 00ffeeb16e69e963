/* inject_refuse.c - who cannot be helped, told from /proc before anything is touched; see inject_target.h. */
#include "cli/inject_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/elf_file.h"
#include "cli/heap.h"
#include "cli/inject_odd.h"
#include "cli/inject_tasks.h"
#include "cli/proc.h"

#define SL_LINK_BYTES 64
#define SL_SECCOMP_STRICT 1
#define SL_FROM_OUTSIDE "'sockleak report %d' and 'sockleak reap %d' work on it from outside"

static char state_of(const char *status)
{
	const char *state = sl_proc_status_value(status, "State");
	return state ? *state : 'X';
}

/* The first thread that has not ended. */
static bool find_view(void *context, int tid)
{
	struct sl_target *target = context;
	if (!sl_task_is_gone(tid))
		target->view = tid;
	return !target->view;
}

bool sl_target_find_view(struct sl_target *target)
{
	target->view = 0;
	(void)sl_tasks_each(target->pid, find_view, target);
	return target->view != 0;
}

/* Before Linux 6.8 it is not told; all of them are children of the second process. */
static bool is_kernel(int pid, const char *status)
{
	const long told = sl_proc_status_number(status, "Kthread");
	if (told >= 0)
		return told == 1;
	return !sl_proc_status_value(status, "VmSize") &&
	       (pid == 2 || sl_proc_status_number(status, "PPid") == 2);
}

static int refuse_state(struct sl_target *target, const char *status, struct sl_injected *injected)
{
	const int pid = target->pid;
	if (sl_proc_status_number(status, "Tgid") != pid)
		return sl_target_fail(injected, -ESRCH, SL_EXIT_NO_PROCESS, "no process %d", pid);
	if (!sl_target_find_view(target))
		return sl_target_fail(injected, -ESRCH, SL_EXIT_NO_PROCESS,
		                      "process %d is a zombie: it has ended, and its parent has "
		                      "not looked",
		                      pid);
	if (is_kernel(pid, status))
		return sl_target_fail(injected, -ENXIO, SL_EXIT_NO_LIBRARY,
		                      "process %d is a thread of the kernel", pid);
	return 0;
}

/* What is changed in its memory is changed in its parent's, which would be left with a library that belongs to a process that has gone. */
static int refuse_shared_memory(struct sl_target *target, const char *status,
                                struct sl_injected *injected)
{
	const int parent = (int)sl_proc_status_number(status, "PPid");
	if (parent <= 0 || !sl_task_shares_memory(target->view, parent))
		return 0;
	return sl_target_fail(injected, -EBUSY, SL_EXIT_DENIED,
	                      "process %d shares its memory with process %d, which has begun it by "
	                      "vfork() and waits until it becomes another program; for that one "
	                      "this would be: sockleak attach %d",
	                      target->pid, parent, parent);
}

static int refuse_tracer(struct sl_target *target, struct sl_injected *injected)
{
	size_t n;
	const int tracer = sl_target_tracer(target->pid, 0);
	if (tracer == 0)
		return 0;
	if (tracer < 0)
		return sl_target_gone(target->pid, injected);
	char *name = sl_proc_file(tracer, "comm", &n);
	if (name)
		name[strcspn(name, "\n")] = 0;
	char *shown = sl_heap_shown(name ? name : "?");
	const int error = sl_target_fail(injected, -EPERM, SL_EXIT_DENIED,
	                                 "process %d is traced already, by %s (pid %d): once that "
	                                 "has let go, this would be: sockleak %s",
	                                 target->pid, shown, tracer, sl_target_again(target->pid));
	free(shown);
	free(name);
	return error;
}

static int refuse_program(struct sl_target *target, struct sl_injected *injected)
{
	char path[64], machine[32];
	struct sl_elf_file elf;
	const int pid = target->pid;
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", target->view);
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? sl_target_denied(pid, injected)
		                                         : sl_target_gone(pid, injected);
	const int error = sl_elf_file_read(fd, &elf);
	(void)close(fd);
	if (error)
		return sl_target_fail(injected, -ENOTSUP, SL_EXIT_NO_LIBRARY,
		                      "process %d: its program cannot be read: %s", pid,
		                      strerror(-error));
	target->is_dynamic = elf.interpreter[0] != 0;
	sl_elf_file_machine(&elf, machine, sizeof(machine));
	if (!elf.is_64 || !elf.is_little_endian || !sl_machine_is_ours(elf.machine))
		return sl_target_fail(injected, -ENOTSUP, SL_EXIT_NO_LIBRARY,
		                      "process %d is a %s-bit program for %s: a library is brought "
		                      "into 64-bit ones for x86-64 only; " SL_FROM_OUTSIDE,
		                      pid, elf.is_64 ? "64" : "32", machine, pid, pid);
	if (strstr(elf.interpreter, "ld-musl"))
		return sl_target_fail(
			injected, -ENOTSUP, SL_EXIT_NO_LIBRARY,
			"process %d uses musl, the library needs glibc; " SL_FROM_OUTSIDE, pid, pid,
			pid);
	if (elf.is_go)
		return sl_target_fail(injected, -ENOTSUP, SL_EXIT_NO_LIBRARY,
		                      "process %d is a Go program, which calls the kernel itself: "
		                      "nothing in it could be taken over; " SL_FROM_OUTSIDE,
		                      pid, pid, pid);
	return 0;
}

static bool read_link(const char *path, char text[SL_LINK_BYTES])
{
	const ssize_t n = readlink(path, text, SL_LINK_BYTES - 1);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* The pid namespace of a process, as text. */
static bool read_namespace(int pid, char text[SL_LINK_BYTES])
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return read_link(path, text);
}

/* Is it in there? Another user does not show it; but in our own namespace the first process is the one with the number 1. */
static bool is_in_namespace(int pid, const char *namespace)
{
	char its[SL_LINK_BYTES];
	return (read_namespace(pid, its) || (pid == 1 && read_link("/proc/self/ns/pid", its))) &&
	       strcmp(its, namespace) == 0;
}

struct init_search {
	char namespace[SL_LINK_BYTES];
	long filters;
};

/* Is it the first process of the namespace? */
static bool find_init(void *context, int pid)
{
	struct init_search *search = context;
	struct sl_proc proc;
	size_t n;
	if (sl_proc_read(pid, &proc) < 0 || proc.inner_pid != 1 ||
	    !is_in_namespace(pid, search->namespace))
		return true;
	char *status = sl_proc_file(pid, "status", &n);
	if (status)
		search->filters = sl_proc_status_number(status, "Seccomp_filters");
	free(status);
	return false;
}

/* Of all threads, since each may have its own, and a door would lead it to calls that it may not make. */
struct sandbox {
	int pid;
	int tid; /* the one with the narrowest */
	long mode, filters;
};

static bool find_sandbox(void *context, int tid)
{
	struct sandbox *sandbox = context;
	size_t n;
	char name[64];
	(void)snprintf(name, sizeof(name), "task/%d/status", tid);
	char *status = sl_proc_file(sandbox->pid, name, &n);
	const long mode = status ? sl_proc_status_number(status, "Seccomp") : 0;
	long filters = status ? sl_proc_status_number(status, "Seccomp_filters") : 0;
	free(status);
	if (filters < 0) /* before Linux 5.9 */
		filters = mode > 0;
	const bool is_strict = mode == SL_SECCOMP_STRICT;
	if (is_strict || (mode > 0 && filters > sandbox->filters))
		*sandbox = (struct sandbox){sandbox->pid, tid, mode, filters};
	return !is_strict;
}

/* A container's own filter, which all of its processes have, lets pass what any program does. */
static int refuse_sandbox(const struct sl_injection *injection, struct sl_target *target,
                          struct sl_injected *injected)
{
	char who[64] = "";
	struct init_search search = {.filters = 0};
	struct sandbox sandbox = {.pid = target->pid};
	(void)sl_tasks_each(target->pid, find_sandbox, &sandbox);
	if (sandbox.tid != target->view)
		(void)snprintf(who, sizeof(who), "thread %d of ", sandbox.tid);
	if (sandbox.mode == SL_SECCOMP_STRICT)
		return sl_target_fail(
			injected, -EPERM, SL_EXIT_DENIED,
			"%sprocess %d is in seccomp's strict mode: the first system call "
			"of a library would kill it; " SL_FROM_OUTSIDE,
			who, target->pid, target->pid, target->pid);
	if (sandbox.mode <= 0 || injection->is_forced)
		return 0;
	if (read_namespace(target->view, search.namespace))
		sl_proc_each(find_init, &search);
	if (sandbox.filters <= search.filters)
		return 0;
	return sl_target_fail(injected, -EPERM, SL_EXIT_DENIED,
	                      "%sprocess %d has a seccomp filter of its own, which may kill it for "
	                      "a system call that it makes for the library; where it is known to "
	                      "let open, mmap, mprotect and clone pass, this would be: sockleak "
	                      "%s --force",
	                      who, target->pid, sl_target_again(target->pid));
}

/* The way back is a "ret", which a shadow stack does not know of. */
static int refuse_shadow_stack(struct sl_target *target, const char *status,
                               struct sl_injected *injected)
{
	const char *features = sl_proc_status_value(status, "x86_Thread_features");
	const char *end = features ? strchr(features, '\n') : NULL;
	const char *found = features ? strstr(features, "shstk") : NULL;
	if (!found || (end && found > end))
		return 0;
	return sl_target_fail(injected, -ENOTSUP, SL_EXIT_NO_LIBRARY,
	                      "process %d runs with a shadow stack, which is not provided for; "
	                      "start it without (GLIBC_TUNABLES), or " SL_FROM_OUTSIDE,
	                      target->pid, target->pid, target->pid);
}

static int refuse_by_thread(const struct sl_injection *injection, struct sl_target *target,
                            struct sl_injected *injected)
{
	size_t n;
	char *status = sl_proc_file(target->view, "status", &n);
	if (!status)
		return sl_target_gone(target->pid, injected);
	int error = refuse_program(target, injected);
	if (!error && state_of(status) == 'T')
		error = sl_target_fail(injected, -EBUSY, SL_EXIT_DENIED,
		                       "process %d is stopped (as by SIGSTOP): once it runs again "
		                       "(kill -CONT %d), this would be: sockleak %s",
		                       target->pid, target->pid, sl_target_again(target->pid));
	if (!error && sl_task_is_frozen(target->view))
		error = sl_target_fail(injected, -EBUSY, SL_EXIT_DENIED,
		                       "process %d is frozen by its cgroup (as by 'docker pause'): "
		                       "once it runs again, this would be: sockleak %s",
		                       target->pid, sl_target_again(target->pid));
	if (!error)
		error = refuse_sandbox(injection, target, injected);
	if (!error)
		error = refuse_shadow_stack(target, status, injected);
	free(status);
	return error;
}

int sl_target_refuse(const struct sl_injection *injection, struct sl_target *target,
                     struct sl_injected *injected)
{
	size_t n;
	*target = (struct sl_target){.pid = injection->pid, .memory = -1};
	char *status = sl_proc_file(injection->pid, "status", &n);
	if (!status)
		return sl_target_fail(injected, -ESRCH, SL_EXIT_NO_PROCESS, "no process %d",
		                      injection->pid);
	int error = refuse_state(target, status, injected);
	if (!error)
		error = refuse_shared_memory(target, status, injected);
	free(status);
	if (!error)
		error = refuse_tracer(target, injected);
	return error ? error : refuse_by_thread(injection, target, injected);
}
