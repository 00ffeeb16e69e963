#include "report/append.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/options.h"
#include "base/sys.h"

#include "base/poison.h"

int sl_append_create(const char *path, int flags)
{
	int fd = sl_sys_open(path, flags | O_CREAT | O_EXCL, 0600);
	if (fd >= 0)
		(void)SL_SYS2(SYS_fchmod, fd, sl_options.mode);
	return fd;
}

/* Open for appending. O_NONBLOCK: a FIFO without a reader must not hold the worker up. */
static int open_to_append(const char *path)
{
	const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = sl_sys_open(path, flags, 0);
	if (fd == -ENOENT)
		fd = sl_append_create(path, flags);
	if (fd == -EEXIST) /* another process was first */
		fd = sl_sys_open(path, flags, 0);
	return fd;
}

static bool is_same_file(int a, const struct stat *b)
{
	struct stat found;
	return a >= 0 && SL_SYS2(SYS_fstat, a, &found) == 0 && found.st_dev == b->st_dev &&
	       found.st_ino == b->st_ino;
}

/* The file that was opened is ours, or becomes so: the descriptor to go on with; -EBUSY: it is another's. */
static int take(struct sl_append *file, int fd)
{
	struct stat found;
	/* A pipe or a terminal is nobody's. */
	if (SL_SYS2(SYS_fstat, fd, &found) < 0 || !S_ISREG(found.st_mode))
		return fd;
	if (is_same_file(file->fd, &found)) {
		(void)sl_sys_close(fd);
		return file->fd;
	}
	/* A file system without locks has them all. */
	if (SL_SYS2(SYS_flock, fd, LOCK_EX | LOCK_NB) == -EWOULDBLOCK) {
		(void)sl_sys_close(fd);
		return -EBUSY;
	}
	if (file->fd >= 0)
		(void)sl_sys_close(file->fd);
	return file->fd = fd;
}

int sl_append_open(struct sl_append *file, const char *option, char *path)
{
	bool is_own = sl_paths_expand(option, path, SL_PATH_BYTES);
	if (file->is_taken && !is_own)
		sl_paths_add_pid(path, SL_PATH_BYTES);
	int fd = *path ? open_to_append(path) : -ENAMETOOLONG;
	if (fd < 0 || is_own || file->is_taken)
		return fd;
	fd = take(file, fd);
	if (fd != -EBUSY)
		return fd;
	file->is_taken = true;
	return sl_append_open(file, option, path);
}

void sl_append_close(const struct sl_append *file, int fd)
{
	if (fd != file->fd)
		(void)sl_sys_close(fd);
}
