/* transfer.c - bytes in and out: the data path.
 *
 * Each call costs one look at the fd's slot and, for a tracked socket, one tick: after a read, for its result counts;
 * before a write, so that the worker sees one that is about to begin. A write to a socket that the worker has marked takes the
 * guarded way; everything else passes on at once. The slot's head is read before the call, so that an end of file that comes when the number has long been
 * given out again is not written into the wrong record. Nothing here makes a system call, takes a lock, or writes
 * what two sockets share.
 */
#include <string.h>
#include <sys/uio.h>

#include "base/ownfd.h"
#include "hooks/entry.h"
#include "hooks/guarded.h"
#include "hooks/passing.h"
#include "hooks/real.h"
#include "hooks/walker.h"

#include "base/poison.h"

/* What is read here may change meanwhile. A plain read all the same: it is one of an aligned word, and the compiler may
 * compare it where it lies, which it never does with an atomic one. */
#ifdef __SANITIZE_THREAD__ /* which knows the difference */
#define SL_PLAIN(type, atomic) __atomic_load_n((const type *)&(atomic), __ATOMIC_RELAXED)
#else
#define SL_PLAIN(type, atomic) (*(const type *)&(atomic))
#endif

/* A tracked socket as it was before the real call. Always volatile: so it lies on the stack, written once and, but for
 * the slot, hardly ever read again, where registers kept across the call would cost a push and a pop each. */
struct before {
	struct sl_fd_slot *slot;
	uint64_t head; /* as it was then */
	size_t room;   /* 0: the call asked for nothing, so its 0 means nothing */
	int flags;     /* of a recv() and its kin only */
};

/* The slot of this number if a socket is open there, else NULL. */
static inline struct sl_fd_slot *open_slot(int fd)
{
	struct sl_fd_place place;
	/* The state is the head's lowest byte: the processors we know are little-endian. */
	return sl_fdtable_locate(fd, &place) &&
	                       SL_PLAIN(uint8_t, sl_fdtable_at(&place)->head) == SL_FD_OPEN
	               ? sl_fdtable_found(place)
	               : NULL;
}

static inline void look_at(volatile struct before *before, struct sl_fd_slot *slot)
{
	before->slot = slot;
	before->head = atomic_load_explicit(&slot->head, memory_order_relaxed);
}

/* Before bytes in: false where fd is not tracked. */
static inline bool look_in(volatile struct before *before, int fd, size_t room)
{
	struct sl_fd_slot *slot = open_slot(fd);
	if (!slot)
		return false;
	look_at(before, slot);
	before->room = room;
	return true;
}

static inline void touch(struct sl_fd_slot *slot, enum sl_io io)
{
	uint32_t now = atomic_load_explicit(&sl_fd_tick, memory_order_relaxed) << SL_IO_BITS | io;
	/* Written only when it changes: a busy socket's line stays clean in its readers' caches. */
	if (SL_PLAIN(uint32_t, slot->last_io) != now)
		atomic_store_explicit(&slot->last_io, now, memory_order_relaxed);
}

/* The number of a slot: not kept across the call, for hardly a call asks for it. Chunks stay where they are. */
static int number_of(const struct sl_fd_slot *slot)
{
	for (size_t chunk = 0; chunk < SL_FD_CHUNKS; chunk++) {
		const struct sl_fd_slot *first = sl_fdtable_chunk(chunk);
		uintptr_t bytes = (uintptr_t)slot - (uintptr_t)first;
		if (first && bytes < SL_FD_CHUNK_SLOTS * sizeof(*slot))
			return (int)(chunk * SL_FD_CHUNK_SLOTS + bytes / sizeof(*slot));
	}
	return -1;
}

__attribute__((noinline, cold)) static void got_nothing(const void *caller,
                                                        const volatile struct before *before)
{
	uint64_t head = before->head;
	uint32_t generation = sl_fd_generation_of(head);
	struct sl_fd_record record;
	if (before->room == 0 || sl_fd_kind_of(head) != SL_KIND_TCP)
		return;
	int fd = number_of(before->slot);
	bool is_first = sl_fdtable_get(fd, &record) && record.generation == generation &&
	                !(record.flags & SL_FD_EOF);
	sl_fdtable_mark(fd, generation, SL_FD_EOF, 0);
	if (is_first)
		sl_entry_at_end(caller, &record);
}

