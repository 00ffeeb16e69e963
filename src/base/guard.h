/* guard.h - the re-entrancy guard: is this thread inside the library already?
 *
 * Work that may call back into a hook (walking a stack, starting the worker: they call libc, which may call
 * a replaced malloc, which may open a socket) happens only under the guard. A hook that finds it taken gives
 * up the stack, never its entry in the fd table.
 *
 * The guard is never held across the program's real call: a cancelled thread or a longjmp leaves from
 * there with nothing of ours held.
 *
 * A jump out of a handler that came while it was held leaves it behind. What tells is the stack: who asks from above the holder's
 * frame was not called by it, unless from a handler's own stack.
 *
 * Layer: base. Locks: none; thread-local. Fork: the child's one thread keeps its own. errno: untouched.
 * Async-signal-safe: everything here.
 */
#ifndef SL_BASE_GUARD_H
#define SL_BASE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

/* A value of this type is a proof that the guard is held. */
struct sl_guard {
	bool is_outermost;
};

/* The frame that holds it; 0: none. */
extern __thread uintptr_t sl_guard_holder __attribute__((tls_model("initial-exec")));

/* For a thread of ours: for good. */
static inline void sl_guard_hold_for_good(void)
{
	sl_guard_holder = UINTPTR_MAX;
}

/* By a frame below which the caller is. */
static inline bool sl_guard_is_held(void)
{
	return sl_guard_holder > (uintptr_t)__builtin_frame_address(0);
}

/* The holder has not called this frame: may this one hold the guard? Not while a handler on a stack of its own runs. */
bool sl_guard_is_left_behind(void);

/* True: the guard was free and is now held, until sl_guard_leave() in the same function. */
static inline __attribute__((always_inline)) bool sl_guard_enter(struct sl_guard *g)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	g->is_outermost =
		sl_guard_holder == 0 || (sl_guard_holder <= here && sl_guard_is_left_behind());
	if (g->is_outermost)
		sl_guard_holder = here;
	/* A signal handler on this thread must see the holder before what follows. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return g->is_outermost;
}

static inline void sl_guard_leave(const struct sl_guard *g)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (g->is_outermost)
		sl_guard_holder = 0;
}

#endif
