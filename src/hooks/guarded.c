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

/* One call on its way through. A thread that never comes back from it, cancelled or by a jump out of a handler, leaves its count:
 * nothing is done then to what is open at that number, until it is closed. Nothing here takes part in how the thread leaves: an entry
 * in libc's list of clean-ups would outlive this frame where a C++ exception or setcontext() takes the thread past it. */
struct passage {
	struct sl_fd_slot *slot;
	uint64_t head; /* as it was when the call was counted: not worse before leave() */
	int fd;
	bool is_late; /* we had closed the number: that it is not open is a regret */
};

static void enter(struct passage *passage, int fd)
{
	passage->slot = sl_fdtable_slot(fd);
	passage->head = passage->slot ? sl_fdtable_write_begin(passage->slot) : 0;
	passage->fd = fd;
	passage->is_late = false;
	if (sl_fd_state_of(passage->head) == SL_FD_OPEN)
		sl_fd_touch(passage->slot, SL_IO_WRITE);
}

/* Its EBADF was our doing. */
static void regret_close(const struct passage *passage)
{
	int error = errno;
	if (error == EBADF)
		sl_regret_note_closed(passage->fd, passage->head);
	errno = error;
}

static void leave(struct passage *passage, ssize_t result)
{
	if (result < 0 && passage->is_late)
		regret_close(passage);
	if (passage->slot)
		sl_fdtable_write_end(passage->slot, passage->head);
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
	static const uint8_t tls13[] = {0x17, 0x03, 0x03, 0x00, 0x13};
	if (n == 24 && memcmp(bytes, tls13, sizeof(tls13)) == 0)
		return true;
	/* An alert, in the clear (2 bytes) or with what its cipher adds: 16 or 24 bytes for AEAD, blocks and a MAC for CBC. */
	return n >= 7 && n <= 5 + 96 && bytes[0] == 0x15 && bytes[1] == 0x03 && bytes[3] == 0 &&
	       bytes[4] == n - 5;
}

/* A number that we closed, and that nobody has yet. What is to be sent is looked at before the call, while something can be asked: the kernel
 * reads none of it before it says EBADF. */
static void look_at_closed(struct passage *passage, const void *bytes, size_t n)
{
	const size_t most = 5 + 96;
	if (!sl_fd_is_closed_by_us(passage->head) || sl_process_is_sandboxed())
		return;
	passage->is_late = n > most || !sl_sys_is_readable(bytes, n) || !is_goodbye(bytes, n);
}

static void look_at_closed_parts(struct passage *passage, const struct iovec *iov, size_t count)
{
	if (!sl_fd_is_closed_by_us(passage->head) || sl_process_is_sandboxed())
		return;
	bool is_plain = count == 1 && sl_sys_is_readable(iov, sizeof(*iov));
	look_at_closed(passage, is_plain ? iov->iov_base : NULL, is_plain ? iov->iov_len : 0);
}