/* In the door itself, so that the caller is the door's, and read only where it is asked for. */
__attribute__((always_inline)) static inline ssize_t came_in(const volatile struct before *before,
                                                             ssize_t result)
{
	touch(before->slot, SL_IO_READ);
	if (result == 0)
		got_nothing(SL_CALLER(), before);
	return result;
}

/* Before bytes out: true where the call must take the guarded way. */
static inline bool look_out(int fd)
{
	struct sl_fd_place place;
	/* Marks are the head's third byte, the state its lowest. Where nothing is recorded both are 0: one test, and on. A free number
	 * has marks where we have closed it. */
	if (!sl_fdtable_locate(fd, &place) ||
	    !(SL_PLAIN(uint64_t, sl_fdtable_at(&place)->head) & (SL_MARKS | 0xffu)))
		return false;
	struct sl_fd_slot *slot = sl_fdtable_found(place);
	if (__builtin_expect(SL_PLAIN(uint8_t, ((const uint8_t *)&slot->head)[2]), 0))
		return true;
	if (__builtin_expect(SL_PLAIN(uint8_t, slot->head) == SL_FD_OPEN, 1))
		touch(slot, SL_IO_WRITE);
	return false;
}

/* Of a call that got nothing, whose iovec the kernel has read: so may we. Messages of the error queue have no bytes
 * (ip(7), IP_RECVERR; MSG_ZEROCOPY): nothing from there is no end of file. */
__attribute__((noinline, cold)) static size_t room_of(const struct iovec *iov, size_t count,
                                                      int flags)
{
	size_t room = 0;
	for (size_t i = 0; !(flags & MSG_ERRQUEUE) && i < count && room == 0; i++)
		room = iov[i].iov_len;
	return room;
}

/* The same of one message: how much was asked for is judged when nothing came, which is seldom. */
static inline bool look_in_for(volatile struct before *before, int fd, size_t room, int flags)
{
	if (!look_in(before, fd, room))
		return false;
	before->flags = flags;
	return true;
}

__attribute__((always_inline)) static inline ssize_t came_in_for(
	const volatile struct before *before, ssize_t result)
{
	touch(before->slot, SL_IO_READ);
	if (result == 0 && !(before->flags & MSG_ERRQUEUE))
		got_nothing(SL_CALLER(), before);
	return result;
}

/* Reads of a byte or none: a walker of fds asks by such a read whether its pipe is still there. They stand apart, so that all
 * others need keep neither the caller nor how much was asked for. */
__attribute__((noinline)) static ssize_t read_little(int fd, void *bytes, size_t n,
                                                     const void *caller)
{
	volatile struct before before;
	if (n == 1 && fd >= SL_OWN_FD_FLOOR && sl_walker_has_lost(fd, caller))
		return -1;
	if (!look_in(&before, fd, n))
		return sl_real.read(fd, bytes, n);
	ssize_t result = sl_real.read(fd, bytes, n);
	touch(before.slot, SL_IO_READ);
	if (result == 0)
		got_nothing(caller, &before);
	return result;
}

/* Apart from the doors, which jump here: so these have no frame where they pass on at once. */
__attribute__((noinline)) static ssize_t read_tracked(int fd, void *bytes, size_t n,
                                                      struct sl_fd_slot *slot)
{
	volatile struct before before;
	look_at(&before, slot);
	ssize_t result = sl_real.read(fd, bytes, n);
	touch(before.slot, SL_IO_READ);
	if (result == 0) {
		before.room = 1; /* at least */
		got_nothing(SL_CALLER(), &before);
	}
	return result;
}

ssize_t sl_hook_read(int fd, void *bytes, size_t n)
{
	if (n <= 1)
		return read_little(fd, bytes, n, SL_CALLER());
	struct sl_fd_slot *slot = open_slot(fd);
	return slot ? read_tracked(fd, bytes, n, slot) : sl_real.read(fd, bytes, n);
}

ssize_t sl_hook___read(int fd, void *bytes, size_t n)
{
	volatile struct before before;
	if (!look_in(&before, fd, n))
		return sl_real.__read(fd, bytes, n);
	return came_in(&before, sl_real.__read(fd, bytes, n));
}

