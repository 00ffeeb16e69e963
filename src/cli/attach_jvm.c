/* attach_jvm.c - see attach_jvm.h. */
#include "cli/attach_jvm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/inject_odd.h"
#include "cli/inject_tasks.h"
#include "cli/jvm_socket.h"
#include "cli/sudo.h"

#define SL_WAKE_MS 10000
#define SL_DISPATCHER_MS 2000 /* for a thread to run first */
#define SL_LOAD_MS 30000
#define SL_PRINTFLAG_MS 5000
#define SL_FDS_NEEDED \
	8 /* for the connection, the library's file, and what the library opens first */
#define SL_FLAG_NAME "EnableDynamicAgentLoading"

static bool is_another_users(const struct sl_proc *proc)
{
	return geteuid() != 0 && (proc->euid != geteuid() || proc->egid != getegid());
}

static void check_user(const struct sl_proc *proc, const char *words,
                       struct sl_attach_refusal *refusal)
{
	char sudo[SL_SUDO_BYTES];
	sl_sudo_as(proc, sudo);
	sl_attach_refuse(refusal, SL_EXIT_DENIED,
	                 "process %d: a Java VM lets only its own user attach; this would be: %s "
	                 "sockleak %s",
	                 proc->pid, sudo, words);
}

static void check_kind(const struct sl_proc *proc, const struct sl_jvm *jvm,
                       struct sl_attach_refusal *refusal)
{
	if (jvm->kind == SL_JVM_OPENJ9)
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its Java VM is OpenJ9; only HotSpot can be attached "
		                 "to: start it by 'sockleak run'",
		                 proc->pid);
	else if (jvm->kind != SL_JVM_HOTSPOT)
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its Java VM (%s) is not HotSpot: start it by "
		                 "'sockleak run'",
		                 proc->pid, jvm->path);
	else if (jvm->is_musl)
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its libc is musl, the library needs glibc; 'sockleak "
		                 "report' and 'reap' work from outside",
		                 proc->pid);
}

static void check_state(const struct sl_proc *proc, struct sl_attach_refusal *refusal)
{
	if (proc->parent > 0 && sl_task_shares_memory(proc->pid, proc->parent))
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d shares its memory with process %d, which has begun it "
		                 "by vfork(), and is no VM: for that one this would be: sockleak "
		                 "attach %d",
		                 proc->pid, proc->parent, proc->parent);
	else if (proc->state == 'T')
		sl_attach_refuse(
			refusal, SL_EXIT_DENIED,
			"process %d is stopped, its VM answers nobody; 'kill -CONT %d' lets "
			"it go on",
			proc->pid, proc->pid);
	else if (proc->state == 't')
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d is stopped by process %d, which traces it: its VM "
		                 "answers nobody",
		                 proc->pid, proc->tracer);
	else if (sl_task_is_frozen(proc->pid))
		sl_attach_refuse(
			refusal, SL_EXIT_DENIED,
			"process %d is frozen by its cgroup (as by 'docker pause'): its VM "
			"answers nobody",
			proc->pid);
}

/* Neither the VM's socket could be opened nor the library's file. */
static void check_fds(const struct sl_proc *proc, struct sl_attach_refusal *refusal)
{
	const long left = sl_proc_fds_left(proc->pid);
	if (left >= 0 && left < SL_FDS_NEEDED)
		sl_attach_refuse(
			refusal, SL_EXIT_DENIED,
			"process %d has %ld descriptors left: its VM could not load the "
			"library; 'prlimit --nofile=N: --pid %d' raises its limit, or 'sockleak "
			"reap %d' may make it close some",
			proc->pid, left, proc->pid, proc->pid);
}

static void refuse_flag(const struct sl_proc *proc, const struct sl_jvm *jvm, enum sl_jvm_flag flag,
                        const char *what, struct sl_attach_refusal *refusal)
{
	sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
	                 "process %d: %s (%s, by %s); it takes a restart: 'sockleak run -- CMD'",
	                 proc->pid, what, sl_jvm_flag_text(flag, jvm->flags.of[flag].setting),
	                 jvm->flags.of[flag].source);
}

