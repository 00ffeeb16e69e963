#include "base/ownfd.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/process.h"
#include "base/sys.h"

#include "base/poison.h"

/* What it was when it was taken << 32 | number + 1: in one word, so that nobody sees one without the other. 0: none. */
static _Atomic uint64_t own[SL_OWN_FDS];
_Atomic int sl_ownfd_lent = -1;
static _Atomic int lowest = SL_OWN_FD_FLOOR; /* no number of ours was ever below */

static int number_of(uint64_t word)
{
	return (int)((uint32_t)word - 1);
}

/* The word of what is at fd now. Anonymous fds that are not pipes or sockets share one inode: we take none of those. */
static uint64_t word_of(int fd)
{
	struct stat file;
	uint32_t what = 0;
	if (SL_SYS2(SYS_fstat, fd, &file) == 0)
		what = (uint32_t)file.st_ino + 0x9e3779b1u * (uint32_t)file.st_dev;
	return (uint64_t)what << 32 | ((uint32_t)fd + 1);
}

static bool list(uint64_t word)
{
	for (int i = 0; i < SL_OWN_FDS; i++) {
		uint64_t none = 0;
		if (atomic_compare_exchange_strong(&own[i], &none, word))
			return true;
	}
	return false;
}

bool sl_ownfd_keep(int fd)
{
	if (fd < atomic_load(&lowest))
		atomic_store(&lowest, fd);
	return list(word_of(fd));
}

/* Raise the soft limit towards the hard one for a moment. False: there is no room. */
static bool limit_raise(struct rlimit *before, struct rlimit *raised)
{
	if (SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, before) < 0 ||
	    before->rlim_cur >= before->rlim_max)
		return false;
	rlim_t wanted = (before->rlim_cur > SL_OWN_FD_FLOOR ? before->rlim_cur : SL_OWN_FD_FLOOR) +
	                2 * SL_OWN_FDS;
	*raised = *before;
	raised->rlim_cur = wanted < before->rlim_max ? wanted : before->rlim_max;
	return SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, raised, NULL) == 0;
}

/* Unless the program has set it meanwhile: that stays. */
static void limit_restore(const struct rlimit *before, const struct rlimit *raised)
{
	struct rlimit found;
	if (SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, before, &found) == 0 &&
	    (found.rlim_cur != raised->rlim_cur || found.rlim_max != raised->rlim_max))
		(void)SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, &found, NULL);
}

static int move_up(int fd)
{
	struct rlimit before, raised;
	int high = sl_sys_fcntl(fd, F_DUPFD_CLOEXEC, SL_OWN_FD_FLOOR);
	if (high >= 0 || !limit_raise(&before, &raised))
		return high;
	high = sl_sys_fcntl(fd, F_DUPFD_CLOEXEC, SL_OWN_FD_FLOOR);
	limit_restore(&before, &raised);
	return high;
}

int sl_ownfd_take(int fd)
{
	int high = move_up(fd);
	(void)sl_sys_close(fd);
	if (high < 0 || sl_ownfd_keep(high))
		return high;
	(void)sl_sys_close(high);
	return -EMFILE; /* of our own few places */
}

/* The word of this number, and where it is; 0: it is not ours. */
static uint64_t find(int fd, int *at)
{
	for (*at = 0; fd >= atomic_load_explicit(&lowest, memory_order_relaxed) && *at < SL_OWN_FDS;
	     ++*at) {
		uint64_t word = atomic_load_explicit(&own[*at], memory_order_relaxed);
		if (number_of(word) == fd)
			return word;
	}
	return 0;
}

/* 0: it was not ours, or not any more. */
static uint64_t unlist(int fd)
{
	int at;
	uint64_t word = find(fd, &at);
	return word && atomic_compare_exchange_strong(&own[at], &word, 0) ? word : 0;
}

uint64_t sl_ownfd_yield(int fd)
{
	return unlist(fd);
}

/* Without a place left it stays where it is, as one that the program could close. */
void sl_ownfd_put_back(uint64_t yielded)
{
	if (yielded)
		(void)list(yielded);
}

void sl_ownfd_close(int fd)
{
	if (sl_ownfd_is_true(fd) && unlist(fd))
		(void)sl_sys_close(fd);
}

bool sl_ownfd_is(int fd)
{
	int at;
	return find(fd, &at) != 0;
}

bool sl_ownfd_is_true(int fd)
{
	int at;
	uint64_t word = find(fd, &at);
	if (word == 0 || fd == atomic_load(&sl_ownfd_lent) || sl_process_is_sandboxed() ||
	    word == word_of(fd))
		return word != 0;
	/* What a child of vfork() and a thread apart have at the number says nothing of ours: their tables are others. */
	if (!sl_process_is_separate_thread() && sl_process_is_ours())
		(void)atomic_compare_exchange_strong(&own[at], &word, 0);
	return false;
}

int sl_ownfd_first_in(unsigned first, unsigned last)
{
	int first_own = -1;
	for (int i = 0; i < SL_OWN_FDS; i++) {
		int fd = number_of(atomic_load(&own[i]));
		if (fd >= 0 && (unsigned)fd >= first && (unsigned)fd <= last &&
		    (first_own < 0 || fd < first_own) && sl_ownfd_is_true(fd))
			first_own = fd;
	}
	return first_own;
}
