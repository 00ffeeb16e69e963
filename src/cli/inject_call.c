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
#include "cli/inject_object.h"
#include "cli/inject_tasks.h"
#include "cli/say.h"

#define SL_CODE_ROOM 1024
#define SL_WORD sizeof(long)
#define SL_PATIENCE_US 2000000
#define SL_LIMIT_US 30000000
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
		    is_room_free(target->memory, at, code, n))
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

/* Until the thread is at the end of the call. */
static int wait_for_end(const struct sl_target *target, struct sl_tracee *tracee,
                        const struct sl_machine_call *call)
{
	const uint64_t begin = sl_trace_now_us();
	uint64_t until = begin + SL_PATIENCE_US;
	int error = sl_tracee_step_call(tracee);
	while (!error) {
		error = sl_tracee_wait(tracee, until);
		if (error == -ETIME && until < begin + SL_LIMIT_US) {
			say_waiting(target, tracee->tid);
			until = begin + SL_LIMIT_US;
			error = 0;
			continue;
		}
		if (error)
			break;
		if (tracee->kind == SL_STOP_PROGRAM)
			return -ESRCH;
		if (tracee->kind == SL_STOP_ENTRY && sl_machine_is_end(call, tracee->pc))
			return 0;
		error = sl_tracee_step_call(tracee);
	}
	return error;
}

static void read_text(const struct sl_target *target, uint64_t at, char *text, size_t room)
{
	size_t n = 0;
	while (n + 1 < room && sl_memory_read(target->memory, at + n, text + n, 1) && text[n])
		n++;
	text[n] = 0;
}

/* The thread is about to restore its signal mask, the last thing but its registers: those the kernel shall have from us as they
 * were, so that it ends the interrupted call by its own rules. */
static bool finish(struct sl_tracee *tracee, const struct sl_registers *registers,
                   const struct sl_machine_call *call)
{
	struct sl_registers now;
	struct sl_point point;
	const uint64_t until = sl_trace_now_us() + SL_END_US;
	sl_tracee_hold(tracee);
	do {
		if (sl_tracee_run(tracee) < 0 || sl_tracee_wait(tracee, until) < 0)
			return false;
	} while (tracee->kind != SL_STOP_HELD);
	if (sl_machine_read(tracee->tid, &now) < 0)
		return false;
	sl_machine_point(&now, &point);
	return sl_machine_is_end(call, point.pc) && sl_machine_finish(tracee->tid, registers) == 0;
}

static int take_result(const struct sl_target *target, struct sl_tracee *tracee,
                       struct sl_injected *injected)
{
	uint64_t text;
	const int error = sl_machine_result(tracee->tid, &injected->result, &text);
	if (error)
		return error;
	if (injected->result == -1)
		injected->code = SL_EXIT_NO_LIBRARY;
	if (injected->result == -1 && text)
		read_text(target, text, injected->error, sizeof(injected->error));
	else if (injected->result == -1)
		(void)snprintf(injected->error, sizeof(injected->error),
		               "the loader gave no reason");
	return 0;
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
		error = put_bytes(tracee->tid, call->code, code, n);
		is_put = true;
	}
	if (!error)
		error = sl_machine_begin(tracee->tid, target->memory, registers, call);
	const bool is_begun = !error;
	if (is_begun)
		error = wait_for_end(target, tracee, call);
	if (is_begun && !error) {
		error = take_result(target, tracee, injected);
		is_over = finish(tracee, registers, call);
	}
	/* Where the thread may still be in the code, the code stays: it harms nobody. */
	if (is_put && (is_over || !is_begun))
		(void)put_bytes(tracee->tid, call->code, old, n);
	sl_tracee_release(tracee);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return error ? say_failure(target, tracee, error, injected) : 0;
}
