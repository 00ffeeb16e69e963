/* streams - bytes of a connection: half closed, urgent, peeked at, waited for; with bad arguments; and who waits for them. */
#include "cases.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

/* A pointer that leads nowhere, and that the compiler does not see through. */
static void *volatile nowhere = (void *)8;
#define WILD nowhere
static volatile int less_than_none = -1, far_too_many = 1 << 20;

static void half_closed(void)
{
	int ends[2];
	char bytes[8];
	tcp_pair(ends);
	CALL(shutdown(ends[0], SHUT_WR));
	CALL(recv(ends[1], bytes, 1, 0));
	CALL(read(ends[1], bytes, 1));
	CALL(send(ends[1], "late", 4, 0));
	CALL(recv(ends[0], bytes, 4, MSG_WAITALL));
	CALL(send(ends[0], "x", 1, MSG_NOSIGNAL));
	CALL(shutdown(ends[0], SHUT_WR));
	CALL(poll(&(struct pollfd){ends[1], POLLRDHUP | POLLOUT, 0}, 1, 0));
	CALL(shutdown(ends[1], SHUT_RD));
	CALL(recv(ends[1], bytes, 1, 0));
	CALL(shutdown(ends[1], SHUT_WR));
	CALL(recv(ends[0], bytes, 1, 0));
	tcp_pair(ends);
	CALL(shutdown(ends[1], SHUT_RD));
	CALL(send(ends[0], "x", 1, 0));
	CALL(recv(ends[1], bytes, 8, 0));
	CALL(recv(ends[1], bytes, 8, 0));
}

static void broken(int signal_number)
{
	tell("signal %d", signal_number);
}

