/* copy.c - another number for the same socket: dup, dup2, dup3, fcntl. */
#include <errno.h>
#include <fcntl.h>

#include "base/ownfd.h"
#include "base/process.h"
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

/* dup2() or dup3() on its way. */
struct replacement {
	bool is_ours;
	struct sl_fd_forgotten forgotten; /* what was at the target */
	uint64_t given_up; /* a number of ours: the program believes it to be free, and takes it */
};

/* Before the real call: whatever is at `to` ends there. */
static struct replacement replacing(int fd, int to)
{
	struct replacement replacement = {.is_ours = fd != to && sl_entry_is_ours()};
	replacement.forgotten.fd = -1;
	if (!replacement.is_ours)
		return replacement;
	replacement.given_up = sl_ownfd_yield(to);
	sl_fdtable_copying(fd);
	if (!sl_process_is_sandboxed())
		sl_fdtable_prepare();
	replacement.forgotten = sl_fdtable_forget(to);
	return replacement;
}

static void replaced(int fd, int to, const struct replacement *replacement)
{
	if (!replacement->is_ours)
		return;
	if (to < 0) { /* a failed dup2() leaves the target as it was (dup(2)) */
		sl_fdtable_put_back(&replacement->forgotten);
		sl_ownfd_put_back(replacement->given_up);
	} else if (!sl_fdtable_dup(fd, to)) {
		sl_fdtable_commit(&replacement->forgotten);
	}
}

int sl_hook_dup2(int fd, int to)
{
	struct replacement replacement = replacing(fd, to);
	int result = sl_real.dup2(fd, to);
	replaced(fd, result, &replacement);
	return result;
}

int sl_hook___dup2(int fd, int to)
{
	struct replacement replacement = replacing(fd, to);
	int result = sl_real.__dup2(fd, to);
	replaced(fd, result, &replacement);
	return result;
}

int sl_hook_dup3(int fd, int to, int flags)
{
	struct replacement replacement = replacing(fd, to);
	int result = sl_real.dup3(fd, to, flags);
	replaced(fd, result, &replacement);
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
