/* inject_thread.c - see inject_thread.h.
 *
 * First those that wait in a call that can be interrupted, seen from outside; then those that wait for a condition; and where
 * all compute, one after the other is followed for a moment from system call to system call.
 */
#include "cli/inject_thread.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "cli/inject_odd.h"
#include "cli/inject_safe.h"
#include "cli/inject_tasks.h"

#define SL_HOLD_US 1000000  /* how long a thread may take to stop, on a busy machine */
#define SL_FOLLOW_US 100000 /* how long one is followed */
#define SL_REFUSED_MAX 256
#define SL_PAUSE_MAX_US 64000
#define SL_PAUSE_US 2000 /* between two looks at all */

struct search {
	struct sl_target *target;
	size_t need;
	uint64_t until_us;
	struct sl_tracee *tracee;
	struct sl_registers *registers;
	int best; /* the thread that promises most */
	enum sl_call_use promise;
	int refused[SL_REFUSED_MAX]; /* looked at closely in this round, and not taken */
	unsigned refused_count;
	int running, after; /* one that runs, the next one behind `after` in turn */
	const char *why;    /* the last one was not taken */
	int error;          /* ends the search */
};

static bool is_refused(const struct search *search, int tid)
{
	for (unsigned i = 0; i < search->refused_count; i++)
		if (search->refused[i] == tid)
			return true;
	return false;
}

static bool is_odd(struct search *search, int tid)
{
	if (!sl_task_is_odd(search->target->view, tid))
		return false;
	search->why = "one for which the kernel keeps something else than for its process";
	return true;
}

static void look(struct search *search, int tid, enum sl_task_state state,
                 const struct sl_point *point)
{
	const enum sl_call_use use = sl_safe_promise(search->target, point);
	if (state == SL_TASK_RUNS || state == SL_TASK_UNKNOWN) {
		if (!search->running || (search->running <= search->after && tid > search->after))
			search->running = tid;
	} else if (state == SL_TASK_WAITS && use >= SL_CALL_LAST && use > search->promise &&
	           !is_refused(search, tid) && !is_odd(search, tid)) {
		search->best = tid;
		search->promise = use;
	}
}

