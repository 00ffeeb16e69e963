/* passing - descriptors in messages (SCM_RIGHTS): to others, to oneself, to a child; and messages that are too short for them. */
#include "cases.h"

#include <poll.h>

#define MOST 8

struct passed {
	struct msghdr message;
	struct iovec iov;
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST * sizeof(int))];
};

static struct msghdr *with_fds(struct passed *passed, const int *fds, unsigned n)
{
	memset(passed, 0, sizeof(*passed));
	passed->byte = 'p';
	passed->iov = (struct iovec){&passed->byte, 1};
	passed->message.msg_iov = &passed->iov;
	passed->message.msg_iovlen = 1;
	passed->message.msg_control = passed->control;
	passed->message.msg_controllen = n ? CMSG_SPACE(n * sizeof(int)) : sizeof(passed->control);
	if (n == 0)
		return &passed->message;
	struct cmsghdr *rights = CMSG_FIRSTHDR(&passed->message);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(rights), fds, n * sizeof(int));
	return &passed->message;
}

/* The descriptors that came; how many. */
static unsigned taken(struct passed *passed, int *fds)
{
	struct cmsghdr *rights = CMSG_FIRSTHDR(&passed->message);
	if (!rights || rights->cmsg_type != SCM_RIGHTS)
		return 0;
	unsigned n = (unsigned)((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fds, CMSG_DATA(rights), n * sizeof(int));
	return n;
}

static unsigned receive(int at, int flags, int *fds)
{
	struct passed passed;
	CALL(recvmsg(at, with_fds(&passed, NULL, 0), flags));
	unsigned n = taken(&passed, fds);
	tell("flags %x, %u:", (unsigned)passed.message.msg_flags & (MSG_CTRUNC | MSG_TRUNC), n);
	for (unsigned i = 0; i < n; i++)
		tell("  %d %s, close-on-exec %d", fds[i], kind_of(fds[i]) ? kind_of(fds[i]) : "-",
		     fcntl(fds[i], F_GETFD));
	return n;
}

static void to_oneself(void)
{
	int way[2], ends[2], fds[MOST];
	char byte = 0;
	struct passed passed;
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, way));
	tcp_pair(ends);
	CALL(sendmsg(way[0], with_fds(&passed, ends, 2), 0));
	receive(way[1], 0, fds);
	CALL(send(fds[0], "x", 1, 0));
	CALL(recv(ends[1], &byte, 1, 0));
	CALL(close(ends[0]));
	CALL(send(fds[0], "y", 1, 0));
	CALL(recv(fds[1], &byte, 1, 0));
	tell("%c", byte);
	CALL(sendmsg(way[0], with_fds(&passed, fds, 1), 0));
	receive(way[1], MSG_CMSG_CLOEXEC, fds + 2);
	CALL(shutdown(fds[2], SHUT_WR));
	CALL(recv(ends[1], &byte, 1, 0));
}

/* Sent, and closed here before anybody has taken it. */
static void closed_on_the_way(void)
{
	int way[2], ends[2], fds[MOST];
	char byte = 0;
	struct passed passed;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
	tcp_pair(ends);
	CALL(sendmsg(way[0], with_fds(&passed, ends, 1), 0));
	CALL(close(ends[0]));
	CALL(recv(ends[1], &byte, 1, MSG_DONTWAIT));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	receive(way[1], 0, fds);
	CALL(send(fds[0], "x", 1, 0));
	CALL(recv(ends[1], &byte, 1, 0));
	CALL(sendmsg(way[0], with_fds(&passed, fds, 1), 0));
	CALL(close(fds[0]));
	CALL(close(way[1])); /* and thrown away */
	CALL(recv(ends[1], &byte, 1, 0));
}

static void room_for_some(void)
{
	int way[2], ends[2], copies[4], fds[MOST];
	struct passed passed;
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, way));
	tcp_pair(ends);
	for (int i = 0; i < 4; i++)
		copies[i] = (int)MUST(dup(ends[i % 2]));
	CALL(sendmsg(way[0], with_fds(&passed, copies, 4), 0));
	with_fds(&passed, NULL, 0)->msg_controllen = CMSG_LEN(2 * sizeof(int));
	CALL(recvmsg(way[1], &passed.message, 0));
	tell("%d, %x", taken(&passed, fds), passed.message.msg_flags & MSG_CTRUNC);
	CALL(sendmsg(way[0], with_fds(&passed, copies, 2), 0));
	with_fds(&passed, NULL, 0)->msg_controllen = 3;
	CALL(recvmsg(way[1], &passed.message, 0));
	tell("%x", passed.message.msg_flags & MSG_CTRUNC);
	CALL(sendmsg(way[0], with_fds(&passed, copies, 2), 0));
	CALL(recv(way[1], fds, 1, 0)); /* no room at all: they are dropped */
	CALL(sendmsg(way[0], with_fds(&passed, copies, 1), 0));
	receive(way[1], MSG_PEEK, fds); /* a peek gives one as well */
	receive(way[1], 0, fds);
	tell_fds("open");
}

