/* owner.h - whose stack is this, where no frame is the application's? An async client's own thread, an interpreter.
 *
 * Pure functions.
 *
 * Layer: stack. Locks: none. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_STACK_OWNER_H
#define SL_STACK_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/frame.h"
#include "stack/roles.h"

struct sl_owner {
	const char *name; /* "Netty", or the file name of a module; NULL: nobody's in particular */
	const char *interpreter; /* "Python": it runs a program in another language. NULL: none */
	bool is_script_seen;     /* frames of that program have names */
	bool is_lineless; /* code of libraries in the application's own object, without a line */
};

/* The outermost frame's that is a library's and does not merely run others' code; else an interpreter's; else the
 * outermost carrier's; else a runtime's that has a name. */
struct sl_owner sl_owner_of(const struct sl_frame *const *frames, uint32_t n);

#endif