/* What only counts as long as the VM has no socket: SIGQUIT is needed then. */
static void check_signal(const struct sl_proc *proc, const struct sl_jvm *jvm,
                         struct sl_attach_refusal *refusal)
{
	if (jvm->flags.of[SL_JVM_FEWER_SIGNALS].setting == SL_JVM_ON)
		refuse_flag(
			proc, jvm, SL_JVM_FEWER_SIGNALS,
			"its VM has no attach socket, and SIGQUIT, which would open one, is not "
			"its own",
			refusal);
	else if (!jvm->catches_quit)
		sl_attach_refuse(
			refusal, SL_EXIT_NO_LIBRARY,
			"process %d: its VM does not catch SIGQUIT (-Xrs, or it is still "
			"starting), which would open its attach socket: it would die of it",
			proc->pid);
	else if (!sl_jvm_has_dispatcher(proc->pid, SL_DISPATCHER_MS))
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: SIGQUIT is caught, but not by its VM, which has no "
		                 "attach socket",
		                 proc->pid);
}

enum listener { SL_NO_SOCKET, SL_SILENT, SL_TAKES_AGENTS, SL_TAKES_NONE };

/* Where the VM listens already, it can be asked; JDK 8 does not know that flag. A VM serves one connection at a time. */
static enum listener ask_listener(const struct sl_proc *proc)
{
	static const char *const name[SL_JVM_ARGUMENTS] = {SL_FLAG_NAME};
	struct sl_jvm_answer answer;
	const int fd = sl_jvm_socket_connect(proc);
	if (fd < 0)
		return SL_NO_SOCKET;
	if (sl_jvm_socket_ask(fd, "printflag", name, SL_PRINTFLAG_MS, &answer) || answer.status)
		return SL_SILENT;
	return strstr(answer.text, "+" SL_FLAG_NAME)   ? SL_TAKES_AGENTS
	       : strstr(answer.text, "-" SL_FLAG_NAME) ? SL_TAKES_NONE
	                                               : SL_SILENT;
}

static void check_flags(const struct sl_proc *proc, const struct sl_jvm *jvm,
                        struct sl_attach_refusal *refusal)
{
	if (jvm->flags.of[SL_JVM_NO_ATTACH].setting == SL_JVM_ON)
		refuse_flag(proc, jvm, SL_JVM_NO_ATTACH, "its VM lets nobody attach", refusal);
	else if (jvm->flags.of[SL_JVM_MAY_LOAD].setting == SL_JVM_OFF)
		refuse_flag(proc, jvm, SL_JVM_MAY_LOAD, "its VM takes no agent while it runs",
		            refusal);
}

static void check_listener(const struct sl_proc *proc, const struct sl_jvm *jvm, bool may_ask,
                           struct sl_attach_refusal *refusal)
{
	const enum listener listener = may_ask                      ? ask_listener(proc)
	                               : sl_jvm_socket_exists(proc) ? SL_SILENT
	                                                            : SL_NO_SOCKET;
	if (listener == SL_TAKES_NONE)
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its VM takes no agent while it runs (%s); it takes a "
		                 "restart: 'sockleak run -- CMD'",
		                 proc->pid, sl_jvm_flag_text(SL_JVM_MAY_LOAD, SL_JVM_OFF));
	else if (listener != SL_TAKES_AGENTS)
		check_flags(proc, jvm, refusal);
	if (!refusal->code && listener == SL_NO_SOCKET)
		check_signal(proc, jvm, refusal);
}

void sl_attach_jvm_check(const struct sl_proc *proc, const struct sl_jvm *jvm, const char *words,
                         struct sl_attach_refusal *refusal)
{
	char own[64];
	*refusal = (struct sl_attach_refusal){0};
	(void)snprintf(own, sizeof(own), "attach %d", proc->pid);
	if (is_another_users(proc))
		check_user(proc, words ? words : own, refusal);
	if (!refusal->code)
		check_kind(proc, jvm, refusal);
	if (!refusal->code)
		check_state(proc, refusal);
	if (!refusal->code)
		check_fds(proc, refusal);
	if (!refusal->code)
		check_listener(proc, jvm, words, refusal);
}

