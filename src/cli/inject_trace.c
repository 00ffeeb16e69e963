/* inject_trace.c - see inject_trace.h. */
#include "cli/inject_trace.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/inject_machine.h"
#include "cli/proc.h"

#define SL_RELEASE_US 1000000

uint64_t sl_trace_now_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void sl_trace_begin(struct sl_trace_before *before)
{
	const struct sigaction initial = {.sa_handler = SIG_DFL};
	sigset_t child;
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, &before->mask);
	(void)sigaction(SIGCHLD, &initial, &before->child);
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0); /* waits of microseconds mean it */
}

void sl_trace_end(const struct sl_trace_before *before)
{
	(void)prctl(PR_SET_TIMERSLACK, 0UL, 0, 0, 0); /* as it was at first */
	(void)sigaction(SIGCHLD, &before->child, NULL);
	(void)sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

static long request(int what, int tid, uint64_t address, uint64_t data)
{
	return ptrace(what, tid, address, data);
}

int sl_tracee_seize(struct sl_tracee *tracee, int tid)
{
	*tracee = (struct sl_tracee){.tid = tid, .how = PTRACE_CONT};
	return request(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC) < 0
	               ? -errno
	               : 0;
}

void sl_tracee_hold(struct sl_tracee *tracee)
{
	if (!tracee->held_us)
		tracee->held_us = sl_trace_now_us();
	tracee->is_wanted = true;
	(void)request(PTRACE_INTERRUPT, tracee->tid, 0, 0);
}

static int resume(struct sl_tracee *tracee, int how, int signal)
{
	tracee->is_held = false;
	/* Whatever it stopped for, the kernel has forgotten that it was asked to. */
	if (tracee->is_wanted && how != PTRACE_DETACH)
		(void)request(PTRACE_INTERRUPT, tracee->tid, 0, 0);
	return request(how, tracee->tid, 0, (uint64_t)signal) < 0 ? -errno : 0;
}

int sl_tracee_step_call(struct sl_tracee *tracee)
{
	tracee->held_us = 0;
	return resume(tracee, tracee->how = PTRACE_SYSCALL, 0);
}

int sl_tracee_run(struct sl_tracee *tracee)
{
	return resume(tracee, tracee->how = PTRACE_CONT, 0);
}

/* Where in a system call it is. False: nowhere that concerns us. */
static bool read_call(struct sl_tracee *tracee)
{
	struct __ptrace_syscall_info info;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof(info), &info) < 0)
		return false;
	tracee->pc = info.instruction_pointer;
	tracee->kind = info.op == PTRACE_SYSCALL_INFO_ENTRY ? SL_STOP_ENTRY : SL_STOP_RETURN;
	return info.op == PTRACE_SYSCALL_INFO_ENTRY || info.op == PTRACE_SYSCALL_INFO_EXIT;
}

/* What a stop means; false: it was only a signal, which has been passed on. */
static bool take_stop(struct sl_tracee *tracee, int status)
{
	const int event = status >> 16, signal = WSTOPSIG(status);
	tracee->is_held = true;
	if (!tracee->held_us)
		tracee->held_us = sl_trace_now_us();
	if (event == PTRACE_EVENT_STOP) {
		tracee->kind = SL_STOP_HELD;
		tracee->is_wanted = false;
		return true;
	}
	if (event == PTRACE_EVENT_EXEC) {
		tracee->kind = SL_STOP_PROGRAM;
		return true;
	}
	if (signal == (SIGTRAP | 0x80) && read_call(tracee))
		return true;
	(void)resume(tracee, tracee->how, signal == (SIGTRAP | 0x80) || event ? 0 : signal);
	return false;
}

int sl_tracee_wait(struct sl_tracee *tracee, uint64_t until_us)
{
	sigset_t child;
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	for (;;) {
		int status;
		const pid_t got = waitpid(tracee->tid, &status, __WALL | WNOHANG);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || (got > 0 && !WIFSTOPPED(status)))
			return -ESRCH;
		if (got > 0) {
			if (take_stop(tracee, status))
				return 0;
			continue;
		}
		const uint64_t now = sl_trace_now_us();
		if (now >= until_us)
			return -ETIME;
		const uint64_t left = until_us - now;
		const struct timespec limit = {(time_t)(left / 1000000),
		                               (long)(left % 1000000) * 1000};
		(void)sigtimedwait(&child, NULL, &limit);
	}
}

bool sl_tracee_is_ours(int tid)
{
	size_t n;
	char *status = sl_proc_file(tid, "status", &n);
	const bool is_ours = status && sl_proc_status_number(status, "TracerPid") == getpid();
	free(status);
	return is_ours;
}

void sl_tracee_release(struct sl_tracee *tracee)
{
	const uint64_t until = sl_trace_now_us() + SL_RELEASE_US;
	while (!tracee->is_held) {
		sl_tracee_hold(tracee);
		if (sl_tracee_wait(tracee, until) < 0)
			return;
		if (tracee->kind != SL_STOP_HELD && tracee->kind != SL_STOP_PROGRAM)
			(void)sl_tracee_run(tracee);
	}
	if (tracee->kind == SL_STOP_HELD)
		(void)sl_machine_uninterrupt(tracee->tid);
	(void)resume(tracee, PTRACE_DETACH, 0);
}