static bool look_at(void *context, int tid)
{
	struct search *search = context;
	struct sl_point point = {.call = -1};
	const enum sl_task_state state = sl_task_look(search->target->pid, tid, &point);
	if (state != SL_TASK_GONE)
		look(search, tid, state, &point);
	return search->promise != SL_CALL_WAITING;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Ours alone: two commands at work in one process would use the same place for their code. Each looks after it has seized its
 * thread, and before it changes anything; so at least one of them sees the other. */
static int seize(struct search *search, int tid)
{
	const int error = sl_tracee_seize(search->tracee, tid);
	/* A thread that has ended is answered so too; and one that did not stop for us the last time. */
	if ((error == -EPERM || error == -EACCES) && !sl_task_is_gone(tid) &&
	    !sl_tracee_is_ours(tid))
		search->error = -EPERM;
	if (error)
		return error;
	if (sl_target_tracer(search->target->pid, tid) <= 0)
		return 0;
	sl_tracee_release(search->tracee);
	search->why = "beside one that is traced by another command";
	return -EBUSY;
}

/* The thread stands still: is it here? */
static bool is_safe(struct search *search)
{
	if (sl_machine_read(search->tracee->tid, search->registers) < 0)
		return false;
	const char *why = sl_safe_why_not(search->target, search->tracee->tid, search->registers,
	                                  search->need);
	if (why)
		search->why = why;
	return !why;
}

static bool is_gone(struct search *search, int error)
{
	if (!error && search->tracee->kind == SL_STOP_PROGRAM) {
		sl_tracee_release(search->tracee);
		search->error = -ESRCH;
		return true;
	}
	return error == -ESRCH;
}

/* Make it stand still. False: it ended, or does not. */
static bool hold(struct search *search)
{
	const uint64_t until = sl_trace_now_us() + SL_HOLD_US;
	sl_tracee_hold(search->tracee);
	for (;;) {
		const int error = sl_tracee_wait(search->tracee, until);
		if (is_gone(search, error))
			return false;
		if (error) {
			search->why = "not to be stopped";
			sl_tracee_release(search->tracee);
			return false;
		}
		if (search->tracee->kind == SL_STOP_HELD)
			return true;
		(void)sl_tracee_run(search->tracee);
	}
}

static bool take_waiting(struct search *search, int tid)
{
	if (seize(search, tid) < 0 || !hold(search))
		return false;
	if (is_safe(search))
		return true;
	sl_tracee_release(search->tracee);
	return false;
}

static bool follow(struct search *search, int tid)
{
	const uint64_t until = earlier(sl_trace_now_us() + SL_FOLLOW_US, search->until_us);
	if (seize(search, tid) < 0 || !hold(search))
		return false;
	while (!is_safe(search)) {
		(void)sl_tracee_step_call(search->tracee);
		int error = sl_tracee_wait(search->tracee, until);
		while (!error && search->tracee->kind == SL_STOP_ENTRY) {
			(void)sl_tracee_step_call(search->tracee);
			error = sl_tracee_wait(search->tracee, until);
		}
		if (is_gone(search, error))
			return false;
		if (error == -ETIME) { /* it computes, or has begun to wait: then here */
			if (!hold(search))
				return false;
			if (is_safe(search))
				return true;
			sl_tracee_release(search->tracee);
			return false;
		}
	}
	return true;
}

static void pause_us(uint64_t us)
{
	const struct timespec time = {0, (long)us * 1000};
	(void)nanosleep(&time, NULL);
}

/* Stacks come and go. False: the process has ended. */
static bool read_maps_again(struct sl_target *target)
{
	struct sl_maps maps;
	if (sl_maps_read(target->view, &maps) == 0 && maps.n) {
		sl_maps_free(&target->maps);
		target->maps = maps;
		return true;
	}
	sl_maps_free(&maps);
	return sl_target_find_view(target);
}

/* One look at all threads, and a try with one of them. */
static bool try_once(struct search *search)
{
	search->best = search->running = 0;
	search->promise = SL_CALL_NO;
	if (!sl_tasks_each(search->target->pid, look_at, search)) {
		search->error = -ESRCH;
		return false;
	}
	if (!read_maps_again(search->target)) {
		search->error = -ESRCH;
		return false;
	}
	if (search->best && take_waiting(search, search->best))
		return true;
	if (search->best && search->refused_count < SL_REFUSED_MAX) {
		search->refused[search->refused_count++] = search->best;
		return false;
	}
	search->refused_count = 0;
	if (!search->error && search->running) {
		search->after = search->running;
		return !is_odd(search, search->running) && follow(search, search->running);
	}
	return false;
}

static int say_why(const struct search *search, struct sl_injected *injected)
{
	const int pid = search->target->pid;
	if (search->error == -EPERM) {
		const int tracer = sl_target_tracer(pid, 0);
		if (tracer > 0)
			return sl_target_fail(injected, -EPERM, SL_EXIT_DENIED,
			                      "process %d is traced by pid %d now: once that has "
			                      "let go, this would be: sockleak %s",
			                      pid, tracer, sl_target_again(pid));
		return sl_target_denied(pid, injected);
	}
	if (search->error == -ESRCH)
		return sl_target_fail(injected, -ESRCH, SL_EXIT_NO_PROCESS,
		                      "process %d has ended, or become another program", pid);
	return sl_target_fail(
		injected, -EBUSY, SL_EXIT_DENIED,
		"process %d: within the time given no thread came to a point where a "
		"call is safe (the last was %s); nothing was changed, and this may be "
		"tried again",
		pid, search->why);
}

int sl_thread_find(struct sl_target *target, size_t need, uint64_t until_us,
                   struct sl_tracee *tracee, struct sl_registers *registers,
                   struct sl_injected *injected)
{
	struct search search = {
		.target = target,
		.need = need,
		.until_us = until_us,
		.tracee = tracee,
		.registers = registers,
		.why = "waiting for a lock",
	};
	uint64_t pause = SL_PAUSE_US;
	while (sl_trace_now_us() < until_us) {
		if (try_once(&search))
			return 0;
		if (search.error)
			break;
		if (search.refused_count == 0) { /* the round is over */
			pause_us(pause);
			pause = pause < SL_PAUSE_MAX_US ? pause * 2 : pause;
		}
	}
	return say_why(&search, injected);
}
