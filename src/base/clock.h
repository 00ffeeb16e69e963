/* clock.h - time, in milliseconds.
 *
 * Asked of the kernel's own page (vdso(7)), not of clock_gettime(): another preloaded library may stand before that one and say what it
 * likes, stand still, or take locks. No system call on the usual clock sources.
 *
 * Layer: base. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything.
 */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Look for the page. Called once at start; before it, and where there is none, libc is asked. */
void sl_clock_start(void);

/* One reading of this clock; zeroes where the kernel has none of that kind. */
struct timespec sl_clock_read(clockid_t clock);

static inline uint64_t sl_clock_to_ms(struct timespec ts)
{
	return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

/* Milliseconds since boot, not counting suspension: the clock of every *_ms field that is a time. */
static inline uint64_t sl_clock_ms(void)
{
	return sl_clock_to_ms(sl_clock_read(CLOCK_MONOTONIC));
}

/* Milliseconds since 1970 UTC. */
static inline uint64_t sl_clock_wall_ms(void)
{
	return sl_clock_to_ms(sl_clock_read(CLOCK_REALTIME));
}

#endif
