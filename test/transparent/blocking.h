/* blocking.h - the calls that block on a socket, each with what makes it block and what lets it go. */
#ifndef BLOCKING_H
#define BLOCKING_H

#include "threads.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>

/* What a case of them needs: a pair whose first end nobody writes to and that takes no more, and two listeners. */
struct place {
	int pair[2];
	int at;      /* nobody connects there */
	int held[2]; /* full: connect() blocks */
	int epoll;
	int fresh; /* not connected yet */
	int is_released;
	struct sockaddr_in address, full;
};

static inline void place_open(struct place *place)
{
	struct epoll_event event = {};
	tcp_pair(place->pair);
	fill(place->pair[0]);
	place->at = listener(&place->address);
	full_listener(&place->full, place->held);
	place->fresh = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	place->epoll = (int)MUST(epoll_create1(0));
	event.events = EPOLLIN;
	MUST(epoll_ctl(place->epoll, EPOLL_CTL_ADD, place->pair[0], &event));
}

static inline void place_close(struct place *place)
{
	int fds[] = {place->pair[0], place->pair[1], place->at,   place->held[0],
	             place->held[1], place->epoll,   place->fresh};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			MUST(close(fds[i]));
}

static inline long block_read(struct place *place)
{
	char byte;
	return read(place->pair[0], &byte, 1);
}

static inline long block_readv(struct place *place)
{
	char byte;
	struct iovec part = {&byte, 1};
	return readv(place->pair[0], &part, 1);
}

static inline long block_recv(struct place *place)
{
	char byte;
	return recv(place->pair[0], &byte, 1, 0);
}

static inline long block_recvfrom(struct place *place)
{
	char byte;
	return recvfrom(place->pair[0], &byte, 1, 0, NULL, NULL);
}

static inline long block_recvmsg(struct place *place)
{
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {};
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	return recvmsg(place->pair[0], &message, 0);
}

static inline long block_recvmmsg(struct place *place)
{
	char byte;
	struct iovec part = {&byte, 1};
	struct mmsghdr message = {};
	message.msg_hdr.msg_iov = &part;
	message.msg_hdr.msg_iovlen = 1;
	return recvmmsg(place->pair[0], &message, 1, 0, NULL);
}

/* The kernel asks the reader now and then, and then there is room for a little more: until nobody but let_go() makes it. */
#define UNTIL_RELEASED(place, call)                                       \
	({                                                                \
		long until_result;                                        \
		do                                                        \
			until_result = (call);                            \
		while (until_result == 1 && !get(&(place)->is_released)); \
		until_result;                                             \
	})

static inline long block_write(struct place *place)
{
	return UNTIL_RELEASED(place, write(place->pair[0], "x", 1));
}

static inline long block_writev(struct place *place)
{
	char byte = 'x';
	struct iovec part = {&byte, 1};
	return UNTIL_RELEASED(place, writev(place->pair[0], &part, 1));
}

static inline long block_send(struct place *place)
{
	return UNTIL_RELEASED(place, send(place->pair[0], "x", 1, 0));
}

static inline long block_sendto(struct place *place)
{
	return UNTIL_RELEASED(place, sendto(place->pair[0], "x", 1, 0, NULL, 0));
}

static inline long block_sendmsg(struct place *place)
{
	char byte = 'x';
	struct iovec part = {&byte, 1};
	struct msghdr message = {};
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	return UNTIL_RELEASED(place, sendmsg(place->pair[0], &message, 0));
}

static inline long block_sendmmsg(struct place *place)
{
	char byte = 'x';
	struct iovec part = {&byte, 1};
	struct mmsghdr message = {};
	message.msg_hdr.msg_iov = &part;
	message.msg_hdr.msg_iovlen = 1;
	return UNTIL_RELEASED(place, sendmmsg(place->pair[0], &message, 1, 0));
}

static inline long block_accept(struct place *place)
{
	return accept(place->at, NULL, NULL);
}

static inline long block_accept4(struct place *place)
{
	return accept4(place->at, NULL, NULL, SOCK_CLOEXEC);
}

static inline long block_connect(struct place *place)
{
	return connect(place->fresh, (struct sockaddr *)&place->full, sizeof(place->full));
}

