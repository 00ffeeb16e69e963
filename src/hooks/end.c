/* end.c - a socket is closed, or shut: close, close_range, closefrom, shutdown.
 *
 * Forget first, then close. The other way round, another thread could be given the number between the two, record
 * its socket, and lose that record to us.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/ownfd.h"
#include "base/process.h"
#include "base/sys.h"
#include "hooks/alone.h"
#include "hooks/entry.h"
#include "hooks/range.h"
#include "hooks/real.h"
#include "hooks/walker.h"
#include "ledger/sites.h"
#include "reclaim/reclaim.h"

#include "base/poison.h"

#define SL_CLOSE_RANGE_UNSHARE 2u /* linux/close_range.h */
#define SL_NOFILE_LOOKED_AT (1u << 20)

/* The real call: libc's, or past it. */
typedef int range_fn(unsigned first, unsigned last, int flags);

/* Before the real close(). That is a cancellation point, and a thread that was cancelled ends in it with the fd still
 * open: so it ends here, while the record is. */
static struct sl_fd_forgotten closing(int fd)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (slot && sl_fd_state_of(atomic_load(&slot->head)) == SL_FD_OPEN)
		pthread_testcancel();
	return sl_entry_closing(fd);
}

/* close() of a number of ours: the program believes it to be free. Only the stack walker closes a pipe of its own. What is there now is
 * asked for only where that is allowed. True: *result is the answer. */
static bool is_answered(int fd, const void *caller, int *result)
{
	*result = 0;
	if (sl_walker_closes(fd, caller))
		return true;
	if (!sl_ownfd_is(fd) || (!sl_process_is_sandboxed() && !sl_ownfd_is_true(fd)))
		return false;
	errno = EBADF;
	*result = -1;
	return true;
}

/* Whatever close() says, the number is gone: EINTR and EIO come after it was freed (close(2)). Where we had closed it before, and
 * nothing is there now, the program is not to notice. `before` is errno as it was. */
static int closed(int fd, int result, const struct sl_fd_forgotten *forgotten, int before)
{
	const struct sl_fd_slot *slot;
	struct sl_fd_record record = {.site = SL_SITE_NO_STACK};
	uint64_t head;
	sl_fdtable_commit(forgotten);
	if (result == 0 || errno != EBADF || !(slot = sl_fdtable_slot(fd)) ||
	    !((head = atomic_load(&slot->head)) & SL_MARK_LATE) || !sl_entry_is_ours())
		return result;
	bool is_known = sl_fd_is_closed_by_us(head) && sl_fdtable_get_closed(fd, head, &record);
	if (!sl_fdtable_absorb(fd))
		return result;
	if (is_known)
		sl_site_count_closed_late(record.site);
	sl_reclaim_absorbed();
	errno = before;
	return 0;
}

int sl_hook_close(int fd)
{
	int result, before = errno;
	if (is_answered(fd, SL_CALLER(), &result))
		return result;
	struct sl_fd_forgotten forgotten = closing(fd);
	return closed(fd, sl_real.close(fd), &forgotten, before);
}

int sl_hook___close(int fd)
{
	int result, before = errno;
	if (is_answered(fd, SL_CALLER(), &result))
		return result;
	struct sl_fd_forgotten forgotten = closing(fd);
	return closed(fd, sl_real.__close(fd), &forgotten, before);
}

/* Close first..last, in which no number is ours. The whole range is forgotten before and settled after. */
static int close_plain_range(range_fn *real, unsigned first, unsigned last, int flags, bool is_ours)
{
	if (first > last)
		return 0;
	if (is_ours)
		sl_fdtable_forget_range(first, last);
	int result = real(first, last, flags);
	if (is_ours)
		sl_fdtable_settle_range(first, last, result == 0);
	return result;
}

/* Around the numbers of ours. */
static int close_programs_range(range_fn *real, unsigned first, unsigned last, int flags)
{
	bool is_ours = sl_entry_is_ours();
	int own;
	while ((own = sl_ownfd_first_in(first, last)) >= 0) {
		int result =
			(unsigned)own == first
				? 0
				: close_plain_range(real, first, (unsigned)own - 1, flags, is_ours);
		if (result < 0 || (unsigned)own == last)
			return result;
		first = (unsigned)own + 1;
	}
	return close_plain_range(real, first, last, flags, is_ours);
}

