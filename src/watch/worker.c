#include "watch/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/locks.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_START_WAIT_MS 50
#define SL_WORKER_STACK_BYTES (512u << 10)
#define SL_KERNEL_SIGSET_BYTES 8 /* _NSIG / 8, rt_sigprocmask(2) */

enum { SL_WORKER_NONE, SL_WORKER_STARTING, SL_WORKER_RUNNING };

static struct sl_worker_duties duties; /* constant after start */
static _Atomic uint32_t state;         /* futex word */
static _Atomic uint64_t started_at_ms; /* when the thread was made */
static _Atomic uint32_t calls;         /* futex word: advanced by whoever wakes the worker */
static _Atomic unsigned wanted_now;    /* sl_wanted bits */
static _Atomic uint32_t unanswered;    /* futex word: sl_wanted bits not yet reported */
static _Atomic uint64_t pressure;      /* error << 32 | dest; 0: none */

static void take_turn(uint64_t *sleep_ms)
{
	unsigned wanted = atomic_exchange(&wanted_now, 0);
	uint64_t noted = atomic_exchange(&pressure, 0);
	struct sl_pressure p = {.error = (int)(noted >> 32), .dest = (uint32_t)noted};
	if (p.error)
		wanted |= SL_WANTED_BY_PRESSURE;
	*sleep_ms = duties.turn(wanted, &p);
	if (wanted) {
		atomic_fetch_and(&unanswered, ~wanted);
		sl_sys_futex_wake(&unanswered);
	}
}

static void *work(void *unused)
{
	(void)unused;
	(void)SL_SYS2(SYS_prctl, PR_SET_NAME, "sockleak");
	sl_guard_is_held = true; /* for good: nothing that this thread does is the program's */
	duties.start();
	atomic_store(&state, SL_WORKER_RUNNING);
	sl_sys_futex_wake(&state);
	for (;;) {
		uint32_t seen = atomic_load(&calls);
		uint64_t sleep_ms;
		take_turn(&sleep_ms);
		if (atomic_load(&wanted_now) == 0 && sleep_ms > 0)
			sl_sys_futex_wait(&calls, seen, sleep_ms * 1000000u);
	}
	return NULL;
}

static bool create_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	uint64_t all = ~0ULL, before = 0;
	int saved_errno = errno;
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, SL_WORKER_STACK_BYTES);
	/* The new thread inherits the mask: no signal of the program is ever delivered to it. */
	(void)SL_SYS4(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, &before,
	              SL_KERNEL_SIGSET_BYTES);
	int error = pthread_create(&thread, &attributes, work, NULL);
	if (error == EINVAL) /* the program's thread-local data alone is larger than that stack */
		error = pthread_create(&thread, NULL, work, NULL);
	(void)SL_SYS4(SYS_rt_sigprocmask, 2, &before, NULL, SL_KERNEL_SIGSET_BYTES);
	(void)pthread_attr_destroy(&attributes);
	errno = saved_errno;
	return error == 0;
}

static void start(void)
{
	if (!sl_lock_try(SL_LOCK_WORKER))
		return; /* another thread is at it, or forking */
	if (atomic_load(&state) == SL_WORKER_NONE) {
		atomic_store(&started_at_ms, sl_clock_ms());
		atomic_store(&state, SL_WORKER_STARTING);
		if (!create_thread())
			atomic_store(&state, SL_WORKER_NONE);
	}
	sl_lock_release(SL_LOCK_WORKER);
}

void sl_worker_prepare(const struct sl_worker_duties *given)
{
	duties = *given;
}

void sl_worker_ensure(const struct sl_guard *g)
{
	(void)g;
	if (atomic_load_explicit(&state, memory_order_acquire) == SL_WORKER_RUNNING) {
		if (atomic_load_explicit(&pressure, memory_order_relaxed))
			sl_worker_want(0);
		return;
	}
	if (atomic_load(&state) == SL_WORKER_NONE)
		start();
	uint64_t until = atomic_load(&started_at_ms) + SL_START_WAIT_MS;
	for (uint64_t now = sl_clock_ms(); now < until && atomic_load(&state) == SL_WORKER_STARTING;
	     now = sl_clock_ms())
		sl_sys_futex_wait(&state, SL_WORKER_STARTING, (until - now) * 1000000u);
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

void sl_worker_forked(void)
{
	atomic_store(&state, SL_WORKER_NONE);
	atomic_store(&wanted_now, 0);
	atomic_store(&unanswered, 0);
	atomic_store(&pressure, 0);
}
