#include "watch/worker.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/locks.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/thread.h"

#include "base/poison.h"

#define SL_STAT_BYTES 1024
#define SL_START_WAIT_MS 50
#define SL_LEFT_ALONE_MS 250 /* between two looks whether only our threads are left */
#define SL_REST_WAIT_MS 1000
#define SL_REST_LOOK_MS 1
#define SL_REST_LAST_MS 10
#define SL_REST_RETRY_MS 10 /* the clerk is busy */
#define SL_SANDBOX_LOOK_MS 250

enum { SL_WORKER_NONE, SL_WORKER_STARTING, SL_WORKER_RUNNING };

static struct sl_worker_duties duties; /* constant after start */
static _Atomic uint32_t state;         /* futex word */
static _Atomic uint64_t started_at_ms; /* when the thread was made */
static _Atomic uint32_t calls;         /* futex word: advanced by whoever wakes the worker */
static _Atomic unsigned wanted_now;    /* sl_wanted bits */
static _Atomic uint32_t unanswered;    /* futex word: sl_wanted bits not yet reported */
static _Atomic uint32_t asked;         /* by sl_worker_ask(), so often */
static _Atomic uint32_t answered;      /* futex word: ... up to this one */
static _Atomic uint64_t pressure;      /* error << 32 | dest; 0: none */

static _Atomic int worker_tid;
static _Atomic bool is_main_gone;    /* the first thread called pthread_exit() */
static _Atomic bool is_main_unknown; /* it may have, before anybody told us */
static _Atomic bool is_put_off; /* it should run, and could not be started where it was asked for */
static _Atomic bool is_refused; /* at the last attempt there could be no more threads */
static _Atomic uint32_t resters; /* threads of the program that want ours gone for now */

/* On a kernel before 5.9, among the program's own fds: only the end of the process is worth that. */
static void read_without_clerk(const char *path, char *text, size_t n)
{
	int fd = sl_sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	long got = fd < 0 ? 0 : sl_sys_read(fd, text, n - 1);
	text[got > 0 ? got : 0] = 0;
	if (fd >= 0)
		(void)sl_sys_close(fd);
}

/* A field of /proc/self/stat, counted from behind the name: state is the first, the number of threads the 18th (proc(5)). "": the clerk is busy. */
static const char *read_stat(int field, char stat[SL_STAT_BYTES])
{
	stat[0] = 0;
	if (sl_clerk_is_there())
		(void)sl_clerk_read("/proc/self/stat", stat, SL_STAT_BYTES);
	else
		read_without_clerk("/proc/self/stat", stat, SL_STAT_BYTES);
	const char *at = strrchr(stat, ')');
	for (; at && field > 0; field--)
		at = strchr(at + 1, ' ');
	return at ? at + 1 : "";
}

static uint64_t count_threads(void)
{
	char stat[SL_STAT_BYTES];
	uint64_t threads = 0;
	for (const char *at = read_stat(18, stat); *at >= '0' && *at <= '9'; at++)
		threads = threads * 10 + (uint64_t)(*at - '0');
	return threads;
}

static void look_at_main(void)
{
	char stat[SL_STAT_BYTES];
	const char main_state = *read_stat(1, stat);
	if (main_state == 'Z')
		atomic_store(&is_main_gone, true);
	if (main_state)
		atomic_store(&is_main_unknown, false);
}

/* A process ends when its last thread does, and ours are none that the program knows of. After pthread_exit() in main() that
 * last one may be ours: the first thread, a zombie then, still counts, and the clerk. When this function's thread returns,
 * the clerk ends too, and libc calls exit(0) as it would have without us. */
static bool is_left_alone(void)
{
	if (atomic_load_explicit(&is_main_unknown, memory_order_relaxed))
		look_at_main();
	if (!atomic_load(&is_main_gone))
		return false;
	uint64_t ours = 1 + sl_clerk_threads() + duties.threads();
	uint64_t threads = count_threads();
	/* 0: not known, for the clerk is busy. */
	return threads > 0 && threads <= ours + 1 && duties.end() && sl_clerk_end();
}

