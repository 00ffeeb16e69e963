/* loader.h - the loader's lists, and fork.
 *
 * Walking a stack and naming a frame take locks of the loader and of libunwind. fork() in another thread meanwhile would
 * leave them taken for ever in the child. So both go through this gate: fork closes it, waits a bounded moment until nobody is inside,
 * and opens it again. Where somebody was inside all the same (a fork that no handler saw, a loader that was held up), the
 * child walks no stacks.
 *
 * Layer: stack. Locks: none (atomics). errno: untouched.
 */
#ifndef SL_STACK_LOADER_H
#define SL_STACK_LOADER_H

#include <stdbool.h>

/* Go in. False: the gate is closed, or closed for good: do without. Waits for a fork under way, 20 ms at most.
 * Context: any thread and signal handler, before the real call. */
bool sl_loader_enter(void);
void sl_loader_leave(void);

void sl_loader_fork_prepare(void);
void sl_loader_fork_parent(void);
/* In the child, whether a handler told of the fork or not. A thread of the program may have held the lock of the loader's list, which
 * libc does not put right: then the gate stays closed, until a thread of ours has got through. */
void sl_loader_forked(void);

/* Get through, and open the gate.
 * Context: the worker. Blocks: for ever, where the lock is lost. */
void sl_loader_try(void);

#endif