static void what_cannot_be_passed(void)
{
	int way[2], ends[2], bad[2] = {0, 777}, fds[MOST];
	struct passed passed;
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, way));
	tcp_pair(ends);
	CALL(sendmsg(way[0], with_fds(&passed, bad, 2), 0));
	CALL(sendmsg(way[0], with_fds(&passed, &(int){-1}, 1), 0));
	with_fds(&passed, ends, 1);
	CMSG_FIRSTHDR(&passed.message)->cmsg_len = 5;
	CALL(sendmsg(way[0], &passed.message, 0));
	CMSG_FIRSTHDR(&passed.message)->cmsg_len = 0x7fffffff;
	CALL(sendmsg(way[0], &passed.message, 0));
	CMSG_FIRSTHDR(&passed.message)->cmsg_len = CMSG_LEN(sizeof(int));
	CMSG_FIRSTHDR(&passed.message)->cmsg_type = 99;
	CALL(sendmsg(way[0], &passed.message, 0));
	with_fds(&passed, ends, 1)->msg_control = (void *)8;
	CALL(sendmsg(way[0], &passed.message, 0));
	with_fds(&passed, ends, 1)->msg_controllen = (size_t)-1;
	CALL(sendmsg(way[0], &passed.message, 0));
	CALL(sendmsg(ends[0], with_fds(&passed, ends, 1), 0)); /* TCP takes none */
	CALL(recv(ends[1], fds, 1, MSG_DONTWAIT));
	CALL(sendmsg(777, with_fds(&passed, ends, 1), 0));
	CALL(sendmsg(way[0], (void *)8, 0));
	CALL(recvmsg(way[1], (void *)8, MSG_DONTWAIT));
	CALL(recv(way[1], fds, 1, MSG_DONTWAIT));
}

static void several_at_once(void)
{
	int way[2], ends[2], fds[MOST];
	struct passed out[2], in[2];
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, way));
	tcp_pair(ends);
	struct mmsghdr sent[2] = {{.msg_hdr = *with_fds(&out[0], &ends[0], 1)},
	                          {.msg_hdr = *with_fds(&out[1], &ends[1], 1)}};
	struct mmsghdr received[2] = {{.msg_hdr = *with_fds(&in[0], NULL, 0)},
	                              {.msg_hdr = *with_fds(&in[1], NULL, 0)}};
	CALL(sendmmsg(way[0], sent, 2, 0));
	CALL(recvmmsg(way[1], received, 2, 0, NULL));
	for (int i = 0; i < 2; i++) {
		in[i].message = received[i].msg_hdr;
		CALL(taken(&in[i], fds + i));
		tell("%d %s", fds[i], kind_of(fds[i]));
	}
	CALL(close(ends[0]));
	CALL(close(ends[1]));
	CALL(send(fds[0], "x", 1, 0));
	CALL(recv(fds[1], fds, 1, 0));
}

/* A server hands an accepted connection to its child, and gets one back. */
static void to_a_child_and_back(void)
{
	int way[2], ends[2], more[2], fds[MOST];
	char byte = 0;
	struct passed passed;
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, way));
	pid_t child = fork();
	if (child == 0) {
		MUST(close(way[0]));
		receive(way[1], 0, fds);
		CALL(send(fds[0], "from the child", 14, 0));
		CALL(close(fds[0]));
		tcp_pair(more);
		CALL(sendmsg(way[1], with_fds(&passed, more, 2), 0));
		tell_fds("in the child");
		_exit(0);
	}
	MUST(close(way[1]));
	tcp_pair(ends);
	char text[32] = "";
	MUST(sendmsg(way[0], with_fds(&passed, ends, 1), 0));
	tell_end_of("child", child);
	CALL(recv(ends[1], text, 14, MSG_WAITALL));
	tell("%s", text);
	receive(way[0], MSG_CMSG_CLOEXEC, fds);
	CALL(send(fds[0], "x", 1, 0));
	CALL(recv(fds[1], &byte, 1, 0));
	CALL(send(ends[0], "y", 1, 0));
	CALL(recv(ends[1], &byte, 1, 0));
	CALL(close(fds[0]));
	CALL(recv(fds[1], &byte, 1, 0));
}

static const struct cases_case cases[] = {
	CASE(to_oneself),      CASE(closed_on_the_way),
	CASE(room_for_some),   CASE(what_cannot_be_passed),
	CASE(several_at_once), CASE(to_a_child_and_back),
};

CASES_MAIN(cases)
