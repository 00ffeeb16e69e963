/* locks.h - the few locks there are, from one table, and their order around fork.
 *
 * None is ever held across the program's real call or anything that waits for the program. Hooks only try.
 *
 * Layer: base. Fork: see sl_locks_fork_*. errno: untouched.
 * Async-signal-safe: sl_lock_try() and sl_lock_release(); sl_lock_take() is not: the interrupted thread may hold it.
 */
#ifndef SL_BASE_LOCKS_H
#define SL_BASE_LOCKS_H

#include <stdbool.h>

enum sl_lock {
#define SL_LOCK_ROW(name, what) SL_LOCK_##name,
#include "base/locks.def"
#undef SL_LOCK_ROW
	SL_LOCK_COUNT,
};

bool sl_lock_try(enum sl_lock lock);
void sl_lock_take(enum sl_lock lock); /* Blocks: as long as another thread holds it */
/* Without a system call, and so for a moment only: for a sandbox. False: it is not ours; what follows is done all the same. */
bool sl_lock_spin(enum sl_lock lock);
void sl_lock_release(enum sl_lock lock);

/* Takes all, in order. Until they are done sl_lock_take() of this thread has what it asks for: a fork handler of the program
 * may run then, and call us. */
void sl_locks_fork_prepare(void);
void sl_locks_fork_done(void); /* frees all: in the parent and in the child */

/* In a child that no fork handler told us of (_Fork(), clone()): what another thread of the parent held is free. Its one thread holds
 * none: signals are blocked while one is held. */
void sl_locks_forked(void);

#endif
