/* frame.h - one frame of a stack, in words.
 *
 * Made once for each distinct frame and then constant for the life of the process.
 *
 * Layer: stack. Locks: none. Fork: the child keeps all. errno: untouched. Async-signal-safe: plain data.
 */
#ifndef SL_STACK_FRAME_H
#define SL_STACK_FRAME_H

#include <stdint.h>

enum sl_role {
	SL_ROLE_RUNTIME,     /* libc, the JDK, the VM */
	SL_ROLE_LIBRARY,     /* a well-known client or server library */
	SL_ROLE_APPLICATION, /* everything else: where the blame lies */
	SL_ROLE_COUNT,
};

/* Absent strings are NULL. */
struct sl_frame {
	enum sl_role role;
	const char *text; /* Java: "Class.method(File.java:11)"; native: "function+0x1f (module)" */
	const char *class_name; /* Java only, with dots and package */
	const char *method;     /* Java only */
	const char *function;   /* native, where the module exports a name */
	const char *file;       /* Java: source file */
	int32_t line;           /* 0: not known */
	const char *module;     /* native: path of the object */
	const char *build_id;   /* native: hex */
	uint64_t offset;        /* native: of the call, from the module's load address */
};

#endif