static bool closes(unsigned first, unsigned last, int flags)
{
	return first <= last && !((unsigned)flags & ~SL_CLOSE_RANGE_UNSHARE);
}

/* In a table of the caller's own: that of its only thread, or a new one, of which the ledger knows nothing. */
static int close_range_unshared(range_fn *real, unsigned first, unsigned last, int flags)
{
	struct sl_alone alone;
	sl_alone_begin(&alone);
	int result = alone.is_single && closes(first, last, flags)
	                     ? close_programs_range(real, first, last, flags)
	                     : real(first, last, flags);
	sl_alone_end(&alone, result == 0);
	return result;
}

static int close_range_by(range_fn *real, unsigned first, unsigned last, int flags)
{
	if ((unsigned)flags & SL_CLOSE_RANGE_UNSHARE)
		return close_range_unshared(real, first, last, flags);
	return closes(first, last, flags) ? close_programs_range(real, first, last, flags)
	                                  : real(first, last, flags);
}

int sl_hook_close_range(unsigned int first, unsigned int last, int flags)
{
	return close_range_by(sl_real.close_range, first, last, flags);
}

static int real_past_libc(unsigned first, unsigned last, int flags)
{
	return (int)sl_real.syscall(SYS_close_range, first, last, flags, 0, 0, 0);
}

int sl_close_range_past_libc(unsigned first, unsigned last, int flags)
{
	return close_range_by(real_past_libc, first, last, flags);
}

/* Number by number, up to `end`: for a kernel without close_range(). Not with close(): closefrom() is no cancellation
 * point. */
static void close_each(unsigned first, unsigned end)
{
	for (unsigned fd = first; fd < end; fd++) {
		struct sl_fd_forgotten forgotten = sl_entry_closing((int)fd);
		(void)sl_sys_close((int)fd);
		sl_fdtable_commit(&forgotten);
	}
}

int sl_close_some(unsigned first, unsigned last, int flags)
{
	long result = SL_SYS3(SYS_close_range, first, last, flags);
	if (result >= 0)
		return 0;
	errno = (int)-result;
	return -1;
}

void sl_close_from(int first)
{
	struct rlimit limit = {.rlim_cur = SL_NOFILE_LOOKED_AT};
	unsigned from = first < 0 ? 0 : (unsigned)first;
	if (SL_SYS3(SYS_close_range, from, ~0u, 0) >= 0)
		return;
	(void)SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	close_each(from, limit.rlim_cur < SL_NOFILE_LOOKED_AT ? (unsigned)limit.rlim_cur
	                                                      : SL_NOFILE_LOOKED_AT);
}

void sl_hook_closefrom(int first)
{
	bool is_ours = sl_entry_is_ours();
	unsigned from = first < 0 ? 0 : (unsigned)first;
	int own;
	while ((own = sl_ownfd_first_in(from, INT32_MAX)) >= 0) {
		if ((unsigned)own > from &&
		    close_plain_range(sl_real.close_range, from, (unsigned)own - 1, 0, is_ours) < 0)
			close_each(from, (unsigned)own);
		from = (unsigned)own + 1;
	}
	if (is_ours)
		sl_fdtable_forget_range(from, INT32_MAX);
	sl_real.closefrom((int)from);
	if (is_ours)
		sl_fdtable_settle_range(from, INT32_MAX, true);
}

int sl_hook_shutdown(int fd, int how)
{
	bool is_ours = sl_entry_is_ours_at(fd);
	int result = sl_real.shutdown(fd, how);
	if (result == 0 && is_ours) {
		uint32_t flags = how == SHUT_RD   ? SL_FD_SHUT_READ
		                 : how == SHUT_WR ? SL_FD_SHUT_WRITE
		                                  : SL_FD_SHUT_READ | SL_FD_SHUT_WRITE;
		(void)sl_fdtable_mark_now(fd, flags, 0);
	}
	return result;
}
