/* root_file.c - see root_file.h. */
#include "cli/root_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int sl_root_open(int pid)
{
	char root[32] = "/";
	if (pid)
		(void)snprintf(root, sizeof(root), "/proc/%d/root", pid);
	const int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return folder < 0 ? -errno : folder;
}

static int open_at(int root, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	const struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = resolve,
	};
	const long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

int sl_root_open_at(int root, const char *path, int flags, mode_t mode, bool may_follow)
{
	return open_at(root, path, flags, mode,
	               RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
	                       (may_follow ? 0 : RESOLVE_NO_SYMLINKS));
}

int sl_root_file_open(int pid, const char *path, bool may_follow)
{
	struct stat status;
	const int folder = sl_root_open(pid);
	if (folder < 0)
		return folder;
	/* A pipe must not hold us up, a terminal not become ours. */
	const int fd =
		open_at(folder, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0,
	                (pid ? RESOLVE_IN_ROOT : 0) | (may_follow ? 0 : RESOLVE_NO_SYMLINKS));
	(void)close(folder);
	if (fd < 0)
		return fd;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		return fd;
	(void)close(fd);
	return -EINVAL;
}
