/* blame.h - which frame of a stack is guilty: the first that is the application's own.
 *
 * Pure functions. `app` is the value of the option app=: prefixes, comma separated, that are the application's.
 *
 * Layer: stack. Locks: none. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_STACK_BLAME_H
#define SL_STACK_BLAME_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/frame.h"

#define SL_BLAME_NONE UINT32_MAX

/* Whose code: of a Java class ("org.acme.Client"), of a native module ("/usr/lib/libcurl.so.4"). */
enum sl_role sl_role_of_class(const char *class_name, const char *app);
enum sl_role sl_role_of_module(const char *path, const char *app);

/* The same where the function is known: another library that stands before the same door is nobody's own code. */
enum sl_role sl_role_of_function(const char *path, const char *function, const char *app);

/* Does app= name this class or module? */
bool sl_blame_is_pinned(const struct sl_frame *frame, const char *app);

/* The index of the guilty frame: the innermost that app= names, else the innermost of the application's own.
 * SL_BLAME_NONE: there is none. */
uint32_t sl_blame(const struct sl_frame *const *frames, uint32_t n, const char *app);

/* The last part of a path. */
const char *sl_file_name_of(const char *path);

#endif