/* Who writes to a connection that is gone is told by a signal. */
static void written_when_gone(void)
{
	int ends[2];
	struct linger at_once = {1, 0};
	char byte;
	signal(SIGPIPE, broken);
	tcp_pair(ends);
	MUST(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
	CALL(close(ends[1]));
	CALL(poll(&(struct pollfd){ends[0], POLLRDHUP, 0}, 1, -1));
	CALL(recv(ends[0], &byte, 1, 0));
	CALL(recv(ends[0], &byte, 1, 0));
	CALL(write(ends[0], "x", 1));
	CALL(send(ends[0], "x", 1, MSG_NOSIGNAL));
	CALL(writev(ends[0], &(struct iovec){"x", 1}, 1));
	CALL(dprintf(ends[0], "x"));
	CALL(shutdown(ends[0], SHUT_RDWR));
	CALL(close(ends[0]));
	tcp_pair(ends);
	CALL(shutdown(ends[0], SHUT_WR));
	CALL(write(ends[0], "x", 1));
	CALL(sendmsg(ends[0], &(struct msghdr){0}, 0));
	signal(SIGPIPE, SIG_DFL);
	pid_t child = fork();
	if (child == 0) {
		(void)write(ends[0], "x", 1);
		_exit(0);
	}
	tell_end_of("child", child);
}

static void urgent(void)
{
	int ends[2];
	char byte = 0;
	tcp_pair(ends);
	CALL(send(ends[0], "ab", 2, 0));
	CALL(send(ends[0], "!", 1, MSG_OOB));
	CALL(send(ends[0], "c", 1, 0));
	CALL(poll(&(struct pollfd){ends[1], POLLPRI, 0}, 1, -1));
	CALL(recv(ends[1], &byte, 1, MSG_OOB));
	tell("%c", byte);
	CALL(recv(ends[1], &byte, 1, MSG_OOB));
	for (int i = 0; i < 3; i++) {
		CALL(ioctl(ends[1], SIOCATMARK, &(int){0}));
		CALL(recv(ends[1], &byte, 1, 0));
		tell("%c", byte);
	}
	CALL(setsockopt(ends[1], SOL_SOCKET, SO_OOBINLINE, &(int){1}, sizeof(int)));
	CALL(send(ends[0], "!", 1, MSG_OOB));
	CALL(recv(ends[1], &byte, 1, 0));
	tell("%c", byte);
}

static void peeked_and_waited_for(void)
{
	int ends[2];
	char bytes[16] = "";
	tcp_pair(ends);
	CALL(recv(ends[1], bytes, 1, MSG_DONTWAIT));
	CALL(recv(ends[1], bytes, 0, MSG_DONTWAIT));
	CALL(send(ends[0], "hello", 5, 0));
	CALL(recv(ends[1], bytes, 5, MSG_PEEK | MSG_WAITALL));
	CALL(recv(ends[1], bytes, 2, MSG_PEEK));
	CALL(recv(ends[1], NULL, 3, MSG_TRUNC));
	CALL(recv(ends[1], bytes, 16, MSG_DONTWAIT));
	tell("%s", bytes);
	CALL(send(ends[0], "more", 4, MSG_MORE));
	CALL(send(ends[0], "over", 4, MSG_EOR));
	CALL(recv(ends[1], bytes, 8, MSG_WAITALL));
	tell("%s", bytes);
	CALL(send(ends[0], "end", 3, 0));
	CALL(shutdown(ends[0], SHUT_WR));
	CALL(recv(ends[1], bytes, 16, MSG_WAITALL));
	CALL(recv(ends[1], bytes, 16, MSG_PEEK));
	CALL(recv(ends[1], bytes, 16, MSG_ERRQUEUE));
	CALL(recvmsg(ends[1], &(struct msghdr){0}, 0));
	CALL(read(ends[1], bytes, 0));
	CALL(read(ends[1], bytes, 1));
}

static void bad_arguments(void)
{
	int ends[2];
	char bytes[8] = "";
	struct iovec wild = {WILD, 4}, good = {bytes, 4};
	tcp_pair(ends);
	CALL(send(ends[0], WILD, 4, 0));
	CALL(send(ends[0], NULL, 0, 0));
	CALL(write(ends[0], WILD, 4));
	CALL(writev(ends[0], &wild, 1));
	CALL(writev(ends[0], WILD, 1));
	CALL(writev(ends[0], &good, less_than_none));
	CALL(writev(ends[0], &good, 0));
	CALL(writev(ends[0], &good, far_too_many));
	CALL(sendmsg(ends[0], WILD, 0));
	CALL(sendmsg(ends[0], &(struct msghdr){.msg_iov = &wild, .msg_iovlen = 1}, 0));
	CALL(sendmsg(ends[0], &(struct msghdr){.msg_iov = WILD, .msg_iovlen = 1}, 0));
	CALL(sendmsg(ends[0], &(struct msghdr){.msg_iovlen = (size_t)-1}, 0));
	CALL(sendmmsg(ends[0], WILD, 1, 0));
	CALL(sendmmsg(ends[0], WILD, 0, 0));
	CALL(recvmmsg(ends[1], WILD, 1, MSG_DONTWAIT, NULL));
	CALL(sendto(ends[0], "x", 1, 0, WILD, 16));
	CALL(send(ends[0], "full", 4, 0));
	CALL(poll(&(struct pollfd){ends[1], POLLIN, 0}, 1, -1));
	CALL(recv(ends[1], WILD, 4, 0));
	CALL(read(ends[1], WILD, 4));
	CALL(readv(ends[1], &wild, 1));
	CALL(readv(ends[1], WILD, 1));
	CALL(readv(ends[1], &good, less_than_none));
	CALL(recvmsg(ends[1], WILD, 0));
	CALL(recvmsg(ends[1], &(struct msghdr){.msg_iov = &wild, .msg_iovlen = 1}, 0));
	CALL(recvfrom(ends[1], bytes, 1, 0, WILD, WILD));
	CALL(recv(ends[1], bytes, 8, MSG_DONTWAIT) >= 0);
	for (int fd = -1; fd < 1000; fd += 778) {
		CALL(read(fd, fd == -1 ? WILD : bytes, 1));
		CALL(write(fd, bytes, 1));
		CALL(send(fd, bytes, 1, 0));
		CALL(recv(fd, bytes, 1, 0));
		CALL(sendmsg(fd, WILD, 0));
		CALL(recvmsg(fd, WILD, 0));
		CALL(sendfile(fd, 0, NULL, 1));
		CALL(splice(fd, NULL, ends[0], NULL, 1, 0));
	}
	CALL(send(0, bytes, 1, 0));
	CALL(recv(0, bytes, 1, 0));
	CALL(close(ends[0]));
	CALL(send(ends[0], bytes, 1, 0));
}

static void files_and_pipes(void)
{
	int ends[2], pipes[2];
	char bytes[32] = "";
	off_t offset = 2;
	tcp_pair(ends);
	MUST(pipe(pipes));
	int file = (int)MUST(memfd_create("file", 0));
	MUST(write(file, "0123456789", 10));
	CALL(sendfile(ends[0], file, &offset, 5));
	tell("%ld", (long)offset);
	CALL(sendfile64(ends[0], file, NULL, 5));
	CALL(recv(ends[1], bytes, 5, MSG_WAITALL));
	tell("%s", bytes);
	CALL(sendfile(ends[0], file, WILD, 5));
	CALL(sendfile(ends[0], ends[1], NULL, 5));
	CALL(sendfile(777, file, NULL, 5));
	CALL(write(pipes[1], "abc", 3));
	CALL(splice(pipes[0], NULL, ends[0], NULL, 3, 0));
	CALL(splice(ends[1], NULL, pipes[1], NULL, 3, 0));
	CALL(read(pipes[0], bytes, 3));
	CALL(splice(ends[1], NULL, ends[0], NULL, 3, 0));
	CALL(splice(pipes[0], &(off64_t){0}, ends[0], NULL, 3, 0));
	MUST(fcntl(ends[1], F_SETFL, O_NONBLOCK));
	CALL(splice(ends[1], NULL, pipes[1], NULL, 3, SPLICE_F_NONBLOCK));
	CALL(vmsplice(pipes[1], &(struct iovec){"vm", 2}, 1, 0));
	CALL(tee(pipes[0], pipes[1], 2, SPLICE_F_NONBLOCK));
	CALL(shutdown(ends[0], SHUT_WR));
	MUST(poll(&(struct pollfd){ends[1], POLLRDHUP, 0}, 1, -1));
	CALL(splice(ends[1], NULL, pipes[1], NULL, 3, 0));
}

static void tell_events(int set, int timeout_ms)
{
	struct epoll_event events[8] = {0};
	int n = CALL(epoll_wait(set, events, 8, timeout_ms));
	for (int i = 0; i < n; i++)
		tell("  %u: %x", events[i].data.u32, events[i].events);
}

static void in_epoll_sets(void)
{
	int ends[2], set = (int)MUST(epoll_create1(0));
	char byte;
	tcp_pair(ends);
	struct epoll_event in = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = 1};
	CALL(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &in));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &in));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &in));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, 777, &in));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, set, &in));
	CALL(epoll_ctl(777, EPOLL_CTL_ADD, ends[0], &in));
	CALL(epoll_ctl(ends[1], EPOLL_CTL_ADD, ends[0], &in));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, ends[1], WILD));
	CALL(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], NULL));
	CALL(epoll_ctl(set, 99, ends[0], &in));
	tell_events(set, 0);
	CALL(send(ends[1], "x", 1, 0));
	tell_events(set, -1);
	in.events = EPOLLOUT | EPOLLET;
	in.data.u32 = 2;
	CALL(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &in));
	tell_events(set, -1);
	tell_events(set, 0);
	int copy = CALL(dup(ends[0]));
	CALL(close(ends[0])); /* the copy keeps it in the set */
	CALL(recv(copy, &byte, 1, 0));
	CALL(close(ends[1]));
	CALL(poll(&(struct pollfd){copy, POLLRDHUP, 0}, 1, -1));
	tell_events(set, -1);
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL));
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, copy, NULL));
	CALL(dup2(copy, ends[0]));
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL));
	CALL(close(ends[0]));
	tcp_pair(ends);
	in.data.u32 = 3;
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &in));
	CALL(dup2(copy, ends[0])); /* the last number of that connection: it leaves the set */
	tell_events(set, 0);
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL));
	CALL(epoll_wait(set, NULL, 0, 0));
	CALL(epoll_wait(ends[1], &in, 1, 0));
}

