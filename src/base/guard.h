/* guard.h - the re-entrancy guard: is this thread inside the library already?
 *
 * Work that may call back into a hook (walking a stack, starting the worker: they call libc, which may call
 * a replaced malloc, which may open a socket) happens only under the guard. A hook that finds it taken gives
 * up the stack, never its entry in the fd table.
 *
 * The guard is never held across the program's real call: a cancelled thread or a longjmp leaves from
 * there with nothing of ours held.
 *
 * Layer: base. Locks: none; thread-local. Fork: the child's one thread keeps its own. errno: untouched.
 * Async-signal-safe: everything here.
 */
#ifndef SL_BASE_GUARD_H
#define SL_BASE_GUARD_H

#include <stdbool.h>

/* A value of this type is a proof that the guard is held. */
struct sl_guard {
	bool is_outermost;
};

extern __thread bool sl_guard_is_held __attribute__((tls_model("initial-exec")));

/* True: the guard was free and is now held, until sl_guard_leave(). */
static inline bool sl_guard_enter(struct sl_guard *g)
{
	g->is_outermost = !sl_guard_is_held;
	sl_guard_is_held = true;
	/* A signal handler on this thread must see the flag before what follows. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return g->is_outermost;
}

static inline void sl_guard_leave(const struct sl_guard *g)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (g->is_outermost)
		sl_guard_is_held = false;
}

#endif
