/* stdio.c - sockets behind FILEs, and dprintf(), which writes past the hooks. fclose() and freopen() close inside libc, where no symbol is looked up; reads and
 * writes of a FILE pass the hooks too, and show only in what the kernel counts. */
#include <errno.h>

#include "hooks/entry.h"
#include "hooks/guarded.h"
#include "hooks/real.h"

/* A FILE's number: the only stdio call of the library, and one that neither locks nor allocates. */
static int number_of(FILE *file)
{
	int saved_errno = errno;
	int fd = file ? fileno_unlocked(file) : -1; /* -1: a FILE in memory */
	errno = saved_errno;
	return fd;
}

#include "base/poison.h"

FILE *sl_hook_fdopen(int fd, const char *mode)
{
	FILE *file = sl_real.fdopen(fd, mode);
	if (file)
		(void)sl_fdtable_mark_now(fd, SL_FD_STDIO, 0);
	return file;
}

int sl_hook_fclose(FILE *file)
{
	struct sl_fd_forgotten forgotten = sl_entry_closing(number_of(file));
	int result = sl_real.fclose(file);
	/* An error is one of the last write: the fd is closed all the same. */
	sl_fdtable_commit(&forgotten);
	return result;
}

FILE *sl_hook_freopen(const char *path, const char *mode, FILE *file)
{
	struct sl_fd_forgotten forgotten = sl_entry_closing(number_of(file));
	FILE *result = sl_real.freopen(path, mode, file);
	sl_fdtable_commit(&forgotten);
	return result;
}

FILE *sl_hook_freopen64(const char *path, const char *mode, FILE *file)
{
	struct sl_fd_forgotten forgotten = sl_entry_closing(number_of(file));
	FILE *result = sl_real.freopen64(path, mode, file);
	sl_fdtable_commit(&forgotten);
	return result;
}

/* The optional arguments go on as a list: no more than va_start() is done with them here. */
int sl_hook_vdprintf(int fd, const char *format, va_list arguments)
{
	return sl_guarded_may_print(fd) ? sl_real.vdprintf(fd, format, arguments) : -1;
}

int sl_hook___vdprintf_chk(int fd, int flag, const char *format, va_list arguments)
{
	return sl_guarded_may_print(fd) ? sl_real.__vdprintf_chk(fd, flag, format, arguments) : -1;
}

int sl_hook_dprintf(int fd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int result = sl_hook_vdprintf(fd, format, arguments);
	va_end(arguments);
	return result;
}

int sl_hook___dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int result = sl_hook___vdprintf_chk(fd, flag, format, arguments);
	va_end(arguments);
	return result;
}
