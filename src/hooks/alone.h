/* alone.h - calls that the kernel allows only to a process of one thread, or that separate one thread from the others:
 * unshare(2), setns(2), close_range(2) with CLOSE_RANGE_UNSHARE.
 *
 * A thread of ours beside a program that has but one would make such a call fail; or, where it gives the caller an fd
 * table of its own, keep every connection in the old one open for good. So ours end before it, and begin anew after it.
 *
 * Layer: hooks. Locks: none. Fork: no state. errno: untouched.
 * Context: these calls are not async-signal-safe by POSIX. Starting the worker anew is the one thing that a hook does after
 * the real call but for the rescue; it is left out in a sandbox.
 */
#ifndef SL_HOOKS_ALONE_H
#define SL_HOOKS_ALONE_H

#include <stdbool.h>

struct sl_alone {
	bool is_ours;
	bool has_rested; /* the worker ran, and is gone */
	bool is_single;  /* but for ours, the program has one thread */
};

/* Before the real call. */
void sl_alone_begin(struct sl_alone *alone);

/* After it. `is_separated`: the caller asked for an fd table of its own, and the call succeeded. */
void sl_alone_end(const struct sl_alone *alone, bool is_separated);

#endif
