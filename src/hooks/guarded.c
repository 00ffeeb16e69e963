#include "hooks/guarded.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/process.h"
#include "base/sys.h"
#include "hooks/entry.h"
#include "hooks/real.h"
#include "reclaim/regret.h"

#include "base/poison.h"

/* One call on its way through. Left by a cancelled thread too: the compiler's cleanup runs while it unwinds. */
struct passage {
	struct sl_fd_slot *slot;
	uint64_t head; /* what it was when the call was counted: it cannot become worse before leave() */
	int fd;
};

/* A handler may have forked meanwhile: in the child nothing is counted any more. */
static void leave(struct passage *passage)
{
	uint32_t count = passage->slot ? atomic_load(&passage->slot->writers) : 0;
	while (count > 0 &&
	       !atomic_compare_exchange_weak(&passage->slot->writers, &count, count - 1))
		;
}

#define SL_PASSAGE __attribute__((cleanup(leave))) struct passage

static struct passage enter(int fd)
{
	struct passage passage = {.slot = sl_fdtable_slot(fd), .fd = fd};
	if (!passage.slot)
		return passage;
	/* Counted first, then looked at: the worker does it the other way round. */
	atomic_fetch_add(&passage.slot->writers, 1);
	passage.head = atomic_load(&passage.slot->head);
	if (passage.head & SL_MARK_HELD) {
		sl_fdtable_await_release(passage.slot);
		passage.head = atomic_load(&passage.slot->head);
	}
	if (sl_fd_state_of(passage.head) == SL_FD_OPEN)
		sl_fd_touch(passage.slot, SL_IO_WRITE);
	return passage;
}

static bool is_ended(const struct passage *passage)
{
	return passage->head & (SL_MARK_ENDED | SL_MARK_DEAD);
}

/* May the end of the connection be our doing? A program that shut it down itself is due its signal. */
static bool is_silent(const struct passage *passage)
{
	struct sl_fd_record record;
	if (is_ended(passage))
		return true;
	return (passage->head & SL_MARK_PROBED) && sl_fdtable_get(passage->fd, &record) &&
	       !(record.flags & SL_FD_SHUT_WRITE);
}

/* What a TLS program says as it closes, late as it may be, is no attempt to use the connection (RFC 8446, 6.1). */
static bool is_goodbye(const uint8_t *bytes, size_t n)
{
	static const uint8_t tls12[] = {0x15, 0x03, 0x03, 0x00, 0x1a};
	static const uint8_t tls13[] = {0x17, 0x03, 0x03, 0x00, 0x13};
	return (n == 31 && memcmp(bytes, tls12, sizeof(tls12)) == 0) ||
	       (n == 24 && memcmp(bytes, tls13, sizeof(tls13)) == 0);
}

static ssize_t judge(const struct passage *passage, ssize_t result, const void *bytes, size_t n)
{
	int error = errno;
	if (result < 0 && error == EPIPE && is_ended(passage) && !(bytes && is_goodbye(bytes, n)))
		sl_regret_note(passage->fd, passage->head);
	errno = error;
	return result;
}

/* The number was closed past the hooks, and is a file or pipe by now (the record is dropped at the next sweep). The call itself is
 * still to come then: errno is as it was `before`. */
static bool is_no_socket(ssize_t result, int before)
{
	if (result >= 0 || errno != ENOTSOCK)
		return false;
	errno = before;
	return true;
}

/* For calls that have no MSG_NOSIGNAL: ask with a send of nothing. True: the connection has ended, errno says so. An error that was
 * pending is the call's too: taken away by the asking, it would leave the signal to the call. In a sandbox only the program's own
 * calls are allowed (seccomp(2)): nothing is asked, what we ended has ended. */
