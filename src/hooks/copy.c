/* copy.c - another number for the same socket: dup, dup2, dup3, fcntl. */
#include <errno.h>
#include <fcntl.h>

#include "base/ownfd.h"
#include "base/process.h"
#include "hooks/entry.h"
#include "hooks/real.h"
#include "ledger/openings.h"

#include "base/poison.h"

/* A call that takes the lowest free number, on its way. */
struct copying {
	bool is_ours;
	struct sl_openings_call call;
};

/* Before the real call. */
static struct copying copying(int fd)
{
	struct sl_fd_record record;
	if (!sl_fdtable_get(fd, &record) || !sl_entry_is_ours())
		return (struct copying){.is_ours = false};
	sl_fdtable_copying(fd);
	if (!sl_process_is_sandboxed())
		sl_fdtable_prepare();
	return (struct copying){true, sl_openings_begin(record.kind, -1)};
}

static void copied(int fd, int to, const struct copying *copying)
{
	if (copying->is_ours && to >= 0)
		(void)sl_fdtable_dup(fd, to);
	else if (copying->is_ours)
		sl_entry_failed(errno, -1);
	sl_openings_end(&copying->call);
}

int sl_hook_dup(int fd)
{
	struct copying call = copying(fd);
	int to = sl_real.dup(fd);
	copied(fd, to, &call);
	return to;
}

/* dup2() or dup3() on its way. */
struct replacement {
	bool is_ours;
	struct sl_fd_forgotten forgotten; /* what was at the target */
	uint64_t given_up; /* a number of ours: the program believes it to be free, and takes it */
	struct sl_openings_call call;
};

/* Before the real call: whatever is at `to` ends there. */
static struct replacement replacing(int fd, int to)
{
	struct replacement replacement = {.is_ours = fd != to && sl_entry_is_ours()};
	struct sl_fd_record record;
	replacement.forgotten.fd = -1;
	if (!replacement.is_ours)
		return replacement;
	replacement.given_up = sl_ownfd_yield(to);
	sl_fdtable_copying(fd);
	if (!sl_process_is_sandboxed())
		sl_fdtable_prepare();
	replacement.forgotten = sl_fdtable_forget(to);
	if (sl_fdtable_get(fd, &record))
		replacement.call = sl_openings_begin(record.kind, -1);
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
	sl_openings_end(&replacement->call);
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

/* Before fcntl(), which does many other things. */
static struct copying copying_by(int command, int fd)
{
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC
	               ? copying(fd)
	               : (struct copying){.is_ours = false};
}

int sl_hook_fcntl(int fd, int command, void *argument)
{
	struct copying call = copying_by(command, fd);
	int result = sl_real.fcntl(fd, command, argument);
	copied(fd, result, &call);
	return result;
}

int sl_hook_fcntl64(int fd, int command, void *argument)
{
	struct copying call = copying_by(command, fd);
	int result = sl_real.fcntl64(fd, command, argument);
	copied(fd, result, &call);
	return result;
}

int sl_hook___fcntl(int fd, int command, void *argument)
{
	struct copying call = copying_by(command, fd);
	int result = sl_real.__fcntl(fd, command, argument);
	copied(fd, result, &call);
	return result;
}
