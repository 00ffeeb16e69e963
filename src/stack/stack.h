/* stack.h - who is calling? The site and the thread of the call that is being made.
 *
 * Layer: stack. Locks: see java.h. Fork: see java.h. errno: untouched.
 */
#ifndef SL_STACK_STACK_H
#define SL_STACK_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/guard.h"

/* Where a socket comes from. */
struct sl_origin {
	uint32_t site;
	uint32_t thread; /* name id; 0: unknown */
};

/* The site of the calling thread's stack, found or made, and the thread's name. `caller` is the address that the hook
 * returns to; a Java stack is taken only where want_java (a socket that is worth it).
 * Context: any thread, signal handlers too, before the real call; may make system calls and, for a new Java site,
 * allocate. Errors: SL_SITE_NO_STACK, SL_SITE_OVERFLOW. */
struct sl_origin sl_stack_origin(const struct sl_guard *g, const void *caller, bool want_java);

#endif
