/* transfer.c - bytes in and out: the data path.
 *
 * Each call costs one look at the fd's slot before and, for a tracked socket, one tick after. The slot's head is read
 * before the call, so that an end of file that comes when the number has long been given out again is not
 * written into the wrong record. Nothing here makes a system call, takes a lock, or writes what two sockets share.
 */
#include <sys/uio.h>

#include "hooks/entry.h"
#include "hooks/real.h"

#include "base/poison.h"

/* A socket as it was before the real call; slot NULL: not tracked. */
struct transfer {
	struct sl_fd_slot *slot;
	uint64_t head;
};

static inline struct transfer transfer_begin(int fd)
{
	struct transfer t = {.slot = sl_fdtable_slot(fd)};
	if (!t.slot)
		return t;
	t.head = atomic_load_explicit(&t.slot->head, memory_order_relaxed);
	if (sl_fd_state_of(t.head) != SL_FD_OPEN)
		t.slot = NULL;
	return t;
}

__attribute__((noinline, cold)) static void saw_eof(int fd, uint64_t head)
{
	if (sl_fd_kind_of(head) == SL_KIND_TCP)
		sl_fdtable_mark(fd, sl_fd_generation_of(head), SL_FD_EOF, 0);
}

/* `asked`: the call had room for at least a byte, so 0 means end of file. */
static inline void came_in(const struct transfer *t, int fd, ssize_t result, bool asked)
{
	if (!t->slot)
		return;
	sl_fd_touch(t->slot, SL_IO_READ);
	if (result == 0 && asked)
		saw_eof(fd, t->head);
}

static inline void went_out(const struct transfer *t)
{
	if (t->slot)
		sl_fd_touch(t->slot, SL_IO_WRITE);
}

static bool has_room(const struct iovec *iov, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (iov[i].iov_len > 0)
			return true;
	return false;
}

ssize_t sl_hook_read(int fd, void *bytes, size_t n)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.read(fd, bytes, n);
	came_in(&t, fd, result, n > 0);
	return result;
}

ssize_t sl_hook___read(int fd, void *bytes, size_t n)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.__read(fd, bytes, n);
	came_in(&t, fd, result, n > 0);
	return result;
}

ssize_t sl_hook___read_chk(int fd, void *bytes, size_t n, size_t room)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.__read_chk(fd, bytes, n, room);
	came_in(&t, fd, result, n > 0);
	return result;
}

ssize_t sl_hook_readv(int fd, const struct iovec *iov, int count)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.readv(fd, iov, count);
	came_in(&t, fd, result, result == 0 && count > 0 && has_room(iov, (size_t)count));
	return result;
}

ssize_t sl_hook_recv(int fd, void *bytes, size_t n, int flags)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.recv(fd, bytes, n, flags);
	came_in(&t, fd, result, n > 0);
	return result;
}

ssize_t sl_hook___recv_chk(int fd, void *bytes, size_t n, size_t room, int flags)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.__recv_chk(fd, bytes, n, room, flags);
	came_in(&t, fd, result, n > 0);
	return result;
}

ssize_t sl_hook_recvfrom(int fd, void *bytes, size_t n, int flags, struct sockaddr *from,
                         socklen_t *length)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.recvfrom(fd, bytes, n, flags, from, length);
	came_in(&t, fd, result, n > 0);
	return result;
}

ssize_t sl_hook___recvfrom_chk(int fd, void *bytes, size_t n, size_t room, int flags,
                               struct sockaddr *from, socklen_t *length)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.__recvfrom_chk(fd, bytes, n, room, flags, from, length);
	came_in(&t, fd, result, n > 0);
	return result;
}

ssize_t sl_hook_recvmsg(int fd, struct msghdr *message, int flags)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.recvmsg(fd, message, flags);
	came_in(&t, fd, result, result == 0 && has_room(message->msg_iov, message->msg_iovlen));
	return result;
}

int sl_hook_recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags,
                     struct timespec *timeout)
{
	struct transfer t = transfer_begin(fd);
	int result = sl_real.recvmmsg(fd, messages, count, flags, timeout);
	/* On a stream the end of file is a message of no bytes. */
	bool is_eof = result > 0 && messages[result - 1].msg_len == 0 &&
	              has_room(messages[result - 1].msg_hdr.msg_iov,
	                       messages[result - 1].msg_hdr.msg_iovlen);
	came_in(&t, fd, is_eof ? 0 : 1, is_eof);
	return result;
}

ssize_t sl_hook_write(int fd, const void *bytes, size_t n)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.write(fd, bytes, n);
	went_out(&t);
	return result;
}

ssize_t sl_hook___write(int fd, const void *bytes, size_t n)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.__write(fd, bytes, n);
	went_out(&t);
	return result;
}

ssize_t sl_hook_writev(int fd, const struct iovec *iov, int count)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.writev(fd, iov, count);
	went_out(&t);
	return result;
}

ssize_t sl_hook_send(int fd, const void *bytes, size_t n, int flags)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.send(fd, bytes, n, flags);
	went_out(&t);
	return result;
}

ssize_t sl_hook___send(int fd, const void *bytes, size_t n, int flags)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.__send(fd, bytes, n, flags);
	went_out(&t);
	return result;
}

ssize_t sl_hook_sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to,
                       socklen_t length)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.sendto(fd, bytes, n, flags, to, length);
	went_out(&t);
	return result;
}

ssize_t sl_hook_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct transfer t = transfer_begin(fd);
	ssize_t result = sl_real.sendmsg(fd, message, flags);
	went_out(&t);
	return result;
}

int sl_hook_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	struct transfer t = transfer_begin(fd);
	int result = sl_real.sendmmsg(fd, messages, count, flags);
	went_out(&t);
	return result;
}

ssize_t sl_hook_sendfile(int to, int from, off_t *offset, size_t n)
{
	struct transfer t = transfer_begin(to);
	ssize_t result = sl_real.sendfile(to, from, offset, n);
	went_out(&t);
	return result;
}

ssize_t sl_hook_sendfile64(int to, int from, off64_t *offset, size_t n)
{
	struct transfer t = transfer_begin(to);
	ssize_t result = sl_real.sendfile64(to, from, offset, n);
	went_out(&t);
	return result;
}

ssize_t sl_hook_splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t n,
                       unsigned int flags)
{
	struct transfer in = transfer_begin(from);
	struct transfer out = transfer_begin(to);
	ssize_t result = sl_real.splice(from, from_offset, to, to_offset, n, flags);
	came_in(&in, from, result, n > 0);
	went_out(&out);
	return result;
}