#define POLLED 200

static void many_are_polled(void)
{
	struct pollfd look[2 * POLLED + 2] = {{.fd = -1}};
	struct sockaddr_in address;
	int at = listener(&address);
	for (int i = 0; i < POLLED; i++) {
		int fd = (int)MUST(socket(i % 2 ? AF_INET : AF_UNIX, SOCK_STREAM, 0));
		if (i % 2)
			MUST(connect(fd, (struct sockaddr *)&address, sizeof(address)));
		look[2 * i] = (struct pollfd){fd, POLLIN | POLLRDHUP | POLLOUT, 0x7f};
		look[2 * i + 1] = (struct pollfd){i % 3 ? -fd : 700 + i, POLLIN, 0};
		if (i % 2)
			MUST(close((int)MUST(accept(at, NULL, NULL))));
	}
	for (int i = 0; i < POLLED; i++)
		if (i % 2)
			MUST(poll(&(struct pollfd){look[2 * i].fd, POLLRDHUP, 0}, 1, -1));
	CALL(poll(look, 2 * POLLED, 0));
	unsigned sum = 0;
	for (int i = 0; i < 2 * POLLED; i++)
		sum = sum * 31 + (unsigned short)look[i].revents;
	tell("%x", sum);
	CALL(ppoll(look, 2 * POLLED, &(struct timespec){0}, NULL));
	CALL(poll(WILD, 1, 0));
	MUST(close_range(4, ~0u, 0));
}

