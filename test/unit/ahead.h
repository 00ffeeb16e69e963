/* ahead.h - a clock that a test moves on: included once, by a test program. The kernel's own times stay as they are. */
#ifndef SL_TEST_AHEAD_H
#define SL_TEST_AHEAD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t ahead_ms;

/* Stands before libc's: time passes when a test says so, and by itself. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);
	now->tv_sec += (time_t)(ahead_ms / 1000);
	now->tv_nsec += (long)(ahead_ms % 1000) * 1000000;
	if (now->tv_nsec >= 1000000000) {
		now->tv_sec++;
		now->tv_nsec -= 1000000000;
	}
	return result;
}

#endif