ssize_t sl_hook___read_chk(int fd, void *bytes, size_t n, size_t room)
{
	volatile struct before before;
	if (!look_in(&before, fd, n))
		return sl_real.__read_chk(fd, bytes, n, room);
	return came_in(&before, sl_real.__read_chk(fd, bytes, n, room));
}

ssize_t sl_hook_readv(int fd, const struct iovec *iov, int count)
{
	volatile struct before before;
	if (!look_in(&before, fd, 0))
		return sl_real.readv(fd, iov, count);
	const struct iovec *volatile asked = iov;
	volatile int asked_count = count;
	ssize_t result = sl_real.readv(fd, iov, count);
	if (result == 0)
		before.room = room_of(asked, (size_t)asked_count, 0);
	return came_in(&before, result);
}

__attribute__((noinline)) static ssize_t recv_tracked(int fd, void *bytes, size_t n, int flags,
                                                      struct sl_fd_slot *slot)
{
	volatile struct before before;
	look_at(&before, slot);
	before.room = n;
	before.flags = flags;
	return came_in_for(&before, sl_real.recv(fd, bytes, n, flags));
}

ssize_t sl_hook_recv(int fd, void *bytes, size_t n, int flags)
{
	struct sl_fd_slot *slot = open_slot(fd);
	return slot ? recv_tracked(fd, bytes, n, flags, slot) : sl_real.recv(fd, bytes, n, flags);
}

ssize_t sl_hook___recv_chk(int fd, void *bytes, size_t n, size_t room, int flags)
{
	volatile struct before before;
	if (!look_in_for(&before, fd, n, flags))
		return sl_real.__recv_chk(fd, bytes, n, room, flags);
	return came_in_for(&before, sl_real.__recv_chk(fd, bytes, n, room, flags));
}

ssize_t sl_hook_recvfrom(int fd, void *bytes, size_t n, int flags, struct sockaddr *from,
                         socklen_t *length)
{
	volatile struct before before;
	if (!look_in_for(&before, fd, n, flags))
		return sl_real.recvfrom(fd, bytes, n, flags, from, length);
	return came_in_for(&before, sl_real.recvfrom(fd, bytes, n, flags, from, length));
}

ssize_t sl_hook___recvfrom_chk(int fd, void *bytes, size_t n, size_t room, int flags,
                               struct sockaddr *from, socklen_t *length)
{
	volatile struct before before;
	if (!look_in_for(&before, fd, n, flags))
		return sl_real.__recvfrom_chk(fd, bytes, n, room, flags, from, length);
	return came_in_for(&before,
	                   sl_real.__recvfrom_chk(fd, bytes, n, room, flags, from, length));
}

ssize_t sl_hook_recvmsg(int fd, struct msghdr *message, int flags)
{
	volatile struct before before;
	if (!look_in(&before, fd, 0))
		return sl_real.recvmsg(fd, message, flags);
	const struct msghdr *volatile asked = message;
	volatile int asked_flags = flags;
	ssize_t result = sl_real.recvmsg(fd, message, flags);
	if (result == 0)
		before.room = room_of(asked->msg_iov, asked->msg_iovlen, asked_flags);
	return came_in(&before, result);
}

int sl_hook_recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags,
                     struct timespec *timeout)
{
	volatile struct before before;
	if (!look_in(&before, fd, 0))
		return sl_real.recvmmsg(fd, messages, count, flags, timeout);
	int result = (int)came_in(&before, sl_real.recvmmsg(fd, messages, count, flags, timeout));
	/* On a stream the end of file is a message of no bytes. */
	const struct msghdr *last = result > 0 ? &messages[result - 1].msg_hdr : NULL;
	if (last && messages[result - 1].msg_len == 0) {
		before.room = room_of(last->msg_iov, last->msg_iovlen, flags);
		got_nothing(SL_CALLER(), &before);
	}
	return result;
}

ssize_t sl_hook_write(int fd, const void *bytes, size_t n)
{
	if (look_out(fd))
		return sl_guarded_write(fd, bytes, n);
	return sl_real.write(fd, bytes, n);
}

ssize_t sl_hook___write(int fd, const void *bytes, size_t n)
{
	if (look_out(fd))
		return sl_guarded_write(fd, bytes, n);
	return sl_real.__write(fd, bytes, n);
}