static void look_at_closed_message(struct passage *passage, const struct msghdr *message)
{
	if (!sl_fd_is_closed_by_us(passage->head) || sl_process_is_sandboxed())
		return;
	bool is_readable = sl_sys_is_readable(message, sizeof(*message));
	look_at_closed_parts(passage, is_readable ? message->msg_iov : NULL,
	                     is_readable ? message->msg_iovlen : 0);
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

/* In a sandbox a program's write() is to be no other system call (seccomp(2)). */
static ssize_t write_silently(const struct passage *passage, const void *bytes, size_t n)
{
	int before = errno;
	if (sl_process_is_sandboxed())
		return has_met_the_end(passage) ? judge(passage, -1, bytes, n)
		                                : sl_real.write(passage->fd, bytes, n);
	ssize_t result = sl_real.send(passage->fd, bytes, n, MSG_NOSIGNAL);
	return is_no_socket(result, before) ? sl_real.write(passage->fd, bytes, n)
	                                    : judge(passage, result, bytes, n);
}

ssize_t sl_guarded_write(int fd, const void *bytes, size_t n)
{
	struct passage passage;
	enter(&passage, fd);
	look_at_closed(&passage, bytes, n);
	ssize_t result = is_silent(&passage) ? write_silently(&passage, bytes, n)
	                                     : sl_real.write(fd, bytes, n);
	leave(&passage, result);
	return result;
}

/* Of a call that failed, whose iovec the kernel has read: so may we. */
static ssize_t judge_parts(const struct passage *passage, ssize_t result, const struct iovec *iov,
                           size_t count)
{
	if (result >= 0 || errno != EPIPE || count != 1)
		return judge(passage, result, NULL, 0);
	return judge(passage, result, iov->iov_base, iov->iov_len);
}

static ssize_t writev_silently(const struct passage *passage, const struct iovec *iov, int count)
{
	int before = errno;
	if (sl_process_is_sandboxed())
		return has_met_the_end(passage) ? judge(passage, -1, NULL, 0)
		                                : sl_real.writev(passage->fd, iov, count);
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
	ssize_t result = sl_real.sendmsg(passage->fd, &message, MSG_NOSIGNAL);
	return is_no_socket(result, before) ? sl_real.writev(passage->fd, iov, count)
	                                    : judge_parts(passage, result, iov, (size_t)count);
}

ssize_t sl_guarded_writev(int fd, const struct iovec *iov, int count)
{
	struct passage passage;
	enter(&passage, fd);
	look_at_closed_parts(&passage, iov, (size_t)count);
	bool is_possible = count > 0 && count <= IOV_MAX;
	ssize_t result = is_possible && is_silent(&passage) ? writev_silently(&passage, iov, count)
	                                                    : sl_real.writev(fd, iov, count);
	leave(&passage, result);
	return result;
}

/* Fast open would connect a dead socket (tcp(7)). */
static int silent(int flags)
{
	return (flags & ~MSG_FASTOPEN) | MSG_NOSIGNAL;
}

ssize_t sl_guarded_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct passage passage;
	ssize_t result;
	enter(&passage, fd);
	look_at_closed_message(&passage, message);
	if (is_silent(&passage)) {
		result = sl_real.sendmsg(fd, message, silent(flags));
		result = result < 0 && errno == EPIPE
		                 ? judge_parts(&passage, result, message->msg_iov,
		                               message->msg_iovlen)
		                 : result;
	} else {
		result = sl_real.sendmsg(fd, message, flags);
	}
	leave(&passage, result);
	return result;
}

ssize_t sl_guarded_send(int fd, const void *bytes, size_t n, int flags)
{
	struct passage passage;
	enter(&passage, fd);
	look_at_closed(&passage, bytes, n);
	ssize_t result =
		is_silent(&passage)
			? judge(&passage, sl_real.send(fd, bytes, n, silent(flags)), bytes, n)
			: sl_real.send(fd, bytes, n, flags);
	leave(&passage, result);
	return result;
}

ssize_t sl_guarded_sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to,
                          socklen_t length)
{
	struct passage passage;
	enter(&passage, fd);
	look_at_closed(&passage, bytes, n);
	ssize_t result =
		is_silent(&passage)
			? judge(&passage, sl_real.sendto(fd, bytes, n, silent(flags), to, length),
	                        bytes, n)
			: sl_real.sendto(fd, bytes, n, flags, to, length);
	leave(&passage, result);
	return result;
}

int sl_guarded_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	struct passage passage;
	enter(&passage, fd);
	look_at_closed(&passage, NULL, 0);
	int result =
		is_silent(&passage)
			? (int)judge(&passage, sl_real.sendmmsg(fd, messages, count, silent(flags)),
	                             NULL, 0)
			: sl_real.sendmmsg(fd, messages, count, flags);
	leave(&passage, result);
	return result;
}

ssize_t sl_guarded_sendfile(int to, int from, off_t *offset, size_t n)
{
	struct passage passage;
	enter(&passage, to);
	look_at_closed(&passage, NULL, 0);
	ssize_t result = has_met_the_end(&passage) ? judge(&passage, -1, NULL, 0)
	                                           : sl_real.sendfile(to, from, offset, n);
	leave(&passage, result);
	return result;
}

ssize_t sl_guarded_splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t n,
                          unsigned flags)
{
	struct passage passage;
	enter(&passage, to);
	look_at_closed(&passage, NULL, 0);
	ssize_t result = has_met_the_end(&passage)
	                         ? judge(&passage, -1, NULL, 0)
	                         : sl_real.splice(from, from_offset, to, to_offset, n, flags);
	leave(&passage, result);
	return result;
}

bool sl_guarded_may_print(int fd)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	struct passage passage;
	if (!slot || !sl_fd_marks_of(atomic_load(&slot->head)))
		return true;
	enter(&passage, fd);
	bool is_over = has_met_the_end(&passage);
	if (is_over)
		(void)judge(&passage, -1, NULL, 0);
	leave(&passage, 0);
	return !is_over;
}

bool sl_guarded_is_ended(int fd)
{
	/* An action that is under way comes first, and none comes between this answer and the call. */
	sl_fdtable_copying(fd);
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	return sl_fd_state_of(head) == SL_FD_OPEN && (head & (SL_MARK_ENDED | SL_MARK_DEAD));
}