static void take_turn(uint64_t *sleep_ms)
{
	unsigned wanted = atomic_exchange(&wanted_now, 0);
	/* Behind the exchange: who has counted himself, and whose bit it did not get, gets a report all the same. */
	uint32_t asked_before = atomic_load(&asked);
	uint64_t noted = atomic_exchange(&pressure, 0);
	struct sl_pressure p = {.error = (int)(noted >> 32), .dest = (uint32_t)noted};
	if (p.error)
		wanted |= SL_WANTED_BY_PRESSURE;
	*sleep_ms = duties.turn(wanted, &p);
	if (wanted & SL_WANTED_BY_PROGRAM) {
		atomic_store(&answered, asked_before);
		sl_sys_futex_wake(&answered);
	}
	if (wanted) {
		atomic_fetch_and(&unanswered, ~wanted);
		sl_sys_futex_wake(&unanswered);
	}
}

/* Somebody wants us gone, and the clerk is. */
static bool is_resting(void)
{
	return atomic_load(&resters) > 0 && duties.end() && sl_clerk_end();
}

static void work(void)
{
	atomic_store(&worker_tid, sl_sys_gettid());
	duties.start();
	atomic_store(&state, SL_WORKER_RUNNING);
	sl_sys_futex_wake(&state);
	while (!is_left_alone()) {
		uint32_t seen = atomic_load(&calls);
		uint64_t sleep_ms;
		if (is_resting()) {
			atomic_store(&state, SL_WORKER_NONE);
			return;
		}
		take_turn(&sleep_ms);
		if (atomic_load(&is_main_gone) && sleep_ms > SL_LEFT_ALONE_MS)
			sleep_ms = SL_LEFT_ALONE_MS;
		if (atomic_load(&resters) > 0)
			sleep_ms = SL_REST_RETRY_MS;
		if (sl_process_is_sandboxed() && sleep_ms > SL_SANDBOX_LOOK_MS)
			sleep_ms = SL_SANDBOX_LOOK_MS; /* nobody can wake us */
		if (atomic_load(&wanted_now) == 0 && sleep_ms > 0)
			sl_sys_futex_wait(&calls, seen, sleep_ms * 1000000u);
	}
}

/* One that runs is never in the way: asked only where there is none. */
static bool is_no_place(void)
{
	if (!duties.is_amidst || !duties.is_amidst())
		return false;
	atomic_store(&is_put_off, true);
	return true;
}

bool sl_worker_is_refused(void)
{
	return atomic_load(&is_refused);
}

static void start(void)
{
	atomic_store(&is_refused, false);
	if (is_no_place())
		return;
	/* A handler that forks would wait for the lock that this thread holds. */
	uint64_t signals = sl_sys_block_signals();
	if (!sl_lock_try(SL_LOCK_WORKER)) {
		sl_sys_unblock_signals(signals);
		return; /* another thread is at it, or forking */
	}
	if (atomic_load(&state) == SL_WORKER_NONE && atomic_load(&resters) == 0 &&
	    sl_process_may_make_threads()) {
		atomic_store(&started_at_ms, sl_clock_ms());
		atomic_store(&state, SL_WORKER_STARTING);
		if (duties.ready)
			duties.ready();
		atomic_store(&is_put_off, false);
		bool is_made = sl_thread_start("sockleak", work);
		if (!is_made)
			atomic_store(&state, SL_WORKER_NONE);
		atomic_store(&is_refused, !is_made);
	}
	sl_lock_release(SL_LOCK_WORKER);
	sl_sys_unblock_signals(signals);
}

void sl_worker_prepare(const struct sl_worker_duties *given)
{
	duties = *given;
}

static bool is_there(void)
{
	return atomic_load(&state) != SL_WORKER_NONE ||
	       SL_SYS3(SYS_tgkill, sl_sys_getpid(), atomic_load(&worker_tid), 0) == 0;
}

void sl_worker_begin(const struct sl_guard *g)
{
	(void)g;
	if (atomic_load(&state) == SL_WORKER_NONE)
		start();
}

bool sl_worker_is_put_off(void)
{
	return atomic_load_explicit(&is_put_off, memory_order_relaxed);
}

void sl_worker_retire(void)
{
	atomic_store(&is_put_off, false);
	atomic_fetch_add(&resters, 1);
	sl_worker_want(0);
}

bool sl_worker_is_gone(void)
{
	return !is_there();
}

void sl_worker_ensure(const struct sl_guard *g)
{
	if (atomic_load_explicit(&state, memory_order_acquire) == SL_WORKER_RUNNING) {
		if (atomic_load_explicit(&pressure, memory_order_relaxed))
			sl_worker_want(0);
		return;
	}
	sl_worker_begin(g);
	uint64_t until = atomic_load(&started_at_ms) + SL_START_WAIT_MS;
	for (uint64_t now = sl_clock_ms(); now < until && atomic_load(&state) == SL_WORKER_STARTING;
	     now = sl_clock_ms())
		sl_sys_futex_wait(&state, SL_WORKER_STARTING, (until - now) * 1000000u);
}

