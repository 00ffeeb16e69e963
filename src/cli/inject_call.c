/* inject_call.c - see inject_call.h. */
#include "cli/inject_call.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "cli/heap.h"
#include "cli/held_signals.h"
#include "cli/inject_loader.h"
#include "cli/inject_object.h"
#include "cli/inject_tasks.h"
#include "cli/say.h"

#define SL_CODE_ROOM 1024
#define SL_WORD sizeof(long)
#define SL_PATIENCE_US 2000000
#define SL_LIMIT_US 30000000
#define SL_SOON_US 3000 /* a library that is there already comes back at once */
#define SL_LOOK_SOON_US 40
#define SL_LOOK_US 200
#define SL_END_US 10000000

/* What lies in the room: our own code, left there by a command that was killed, is as good as none, since a thread may still be in
 * it; of another version it must stay untouched. */
static bool is_room_free(int memory, uint64_t at, const unsigned char *code, size_t n)
{
	unsigned char there[SL_CODE_ROOM];
	if (!sl_memory_read(memory, at, there, n))
		return false;
	return memcmp(there, code, n) == 0 || memcmp(there, code, SL_MACHINE_MARK_BYTES) != 0;
}

/* In an object of the program's own: dlopen() opens for the namespace that its caller belongs to. */
uint64_t sl_call_place(const struct sl_target *target)
{
	size_t n;
	const unsigned char *code = sl_machine_code(&n);
	for (size_t i = 0; i < target->maps.n && n <= SL_CODE_ROOM; i++) {
		const struct sl_map *map = &target->maps.rows[i];
		struct sl_object object;
		uint64_t at;
		if (!map->is_executable || map->is_writable || map->path[0] != '/')
			continue;
		const struct sl_map *first = sl_maps_first(&target->maps, map);
		if (first && sl_object_read(target->memory, first->start, &object) &&
		    sl_object_slack(&object, &at) >= n && at >= map->start && at + n <= map->end &&
		    is_room_free(target->memory, at, code, n) &&
		    sl_loader_has(target->view, target->memory, object.bias))
			return at;
	}
	return 0;
}

/* Past the protection of the page, which becomes the process's own copy. */
static int put_bytes(int tid, uint64_t at, const unsigned char *bytes, size_t n)
{
	for (size_t done = 0; done < n; done += SL_WORD) {
		long word;
		const size_t part = n - done < SL_WORD ? n - done : SL_WORD;
		if (part < SL_WORD) {
			errno = 0;
			word = ptrace(PTRACE_PEEKTEXT, tid, at + done, 0);
			if (errno)
				return -errno;
		}
		memcpy(&word, bytes + done, part);
		if (ptrace(PTRACE_POKETEXT, tid, at + done, word) < 0)
			return -errno;
	}
	return 0;
}

/* The mark is the last to come and the first to go: what bears it is whole. */
static int put_code(int tid, uint64_t at, const unsigned char *code, size_t n)
{
	const int error = put_bytes(tid, at + SL_MACHINE_MARK_BYTES, code + SL_MACHINE_MARK_BYTES,
	                            n - SL_MACHINE_MARK_BYTES);
	return error ? error : put_bytes(tid, at, code, SL_MACHINE_MARK_BYTES);
}

/* Signals that would end or stop us, during the call. */
static void hold_back_signals(sigset_t *before)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE};
	sigset_t set;
	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void)sigaddset(&set, numbers[i]);
	(void)sigprocmask(SIG_BLOCK, &set, before);
}

static void say_waiting(const struct sl_target *target, int tid)
{
	struct sl_point point = {.call = -1};
	const bool is_waiting = sl_task_look(target->pid, tid, &point) == SL_TASK_WAITS;
	sl_say_note(
		"process %d: the call has not come back for %d s: thread %d %s; waiting on, and "
		"no harm is done if this command is ended",
		target->pid, SL_PATIENCE_US / 1000000, tid,
		!is_waiting               ? "is at work in it"
		: point.call == SYS_futex ? "waits for a lock that another thread holds"
					  : "waits in a system call");
}

static void read_text(const struct sl_target *target, uint64_t at, char *text, size_t room)
{
	size_t n = 0;
	while (n + 1 < room && sl_memory_read(target->memory, at + n, text + n, 1) && text[n])
		n++;
	text[n] = 0;
}

static bool take_result(const struct sl_target *target, const struct sl_machine_call *call,
                        struct sl_injected *injected)
{
	uint64_t text;
	if (!sl_machine_is_over(target->memory, call, &injected->result, &text))
		return false;
	if (injected->result != -1)
		return true;
	injected->code = SL_EXIT_NO_LIBRARY;
	if (text)
		read_text(target, text, injected->error, sizeof(injected->error));
	else
		(void)snprintf(injected->error, sizeof(injected->error),
		               "the loader gave no reason");
	return true;
}