static bool has_met_the_end(const struct passage *passage)
{
	long result = 0;
	if (!is_silent(passage))
		return false;
	if (!sl_process_is_sandboxed())
		result = sl_syscall6(SYS_sendto, passage->fd, (long)"", 0,
		                     MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
	else if (is_ended(passage))
		result = -EPIPE;
	if (result >= 0 || result == -EAGAIN || result == -ENOTSOCK || result == -EBADF)
		return false;
	errno = (int)-result;
	return true;
}

ssize_t sl_guarded_write(int fd, const void *bytes, size_t n)
{
	SL_PASSAGE passage = enter(fd);
	if (!is_silent(&passage))
		return sl_real.write(fd, bytes, n);
	if (sl_process_is_sandboxed())
		return has_met_the_end(&passage) ? judge(&passage, -1, bytes, n)
		                                 : sl_real.write(fd, bytes, n);
	int before = errno;
	ssize_t result = sl_real.send(fd, bytes, n, MSG_NOSIGNAL);
	return is_no_socket(result, before) ? sl_real.write(fd, bytes, n)
	                                    : judge(&passage, result, bytes, n);
}

static bool is_one_goodbye(const struct iovec *iov, size_t count)
{
	return count == 1 && is_goodbye(iov->iov_base, iov->iov_len);
}

ssize_t sl_guarded_sendmsg(int fd, const struct msghdr *message, int flags)
{
	SL_PASSAGE passage = enter(fd);
	if (!is_silent(&passage))
		return sl_real.sendmsg(fd, message, flags);
	/* Fast open would connect a dead socket (tcp(7)). */
	ssize_t result = sl_real.sendmsg(fd, message, (flags & ~MSG_FASTOPEN) | MSG_NOSIGNAL);
	bool is_one = result < 0 && errno == EPIPE &&
	              is_one_goodbye(message->msg_iov, message->msg_iovlen);
	return is_one ? result : judge(&passage, result, NULL, 0);
}

ssize_t sl_guarded_writev(int fd, const struct iovec *iov, int count)
{
	SL_PASSAGE passage = enter(fd);
	if (!is_silent(&passage) || count <= 0 || count > IOV_MAX)
		return sl_real.writev(fd, iov, count);
	if (sl_process_is_sandboxed())
		return has_met_the_end(&passage) ? judge(&passage, -1, NULL, 0)
		                                 : sl_real.writev(fd, iov, count);
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
	int before = errno;
	ssize_t result = sl_real.sendmsg(fd, &message, MSG_NOSIGNAL);
	if (is_no_socket(result, before))
		return sl_real.writev(fd, iov, count);
	bool is_one = result < 0 && errno == EPIPE && is_one_goodbye(iov, (size_t)count);
	return is_one ? result : judge(&passage, result, NULL, 0);
}

ssize_t sl_guarded_send(int fd, const void *bytes, size_t n, int flags)
{
	SL_PASSAGE passage = enter(fd);
	if (!is_silent(&passage))
		return sl_real.send(fd, bytes, n, flags);
	return judge(&passage, sl_real.send(fd, bytes, n, (flags & ~MSG_FASTOPEN) | MSG_NOSIGNAL),
	             bytes, n);
}

ssize_t sl_guarded_sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to,
                          socklen_t length)
{
	SL_PASSAGE passage = enter(fd);
	if (!is_silent(&passage))
		return sl_real.sendto(fd, bytes, n, flags, to, length);
	return judge(&passage,
	             sl_real.sendto(fd, bytes, n, (flags & ~MSG_FASTOPEN) | MSG_NOSIGNAL, to, length),
	             bytes, n);
}

int sl_guarded_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	SL_PASSAGE passage = enter(fd);
	if (!is_silent(&passage))
		return sl_real.sendmmsg(fd, messages, count, flags);
	return (int)judge(&passage,
	                  sl_real.sendmmsg(fd, messages, count,
	                                   (flags & ~MSG_FASTOPEN) | MSG_NOSIGNAL),
	                  NULL, 0);
}

ssize_t sl_guarded_sendfile(int to, int from, off_t *offset, size_t n)
{
	SL_PASSAGE passage = enter(to);
	if (has_met_the_end(&passage))
		return judge(&passage, -1, NULL, 0);
	return sl_real.sendfile(to, from, offset, n);
}

ssize_t sl_guarded_splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t n,
                          unsigned flags)
{
	SL_PASSAGE passage = enter(to);
	if (has_met_the_end(&passage))
		return judge(&passage, -1, NULL, 0);
	return sl_real.splice(from, from_offset, to, to_offset, n, flags);
}

bool sl_guarded_may_print(int fd)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (!slot || !sl_fd_marks_of(atomic_load(&slot->head)))
		return true;
	SL_PASSAGE passage = enter(fd);
	return !has_met_the_end(&passage) || judge(&passage, -1, NULL, 0) == 0;
}

bool sl_guarded_is_ended(int fd)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	return sl_fd_state_of(head) == SL_FD_OPEN && (head & (SL_MARK_ENDED | SL_MARK_DEAD));
}