/* A thread that waits and may make no system call. */
static void pause_thread(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

bool sl_worker_rest(void)
{
	static const _Atomic uint32_t never;
	uint64_t until = sl_clock_ms() + SL_REST_WAIT_MS;
	atomic_fetch_add(&resters, 1);
	if (!sl_worker_is_running())
		return false;
	sl_worker_want(0);
	while (is_there()) {
		if (sl_clock_ms() >= until)
			return false;
		sl_sys_futex_wait(&never, 0, SL_REST_LOOK_MS * 1000000u);
	}
	return true;
}

void sl_worker_rest_in_sandbox(void)
{
	uint64_t until = sl_clock_ms() + SL_REST_WAIT_MS;
	atomic_fetch_add(&resters, 1);
	while (sl_worker_is_running() && sl_clock_ms() < until)
		pause_thread();
	/* What is left of them is the way out of a thread: some calls of libc's, which nobody can see the end of from here. */
	for (until = sl_clock_ms() + SL_REST_LAST_MS; sl_clock_ms() < until;)
		pause_thread();
}

void sl_worker_resume(bool again)
{
	struct sl_guard g;
	atomic_fetch_sub(&resters, 1);
	if (!again)
		return;
	(void)sl_guard_enter(&g);
	sl_worker_ensure(&g);
	sl_guard_leave(&g);
}

void sl_worker_main_is_gone(void)
{
	atomic_store(&is_main_gone, true);
	if (sl_worker_is_running())
		sl_worker_want(0);
}

void sl_worker_main_may_be_gone(void)
{
	atomic_store(&is_main_unknown, true);
}

int sl_worker_tid(void)
{
	return atomic_load(&worker_tid);
}

bool sl_worker_is_running(void)
{
	return atomic_load(&state) != SL_WORKER_NONE;
}

void sl_worker_want(unsigned wanted)
{
	atomic_fetch_or(&unanswered, wanted);
	atomic_fetch_or(&wanted_now, wanted);
	atomic_fetch_add(&calls, 1);
	if (!sl_process_is_sandboxed())
		sl_sys_futex_wake(&calls);
}

void sl_worker_note_pressure(int error, uint32_t dest)
{
	uint64_t none = 0;
	atomic_compare_exchange_strong(&pressure, &none, (uint64_t)(uint32_t)error << 32 | dest);
}

void sl_worker_wait(unsigned wanted, uint64_t timeout_ms)
{
	uint64_t until = sl_clock_ms() + timeout_ms;
	uint32_t left;
	for (uint64_t now = sl_clock_ms();
	     now < until && ((left = atomic_load(&unanswered)) & wanted) && sl_worker_is_running();
	     now = sl_clock_ms())
		sl_sys_futex_wait(&unanswered, left, (until - now) * 1000000u);
}

bool sl_worker_ask(uint64_t timeout_ms)
{
	uint64_t until = sl_clock_ms() + timeout_ms;
	uint32_t ticket = atomic_fetch_add(&asked, 1) + 1;
	sl_worker_want(SL_WANTED_BY_PROGRAM);
	for (uint64_t now = sl_clock_ms(); now < until && sl_worker_is_running();
	     now = sl_clock_ms()) {
		uint32_t seen = atomic_load(&answered);
		if ((int32_t)(seen - ticket) >= 0)
			return true;
		sl_sys_futex_wait(&answered, seen, (until - now) * 1000000u);
	}
	return (int32_t)(atomic_load(&answered) - ticket) >= 0;
}

void sl_worker_forked(void)
{
	atomic_store(&state, SL_WORKER_NONE);
	atomic_store(&wanted_now, 0);
	atomic_store(&unanswered, 0);
	atomic_store(&asked, 0);
	atomic_store(&answered, 0);
	atomic_store(&pressure, 0);
	atomic_store(&is_main_gone, false);
	atomic_store(&is_main_unknown, false);
	atomic_store(&worker_tid, 0); /* in another pid namespace it may be anybody's */
	atomic_store(&resters, 0);
	atomic_store(&is_put_off, false);
	sl_clerk_forked();
}
