/* room.h - is there stack enough for a walk?
 *
 * A thread may have 16 KiB in all, a coroutine less. Nobody says where a stack ends without a lock or memory (pthread_getattr_np());
 * but the page below it, if the program cares, is one that may not be touched.
 *
 * Layer: stack. Locks: none; thread-local. Fork: no state that matters. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_STACK_ROOM_H
#define SL_STACK_ROOM_H

#include <stdbool.h>

/* What a walk takes at most (test/e2e/test_stack_use.py), and a signal that comes meanwhile. */
#define SL_ROOM_BYTES (12u << 10)

/* Are so many bytes below the caller's frame there? Where nothing marks the end of the stack, yes.
 * Context: before the real call; system calls where the thread was not here before. */
bool sl_room_is_enough(void);

/* The same, where it is known already. No system call. */
bool sl_room_is_known(void);

#endif