static void explain_wake(const struct sl_proc *proc, int error, struct sl_attach_refusal *refusal)
{
	switch (error) {
	case -ESRCH:
		sl_attach_refuse(refusal, SL_EXIT_NO_PROCESS, "process %d has ended meanwhile",
		                 proc->pid);
		return;
	case -EINTR:
		sl_attach_refuse(refusal, SL_EXIT_USAGE, "interrupted: nothing was attached");
		return;
	case -ENXIO:
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its VM does not catch SIGQUIT now", proc->pid);
		return;
	case -EEXIST:
		sl_attach_refuse(
			refusal, SL_EXIT_DENIED,
			"process %d: a file .attach_pid%d of another user lies in its way, "
			"in its /tmp or its working directory",
			proc->pid, proc->inner_pid);
		return;
	case -EROFS:
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d: neither its /tmp nor its working directory takes the "
		                 "file .attach_pid%d, by which its VM is asked to listen",
		                 proc->pid, proc->inner_pid);
		return;
	case -ETIMEDOUT:
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its VM has not opened its attach socket within %d s "
		                 "(frozen, or in a long pause?)",
		                 proc->pid, SL_WAKE_MS / 1000);
		return;
	case -EPERM:
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d: another process answers at its attach socket, or its "
		                 "user has no id here",
		                 proc->pid);
		return;
	default:
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY, "process %d: its attach socket: %s",
		                 proc->pid, strerror(-error));
	}
}

static void explain_load(const struct sl_proc *proc, int error, struct sl_attach_refusal *refusal)
{
	if (error == -EFBIG)
		sl_attach_refuse(refusal, SL_EXIT_USAGE,
		                 "the options or the library's path are longer than a VM takes (%d "
		                 "bytes): set some of them afterwards, by 'sockleak set'",
		                 SL_JVM_ARGUMENT_MAX);
	else if (error == -EINTR)
		sl_attach_refuse(refusal, SL_EXIT_USAGE,
		                 "interrupted while its VM loads the library: see 'sockleak doctor "
		                 "%d'",
		                 proc->pid);
	else if (error == -ETIMEDOUT)
		sl_attach_refuse(
			refusal, SL_EXIT_NO_LIBRARY,
			"process %d: its VM has not answered within %d s; it may still load "
			"the library: see 'sockleak doctor %d'",
			proc->pid, SL_LOAD_MS / 1000, proc->pid);
	else
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its VM has hung up without an answer", proc->pid);
}

/* What it said, in its words. */
static void take_answer(const struct sl_proc *proc, const struct sl_jvm_answer *answer,
                        struct sl_attach_outcome *outcome)
{
	if (answer->has_result)
		outcome->result = answer->result;
	else if (answer->status == SL_JVM_BAD_VERSION)
		sl_attach_refuse(&outcome->refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its VM speaks another attach protocol", proc->pid);
	else
		sl_attach_refuse(&outcome->refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its VM says: %.500s", proc->pid,
		                 answer->text[0] ? answer->text
		                                 : "no; it could not load the library");
}

static int connect_or_wake(const struct sl_proc *proc, struct sl_attach_refusal *refusal)
{
	int fd = sl_jvm_socket_connect(proc);
	if (fd == -ENOENT)
		fd = sl_jvm_socket_wake(proc, SL_WAKE_MS);
	if (fd < 0)
		explain_wake(proc, fd, refusal);
	return fd;
}

void sl_attach_jvm(const struct sl_proc *proc, const char *library, const char *options,
                   struct sl_attach_outcome *outcome)
{
	const char *const arguments[SL_JVM_ARGUMENTS] = {library, "true", options};
	struct sl_jvm_answer answer;
	*outcome = (struct sl_attach_outcome){0};
	const int fd = connect_or_wake(proc, &outcome->refusal);
	if (fd < 0)
		return;
	const int error = sl_jvm_socket_ask(fd, "load", arguments, SL_LOAD_MS, &answer);
	if (error)
		explain_load(proc, error, &outcome->refusal);
	else
		take_answer(proc, &answer, outcome);
}
