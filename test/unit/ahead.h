/* ahead.h - a clock that a test moves on, and can stop: included once, by a test program. The kernel's own times stay as they
 * are.
 */
#ifndef SL_TEST_AHEAD_H
#define SL_TEST_AHEAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t ahead_ms;
static _Atomic uint64_t ahead_stopped_at_ns; /* 0: it goes */

static uint64_t ahead_true_ns(clockid_t clock)
{
	struct timespec now = {0};
	(void)syscall(SYS_clock_gettime, clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* No time passes by itself, until ahead_go_on(). */
__attribute__((unused)) static void ahead_stop(void)
{
	ahead_stopped_at_ns = ahead_true_ns(CLOCK_MONOTONIC);
}

__attribute__((unused)) static void ahead_go_on(void)
{
	ahead_stopped_at_ns = 0;
}

/* Stands before libc's: time passes when a test says so, and by itself. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	uint64_t stopped_ns = clock == CLOCK_MONOTONIC ? ahead_stopped_at_ns : 0;
	uint64_t now_ns = (stopped_ns ? stopped_ns : ahead_true_ns(clock)) + ahead_ms * 1000000u;
	now->tv_sec = (time_t)(now_ns / 1000000000u);
	now->tv_nsec = (long)(now_ns % 1000000000u);
	return 0;
}

#endif