ssize_t sl_hook_writev(int fd, const struct iovec *iov, int count)
{
	if (look_out(fd))
		return sl_guarded_writev(fd, iov, count);
	return sl_real.writev(fd, iov, count);
}

ssize_t sl_hook_send(int fd, const void *bytes, size_t n, int flags)
{
	if (look_out(fd))
		return sl_guarded_send(fd, bytes, n, flags);
	return sl_real.send(fd, bytes, n, flags);
}

ssize_t sl_hook___send(int fd, const void *bytes, size_t n, int flags)
{
	if (look_out(fd))
		return sl_guarded_send(fd, bytes, n, flags);
	return sl_real.__send(fd, bytes, n, flags);
}

ssize_t sl_hook_sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to,
                       socklen_t length)
{
	if (look_out(fd))
		return sl_guarded_sendto(fd, bytes, n, flags, to, length);
	return sl_real.sendto(fd, bytes, n, flags, to, length);
}

/* Only through such a socket others are sent; and before anything is guarded nothing can come between the call and the note of it. */
static inline bool may_pass(int fd)
{
	struct sl_fd_slot *slot = open_slot(fd);
	return slot && sl_fd_kind_of(SL_PLAIN(uint64_t, slot->head)) == SL_KIND_UNIX &&
	       atomic_load_explicit(&sl_fd_is_guarding, memory_order_relaxed);
}

__attribute__((noinline, cold)) static ssize_t pass_message(int fd, const struct msghdr *message,
                                                            int flags)
{
	const struct sl_messages messages = {message, sizeof(*message), 1};
	struct sl_passing passing;
	sl_passing_begin(&passing, &messages);
	ssize_t result = sl_real.sendmsg(fd, message, flags);
	sl_passing_end(&passing, &messages, result < 0 ? -1 : 1);
	return result;
}

ssize_t sl_hook_sendmsg(int fd, const struct msghdr *message, int flags)
{
	bool is_guarded = look_out(fd);
	if (!is_guarded && may_pass(fd))
		return pass_message(fd, message, flags);
	ssize_t result = is_guarded ? sl_guarded_sendmsg(fd, message, flags)
	                            : sl_real.sendmsg(fd, message, flags);
	if (result >= 0 && message->msg_controllen > 0)
		sl_passing_note(message);
	return result;
}

__attribute__((noinline, cold)) static int pass_messages(int fd, struct mmsghdr *of,
                                                         unsigned int count, int flags)
{
	const struct sl_messages messages = {of, sizeof(*of), count};
	struct sl_passing passing;
	sl_passing_begin(&passing, &messages);
	int result = sl_real.sendmmsg(fd, of, count, flags);
	sl_passing_end(&passing, &messages, result);
	return result;
}

int sl_hook_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	bool is_guarded = look_out(fd);
	if (!is_guarded && may_pass(fd))
		return pass_messages(fd, messages, count, flags);
	int result = is_guarded ? sl_guarded_sendmmsg(fd, messages, count, flags)
	                        : sl_real.sendmmsg(fd, messages, count, flags);
	for (int i = 0; i < result; i++)
		if (messages[i].msg_hdr.msg_controllen > 0)
			sl_passing_note(&messages[i].msg_hdr);
	return result;
}

ssize_t sl_hook_sendfile(int to, int from, off_t *offset, size_t n)
{
	if (look_out(to))
		return sl_guarded_sendfile(to, from, offset, n);
	return sl_real.sendfile(to, from, offset, n);
}

ssize_t sl_hook_sendfile64(int to, int from, off64_t *offset, size_t n)
{
	if (look_out(to))
		return sl_guarded_sendfile(to, from, offset, n);
	return sl_real.sendfile64(to, from, offset, n);
}

ssize_t sl_hook_splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t n,
                       unsigned int flags)
{
	volatile struct before in;
	bool has_in = look_in(&in, from, n);
	/* It may wait for the pipe as long as it likes: always announced. */
	ssize_t result = open_slot(to) || look_out(to)
	                         ? sl_guarded_splice(from, from_offset, to, to_offset, n, flags)
	                         : sl_real.splice(from, from_offset, to, to_offset, n, flags);
	if (has_in)
		(void)came_in(&in, result);
	return result;
}