/* Until the function has come back. The thread runs free meanwhile: a stop at each of its system calls would make it wait for us
 * a hundred times, which on a busy machine is most of the time that it is away. */
static int wait_for_end(const struct sl_target *target, struct sl_tracee *tracee,
                        const struct sl_machine_call *call, struct sl_injected *injected)
{
	const uint64_t begin = sl_trace_now_us();
	bool is_said = false;
	int error = sl_tracee_run(tracee);
	while (!error) {
		const uint64_t now = sl_trace_now_us();
		error = sl_tracee_wait(
			tracee, now + (now < begin + SL_SOON_US ? SL_LOOK_SOON_US : SL_LOOK_US));
		if (!error && tracee->kind == SL_STOP_PROGRAM)
			return -ESRCH;
		if (!error)
			error = sl_tracee_run(tracee); /* the process was stopped as a whole */
		else if (error == -ETIME && take_result(target, call, injected))
			return 0;
		else if (error == -ETIME && is_said && sl_held_signals_came())
			error = -EINTR;
		else if (error == -ETIME && now < begin + SL_LIMIT_US)
			error = 0;
		if (!is_said && now > begin + SL_PATIENCE_US) {
			say_waiting(target, tracee->tid);
			is_said = true;
		}
	}
	return error;
}

/* It waits for us in the code, all but its registers as it was. Those it gets from us, so that the kernel ends the interrupted system
 * call by its own rules. False: it has not waited, or has ended. */
static bool finish(struct sl_tracee *tracee, const struct sl_registers *registers,
                   const struct sl_machine_call *call)
{
	struct sl_registers now;
	struct sl_point point;
	const uint64_t until = sl_trace_now_us() + SL_END_US;
	sl_tracee_hold(tracee);
	while (sl_tracee_wait(tracee, until) == 0 && tracee->kind != SL_STOP_HELD)
		if (sl_tracee_run(tracee) < 0)
			return false;
	if (!tracee->is_held || sl_machine_read(tracee->tid, &now) < 0)
		return false;
	sl_machine_point(&now, &point);
	return sl_machine_is_inside(call, point.pc) &&
	       sl_machine_finish(tracee->tid, registers, call) == 0;
}

static int say_failure(const struct sl_target *target, const struct sl_tracee *tracee, int error,
                       struct sl_injected *injected)
{
	if (error == -ETIME)
		return sl_target_fail(
			injected, error, SL_EXIT_DENIED,
			"process %d: the call has not come back for %d s; thread %d "
			"goes on with it alone: 'sockleak list' shows whether it came "
			"in",
			target->pid, SL_LIMIT_US / 1000000, tracee->tid);
	if (error == -EINTR)
		return sl_target_fail(injected, error, SL_EXIT_USAGE,
		                      "process %d: interrupted; thread %d goes on with the call "
		                      "alone: 'sockleak list' shows whether it came in",
		                      target->pid, tracee->tid);
	if (error == -ESRCH)
		return sl_target_fail(
			injected, error, SL_EXIT_NO_PROCESS,
			"process %d ended, or became another program, during the call",
			target->pid);
	return sl_target_fail(
		injected, error, SL_EXIT_DENIED,
		"process %d: its thread %d could not be made to call: %s; nothing was "
		"changed",
		target->pid, tracee->tid, strerror(-error));
}

int sl_call_make(struct sl_target *target, struct sl_tracee *tracee,
                 const struct sl_registers *registers, struct sl_machine_call *call,
                 struct sl_injected *injected)
{
	size_t n;
	sigset_t before;
	unsigned char old[SL_CODE_ROOM];
	bool is_put = false, is_over = false;
	const unsigned char *code = sl_machine_code(&n);
	int error = sl_memory_read(target->memory, call->code, old, n) ? 0 : -ESRCH;
	hold_back_signals(&before);
	if (!error && memcmp(old, code, n) != 0) {
		error = put_code(tracee->tid, call->code, code, n);
		is_put = true;
	}
	if (!error)
		error = sl_machine_begin(tracee->tid, target->memory, registers, call);
	const bool is_begun = !error;
	if (is_begun)
		error = wait_for_end(target, tracee, call, injected);
	if (is_begun && !error)
		is_over = finish(tracee, registers, call);
	/* Where the thread may still be in the code, the code stays: it harms nobody. */
	if (is_put && (is_over || !is_begun))
		(void)put_bytes(tracee->tid, call->code, old, n);
	sl_tracee_release(tracee);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return error ? say_failure(target, tracee, error, injected) : 0;
}
