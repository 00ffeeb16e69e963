/* blame.h - which frame of a stack is guilty: the first that is the application's own.
 *
 * Pure functions. `app` is the value of the option app=: prefixes, comma separated, that are the application's. They come
 * before the tables of known names (roles.h); only code that nobody has written (source.h) is never the application's.
 *
 * Layer: stack. Locks: none. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_STACK_BLAME_H
#define SL_STACK_BLAME_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/frame.h"
#include "stack/roles.h"

#define SL_BLAME_NONE UINT32_MAX

/* Whose code is a Java frame, by its class, method, file and line? */
enum sl_role sl_role_of_java(const struct sl_frame *frame, const char *app);

/* Whose code is a native frame, by its module and, where it is known (not NULL), its function? */
enum sl_role sl_role_of_native(const char *module, const char *function, const char *app);

/* Does app= name this class, module or, of a script, file? */
bool sl_blame_is_pinned(const struct sl_frame *frame, const char *app);

/* Is frame i called by a client library that was compiled into the same object (a static libcurl)? Then it is the
 * library's, whatever its name. */
bool sl_blame_is_enclosed(const struct sl_frame *const *frames, uint32_t n, uint32_t i);

/* The index of the guilty frame: the innermost that app= names, else the innermost of the application's own.
 * SL_BLAME_NONE: there is none. */
uint32_t sl_blame(const struct sl_frame *const *frames, uint32_t n, const char *app);

#endif
