/* outs.h - every function that puts bytes out, each behind one shape.
 *
 * In the hooks_* programs they go through the doors.
 */
#ifndef TEST_OUTS_H
#define TEST_OUTS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef ssize_t out_fn(int fd, const void *bytes, size_t n);

struct out {
	const char *name;
	out_fn *call;
	bool is_printing; /* dprintf() and its like: they count what they print, and know no bytes of 0 */
	bool has_no_nosignal; /* no flag of it keeps the signal away */
	bool is_cancellable;  /* a cancellation point that hangs where there is no room */
};

extern const struct out outs[];
extern const size_t out_count;

/* The one of that name. */
out_fn *out_by(const char *name);

/* Of libc, declared nowhere. */
ssize_t __write(int fd, const void *bytes, size_t n);
ssize_t __send(int fd, const void *bytes, size_t n, int flags);
int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list list);

#endif
