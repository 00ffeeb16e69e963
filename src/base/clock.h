/* clock.h - time, in milliseconds.
 *
 * Layer: base. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything.
 * clock_gettime() of libc reads the vDSO: no system call on the usual clock sources.
 */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since boot, not counting suspension: the clock of every *_ms field that is a time. */
static inline uint64_t sl_clock_ms(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

/* Milliseconds since 1970 UTC. */
static inline uint64_t sl_clock_wall_ms(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

#endif
