#include "base/ownfd.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/sys.h"

#include "base/poison.h"

/* Number + 1, so that zeroed memory means none. */
static _Atomic int own[SL_OWN_FDS];
/* What it was when it was taken: anonymous fds that are not pipes or sockets share one inode, and we take none of those. */
static _Atomic uint64_t own_inodes[SL_OWN_FDS];

static uint64_t inode_of(int fd)
{
	struct stat file;
	return SL_SYS2(SYS_fstat, fd, &file) < 0 ? 0 : (uint64_t)file.st_ino;
}

static bool list(int fd)
{
	for (int i = 0; i < SL_OWN_FDS; i++) {
		int none = 0;
		if (atomic_compare_exchange_strong(&own[i], &none, fd + 1)) {
			atomic_store(&own_inodes[i], inode_of(fd));
			return true;
		}
	}
	return false;
}

/* Raise the soft limit towards the hard one for a moment. False: there is no room. */
static bool limit_raise(struct rlimit *before)
{
	struct rlimit raised;
	if (SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, before) < 0 ||
	    before->rlim_cur >= before->rlim_max)
		return false;
	rlim_t wanted = (before->rlim_cur > SL_OWN_FD_FLOOR ? before->rlim_cur : SL_OWN_FD_FLOOR) +
	                2 * SL_OWN_FDS;
	raised = *before;
	raised.rlim_cur = wanted < before->rlim_max ? wanted : before->rlim_max;
	return SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, &raised, NULL) == 0;
}

static void limit_restore(const struct rlimit *before)
{
	(void)SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, before, NULL);
}

static int move_up(int fd)
{
	struct rlimit before;
	int high = sl_sys_fcntl(fd, F_DUPFD_CLOEXEC, SL_OWN_FD_FLOOR);
	if (high >= 0 || !limit_raise(&before))
		return high;
	high = sl_sys_fcntl(fd, F_DUPFD_CLOEXEC, SL_OWN_FD_FLOOR);
	limit_restore(&before);
	return high;
}

int sl_ownfd_take(int fd)
{
	int high = move_up(fd);
	(void)sl_sys_close(fd);
	if (high < 0 || list(high))
		return high;
	(void)sl_sys_close(high);
	return -EMFILE; /* of our own few places */
}

/* False: it was not ours, or not any more. */
static bool unlist(int fd)
{
	if (fd < SL_OWN_FD_FLOOR || fd == INT_MAX)
		return false;
	for (int i = 0; i < SL_OWN_FDS; i++) {
		int listed = fd + 1;
		if (atomic_compare_exchange_strong(&own[i], &listed, 0))
			return true;
	}
	return false;
}

void sl_ownfd_yield(int fd)
{
	(void)unlist(fd);
}

void sl_ownfd_close(int fd)
{
	if (unlist(fd))
		(void)sl_sys_close(fd);
}

bool sl_ownfd_is(int fd)
{
	if (fd < SL_OWN_FD_FLOOR)
		return false;
	for (int i = 0; i < SL_OWN_FDS; i++)
		if (atomic_load_explicit(&own[i], memory_order_relaxed) - 1 == fd)
			return true;
	return false;
}

bool sl_ownfd_is_true(int fd)
{
	for (int i = 0; i < SL_OWN_FDS; i++) {
		if (atomic_load(&own[i]) - 1 != fd)
			continue;
		if (inode_of(fd) == atomic_load(&own_inodes[i]))
			return true;
		(void)unlist(fd);
	}
	return false;
}

int sl_ownfd_first_in(unsigned first, unsigned last)
{
	int lowest = -1;
	for (int i = 0; i < SL_OWN_FDS; i++) {
		int fd = atomic_load(&own[i]) - 1;
		if (fd >= 0 && (unsigned)fd >= first && (unsigned)fd <= last &&
		    (lowest < 0 || fd < lowest))
			lowest = fd;
	}
	return lowest;
}
