/* native.h - native stacks: by rules that are known (walk.h), else by libunwind. The only file that knows libunwind.
 *
 * The library is opened at run time, never linked: libunwind.so.8 exports the _Unwind_ functions, and as a dependency of
 * a preloaded object it would take C++ exceptions away from libgcc_s.
 *
 * Layer: stack. Locks: none. Fork: no state that changes. errno: untouched.
 */
#ifndef SL_STACK_NATIVE_H
#define SL_STACK_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/guard.h"
#include "stack/walk.h"

/* Open libunwind. Context: the constructor, before the program has threads and numbers of its own: the loader opens files, and takes its
 * lock. Not a thread with an fd table of its own: the program's malloc() may walk stacks by libunwind as well, whose pipe would be
 * one of that table, and its numbers those of the program's stdin and stdout. */
void sl_native_open(void);

/* Has the program a sanitizer's runtime? Context: as above. */
bool sl_native_has_sanitizer(void);

/* Walk one stack, so that the first real one is quick. Says so where libunwind is missing, or does not go with this program.
 * Context: the worker. */
void sl_native_start(void);

#define SL_NATIVE_OWN_FRAMES SL_WALK_OWN_FRAMES

/* Room for a walk of so many frames. */
#define SL_NATIVE_WORDS(limit) ((limit) + SL_NATIVE_OWN_FRAMES + 1)

/* Return addresses of this thread's stack, innermost first, beginning with `caller` (the address that the hook
 * returns to): at most `limit`, into words, which has room for SL_NATIVE_WORDS(limit): no other is taken, for the caller's stack
 * may be small. Returns how many; 0: not to be had. More than limit: is_cut.
 * Context: any thread and signal handler, before the real call. */
uint32_t sl_native_capture(const struct sl_guard *g, const void *caller, uint64_t *words,
                           uint32_t limit, bool *is_cut);

/* The same of a stack all of whose frames are known, in little room and without a system call (but where the thread was not there
 * before); else 0. */
uint32_t sl_native_capture_known(const struct sl_guard *g, const void *caller, uint64_t *words,
                                 uint32_t limit, bool *is_cut);

/* Is this thread inside the walker, and `caller` its code? Then a pipe that is opened is libunwind's own: it checks addresses with
 * one. */
bool sl_native_is_walking(const void *caller);

#endif
