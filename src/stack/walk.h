/* walk.h - a stack by the rules of its return addresses (cfi.h), kept for all threads: a known frame costs two loads and a few
 * comparisons; no lock, no system call, no memory of each thread.
 *
 * What it cannot do is left to libunwind (native.h): code made at run time, signal handlers' frames, odd functions. But not what comes
 * behind a frame of an object whose tables are broken: libunwind would follow them anywhere. Whatever is read
 * lies in the stack, between the stack pointer and what is known to be there.
 *
 * Layer: stack. Locks: none (atomics). Fork: the child keeps the rules. errno: untouched.
 */
#ifndef SL_STACK_WALK_H
#define SL_STACK_WALK_H

#include <stdbool.h>
#include <stdint.h>

/* Frames of our own between the walker and the hook's caller, at most. */
#define SL_WALK_OWN_FRAMES 12

/* Return addresses of this thread's stack, innermost first, beginning with `caller`: at most `limit`, into words. More than that,
 * or none behind a broken one: is_cut. 0: a frame has no rule, or the caller is not met; no part of a stack is given. in_handler: it was a signal's.
 * may_learn: rules that are not known yet are looked for, which takes some hundred bytes of stack; those of our own frames always.
 * Context: any thread and signal handler, before the real call. */
uint32_t sl_walk(const void *caller, uint64_t *words, uint32_t limit, bool may_learn, bool *is_cut,
                 bool *in_handler);

/* Is this thread in a signal handler that has come into anything but a call that waits: into malloc(), which may not be entered again, or
 * while a lock of libc's is held? What cannot be walked is not known to be. x86-64 only; elsewhere never.
 * Context: any thread and signal handler, before the real call. Rules that are not known yet are looked for. */
bool sl_walk_is_amidst(void);

/* Forget all rules: code is gone, and other code may come in its place.
 * Context: any thread. */
void sl_walk_forget(void);

#endif
