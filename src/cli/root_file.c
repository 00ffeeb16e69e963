/* root_file.c - see root_file.h. */
#include "cli/root_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int sl_root_file_open(int pid, const char *path, bool may_follow)
{
	char root[32] = "/";
	struct stat status;
	struct open_how how = {
		/* A pipe must not hold us up, a terminal not become ours. */
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = (pid ? RESOLVE_IN_ROOT : 0) | (may_follow ? 0 : RESOLVE_NO_SYMLINKS),
	};
	if (pid)
		(void)snprintf(root, sizeof(root), "/proc/%d/root", pid);
	const int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return -errno;
	int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
	const int error = fd < 0 ? -errno : 0;
	(void)close(folder);
	if (fd < 0)
		return error;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		return fd;
	(void)close(fd);
	return -EINVAL;
}
