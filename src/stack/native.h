/* native.h - native stacks, by libunwind. The only file that knows libunwind.
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

/* Open libunwind.
 * Context: the constructor, before the program has threads and numbers of its own: the loader opens files, and takes its lock. */
void sl_native_start(void);

/* Say in a line if it is missing, or does not go with this program. Context: the worker's start: who opens no socket needs none. */
void sl_native_say(void);

/* Return addresses of this thread's stack, innermost first, beginning with `caller` (the address that the hook
 * returns to): at most `limit`, into words. Returns how many; 0: not to be had. More than limit: is_cut.
 * Context: any thread and signal handler, before the real call. */
uint32_t sl_native_capture(const struct sl_guard *g, const void *caller, uint64_t *words,
                           uint32_t limit, bool *is_cut);

/* Is this thread inside the walker? Then a pipe that is opened is libunwind's own: it checks addresses with one. */
bool sl_native_is_walking(void);

#endif
