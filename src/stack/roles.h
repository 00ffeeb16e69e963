/* roles.h - whose code a class, an object or a function is, by what is known of names (roles_java.def, roles_native.def).
 *
 * Pure functions of tables.
 *
 * Layer: stack. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_STACK_ROLES_H
#define SL_STACK_ROLES_H

#include <stdbool.h>

#include "stack/frame.h"

enum sl_code_kind {
	SL_CODE_APPLICATION,
	SL_CODE_RUNTIME,
	SL_CODE_LIBRARY,
	SL_CODE_CLIENT,      /* a library whose inner functions have names that tell nothing */
	SL_CODE_CARRIER,     /* a library that runs code of others: event loops, containers */
	SL_CODE_INTERPRETER, /* a runtime whose program is in another language than its frames */
};

struct sl_code {
	enum sl_code_kind kind;
	const char *owner; /* what people call it; NULL: nothing in particular */
};

/* "org.acme.Client". The longest package of the table that it stands below decides; of a copy that a build has moved
 * ("org.acme.shaded.okhttp3.Call") the package that it had. */
struct sl_code sl_roles_class(const char *class_name);

/* The path of an object, "/usr/lib/libcurl.so.4". */
struct sl_code sl_roles_module(const char *path);

/* A function, mangled or not, of an object that is none of the above. */
struct sl_code sl_roles_function(const char *function);

/* Another library that stands before the same door as we, and passes the call on. */
bool sl_roles_is_same_door(const char *function);

enum sl_role sl_roles_role(enum sl_code_kind kind);

/* The last part of a path. */
const char *sl_file_name_of(const char *path);

#endif