static void deferred_and_fast(void)
{
	struct sockaddr_in address;
	char byte = 0;
	int at = listener(&address);
	CALL(setsockopt(at, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){5}, sizeof(int)));
	CALL(setsockopt(at, IPPROTO_TCP, TCP_FASTOPEN, &(int){5}, sizeof(int)));
	MUST(fcntl(at, F_SETFL, O_NONBLOCK));
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	CALL(accept(at, NULL, NULL)); /* nothing was said yet */
	CALL(send(fd, "x", 1, 0));
	CALL(poll(&(struct pollfd){at, POLLIN, 0}, 1, -1));
	int server = CALL(accept(at, NULL, NULL));
	CALL(recv(server, &byte, 1, 0));
	int fast = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(sendto(fast, "fast", 4, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof(address)));
	CALL(poll(&(struct pollfd){at, POLLIN, 0}, 1, -1));
	server = CALL(accept(at, NULL, NULL));
	CALL(recv(server, &byte, 1, 0));
	tell("%c", byte);
	CALL(sendto(fast, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof(address)));
	fast = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(setsockopt(fast, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){1}, sizeof(int)));
	CALL(connect(fast, (struct sockaddr *)&address, sizeof(address)));
	CALL(write(fast, "late", 4));
	CALL(poll(&(struct pollfd){at, POLLIN, 0}, 1, -1));
	server = CALL(accept(at, NULL, NULL));
	CALL(recv(server, &byte, 1, 0));
	CALL(connect(fast, (struct sockaddr *)&address, sizeof(address)));
}

static const struct cases_case cases[] = {
	CASE(half_closed),   CASE(written_when_gone), CASE(urgent),
	CASE(bad_arguments), CASE(files_and_pipes),   CASE(peeked_and_waited_for),
	CASE(in_epoll_sets), CASE(many_are_polled),   CASE(deferred_and_fast),
};

CASES_MAIN(cases)
