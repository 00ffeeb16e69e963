/* copy.c - another number for the same socket: dup, dup2, dup3, fcntl. */
#include <errno.h>
#include <fcntl.h>

#include "base/ownfd.h"
#include "base/process.h"
#include "base/sys.h"
#include "hooks/entry.h"
#include "hooks/real.h"

#include "base/poison.h"

/* Before a real call that takes the lowest free number. */
static bool copying(int fd)
{
	struct sl_fd_record record;
	if (!sl_fdtable_get(fd, &record) || !sl_entry_is_ours())
		return false;
	sl_fdtable_copying(fd);
	if (!sl_process_is_sandboxed())
		sl_fdtable_prepare();
	return true;
}

static void copied(int fd, int to, bool is_ours)
{
	if (is_ours && to >= 0)
		(void)sl_fdtable_dup(fd, to);
	else if (is_ours)
		sl_entry_failed(errno, -1);
}

int sl_hook_dup(int fd)
{
	bool is_ours = copying(fd);
	int to = sl_real.dup(fd);
	copied(fd, to, is_ours);
	return to;
}

/* A number of ours is given up: the program believes it to be free. Not for a call that is about to fail: nobody would
 * close ours then. */
static void give_up(int fd, int to, int flags)
{
	if (!sl_ownfd_is(to) || (flags & ~O_CLOEXEC))
		return;
	if (sl_process_is_sandboxed() || sl_sys_fcntl(fd, F_GETFD, 0) >= 0)
		sl_ownfd_yield(to);
}

/* Before dup2() and dup3(): whatever is at `to` ends there. */
static struct sl_fd_forgotten replacing(int fd, int to, int flags, bool *is_ours)
{
	struct sl_fd_forgotten none = {.fd = -1};
	*is_ours = fd != to && sl_entry_is_ours();
	if (!*is_ours)
		return none;
	give_up(fd, to, flags);
	sl_fdtable_copying(fd);
	if (!sl_process_is_sandboxed())
		sl_fdtable_prepare();
	return sl_fdtable_forget(to);
}

static void replaced(int fd, int to, bool is_ours, const struct sl_fd_forgotten *forgotten)
{
	if (!is_ours)
		return;
	if (to < 0)
		sl_fdtable_put_back(forgotten); /* a failed dup2() leaves `to` as it was (dup(2)) */
	else if (!sl_fdtable_dup(fd, to))
		sl_fdtable_commit(forgotten);
}

int sl_hook_dup2(int fd, int to)
{
	bool is_ours;
	struct sl_fd_forgotten forgotten = replacing(fd, to, 0, &is_ours);
	int result = sl_real.dup2(fd, to);
	replaced(fd, result, is_ours, &forgotten);
	return result;
}

int sl_hook_dup3(int fd, int to, int flags)
{
	bool is_ours;
	struct sl_fd_forgotten forgotten = replacing(fd, to, flags, &is_ours);
	int result = sl_real.dup3(fd, to, flags);
	replaced(fd, result, is_ours, &forgotten);
	return result;
}

static bool is_dup_command(int command)
{
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC;
}

int sl_hook_fcntl(int fd, int command, void *argument)
{
	bool is_ours = is_dup_command(command) && copying(fd);
	int result = sl_real.fcntl(fd, command, argument);
	copied(fd, result, is_ours);
	return result;
}

int sl_hook_fcntl64(int fd, int command, void *argument)
{
	bool is_ours = is_dup_command(command) && copying(fd);
	int result = sl_real.fcntl64(fd, command, argument);
	copied(fd, result, is_ours);
	return result;
}

int sl_hook___fcntl(int fd, int command, void *argument)
{
	bool is_ours = is_dup_command(command) && copying(fd);
	int result = sl_real.__fcntl(fd, command, argument);
	copied(fd, result, is_ours);
	return result;
}
