/* loader.h - the loader's lists, fork, and sandboxes.
 *
 * Walking a stack and naming a frame take locks of the loader and of libunwind. fork() in another thread meanwhile would
 * leave them taken for ever in the child. So both go through this gate: fork holds it, waits a bounded moment until nobody is inside,
 * and releases it again. Where somebody was inside all the same (a fork that no handler saw, a loader that was held up), the
 * child walks no stacks. A thread in a seccomp sandbox that has to wait for such a lock, at exit() for one, dies of the futex(): before
 * a filter the gate is held, and behind it closed.
 *
 * Layer: stack. Locks: none (atomics). errno: untouched.
 */
#ifndef SL_STACK_LOADER_H
#define SL_STACK_LOADER_H

#include <stdbool.h>
#include <stdint.h>

/* Go in. False: the gate is held, or closed for good: do without. Waits for a fork under way, 20 ms at most.
 * Context: any thread and signal handler, before the real call. */
bool sl_loader_enter(void);
void sl_loader_leave(void);

/* Nobody goes in any more, and who is inside comes out, or has not within wait_ms. Blocks: for as long. */
#define SL_LOADER_FORK_MS 20
#define SL_LOADER_SANDBOX_MS 1000
void sl_loader_hold(uint64_t wait_ms);
void sl_loader_release(void);
/* For good; no system call. */
void sl_loader_close(void);

/* In the child, whether a handler told of the fork or not. A thread of the program may have held the lock of the loader's list, which
 * libc does not put right: then the gate stays closed, until a thread of ours has got through. */
void sl_loader_forked(void);

/* Get through, and open the gate.
 * Context: the worker. Blocks: for ever, where the lock is lost. */
void sl_loader_try(void);

#endif