static inline long block_poll(struct place *place)
{
	struct pollfd asked = {place->pair[0], POLLIN, 0};
	return poll(&asked, 1, -1);
}

static inline long block_select(struct place *place)
{
	fd_set asked;
	FD_ZERO(&asked);
	FD_SET(place->pair[0], &asked);
	return select(place->pair[0] + 1, &asked, NULL, NULL, NULL);
}

static inline long block_epoll_wait(struct place *place)
{
	struct epoll_event event;
	return epoll_wait(place->epoll, &event, 1, -1);
}

/* What lets it go. */
enum release { BY_BYTE, BY_READER, BY_PEER, BY_ROOM };

static const struct blocking {
	const char *name;
	long (*call)(struct place *place);
	long number; /* the system call */
	enum release release;
} blockings[] = {
	{"read", block_read, SYS_read, BY_BYTE},
	{"readv", block_readv, SYS_readv, BY_BYTE},
	{"recv", block_recv, SYS_recvfrom, BY_BYTE},
	{"recvfrom", block_recvfrom, SYS_recvfrom, BY_BYTE},
	{"recvmsg", block_recvmsg, SYS_recvmsg, BY_BYTE},
	{"recvmmsg", block_recvmmsg, SYS_recvmmsg, BY_BYTE},
	{"write", block_write, SYS_write, BY_READER},
	{"writev", block_writev, SYS_writev, BY_READER},
	{"send", block_send, SYS_sendto, BY_READER},
	{"sendto", block_sendto, SYS_sendto, BY_READER},
	{"sendmsg", block_sendmsg, SYS_sendmsg, BY_READER},
	{"sendmmsg", block_sendmmsg, SYS_sendmmsg, BY_READER},
	{"accept", block_accept, SYS_accept, BY_PEER},
	{"accept4", block_accept4, SYS_accept4, BY_PEER},
	{"connect", block_connect, SYS_connect, BY_ROOM},
	{"poll", block_poll, SYS_poll, BY_BYTE},
	{"select", block_select, SYS_select, BY_BYTE},
	{"epoll_wait", block_epoll_wait, SYS_epoll_wait, BY_BYTE},
};

#define BLOCKINGS (sizeof(blockings) / sizeof(blockings[0]))

/* select() and poll() have several numbers, libc chooses. */
static inline bool is_in(int tid, const struct blocking *blocking)
{
	long number = call_of(tid);
	return number == blocking->number ||
	       (blocking->number == SYS_select && number == SYS_pselect6) ||
	       (blocking->number == SYS_epoll_wait && number == SYS_epoll_pwait);
}

static inline void await_blocked(const int *tid, const struct blocking *blocking)
{
	AWAIT(get(tid) != 0 && is_in(get(tid), blocking));
}

/* Let a call that blocks at this place return. */
static inline void let_go(struct place *place, enum release release)
{
	if (release == BY_BYTE) {
		MUST(syscall(SYS_sendto, place->pair[1], "y", 1, 0, NULL, 0));
	} else if (release == BY_READER) {
		set(&place->is_released, 1);
		drain(place->pair[1]);
	} else if (release == BY_PEER)
		MUST(connect(place->fresh, (struct sockaddr *)&place->address,
		             sizeof(place->address)));
	else
		MUST(close((int)MUST(accept(place->held[0], NULL, NULL))));
}

/* After a call that nobody came back from: everything is used again, as if nothing had been. */
static inline void tell_use(struct place *place, const char *name)
{
	char byte = 0;
	drain(place->pair[1]);
	CALL(write(place->pair[0], "a", 1));
	MUST(read(place->pair[1], &byte, 1));
	MUST(write(place->pair[1], "b", 1));
	CALL(read(place->pair[0], &byte, 1));
	tell("%s: then %c", name, byte);
	int again = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(again, (struct sockaddr *)&place->address, sizeof(place->address)));
	int accepted = (int)MUST(accept(place->at, NULL, NULL));
	tell("%s: numbers %d %d", name, again, accepted);
	MUST(close(again));
	MUST(close(accepted));
}

#endif
