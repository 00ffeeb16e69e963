/* sockets - what the calls of a socket's life say: of good arguments and of bad ones, in each state. */
#include "cases.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/un.h>

/* A pointer that leads nowhere, and that the compiler does not see through. */
static void *volatile nowhere = (void *)8;
#define WILD nowhere

/* The address of a port of the loopback where nobody listens. */
static struct sockaddr_in nobody(void)
{
	struct sockaddr_in address;
	MUST(close(listener(&address)));
	return address;
}

/* An address whose last byte is the last that can be read. */
static struct sockaddr *at_the_edge(const struct sockaddr_in *address, size_t beyond)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || mprotect(pages + 4096, 4096, PROT_NONE) != 0)
		cases_die("mmap");
	char *at = pages + 4096 - sizeof(*address) + beyond;
	memcpy(at, address, sizeof(*address) - beyond);
	return (struct sockaddr *)at;
}

static void connect_to_bad_addresses(void)
{
	struct sockaddr_in address;
	struct sockaddr *good = (struct sockaddr *)&address;
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	int at = listener(&address);
	CALL(connect(fd, NULL, 0));
	CALL(connect(fd, NULL, 16));
	CALL(connect(fd, WILD, 16));
	CALL(connect(fd, (void *)-8, 16));
	CALL(connect(fd, WILD, 0));
	CALL(connect(fd, WILD, 2));
	CALL(connect(fd, good, 0));
	CALL(connect(fd, good, 1));
	CALL(connect(fd, good, 2));
	CALL(connect(fd, good, 15));
	CALL(connect(fd, good, 129));
	CALL(connect(fd, good, (socklen_t)-1));
	CALL(connect(fd, at_the_edge(&address, 1), sizeof(address)));
	CALL(connect(fd, at_the_edge(&address, 14), sizeof(address)));
	CALL(connect(777, good, sizeof(address)));
	CALL(connect(0, good, sizeof(address)));
	CALL(connect(-1, WILD, sizeof(address)));
	address.sin_family = AF_INET6;
	CALL(connect(fd, good, sizeof(address)));
	address.sin_family = 999;
	CALL(connect(fd, good, sizeof(address)));
	address.sin_family = AF_INET;
	CALL(connect(at, good, sizeof(address)));
	CALL(connect(fd, at_the_edge(&address, 0), sizeof(address)));
	CALL(connect(fd, WILD, sizeof(address)));
	CALL(connect(fd, good, sizeof(address)));
}

/* Not aligned, and longer than it need be. */
static void connect_to_odd_addresses(void)
{
	struct sockaddr_in address;
	char bytes[200] __attribute__((aligned(8))) = "";
	int at = listener(&address);
	for (unsigned shift = 1; shift < 4; shift++) {
		int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
		memcpy(bytes + shift, &address, sizeof(address));
		CALL(connect(fd, (struct sockaddr *)(bytes + shift), shift * 40));
		CALL(close((int)MUST(accept(at, NULL, NULL))));
	}
}

static void refused(void)
{
	struct sockaddr_in address = nobody(), other;
	struct sockaddr *where = (struct sockaddr *)&address;
	int at = listener(&other), error;
	socklen_t length = sizeof(error);
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(connect(fd, where, sizeof(address)));
	CALL(connect(fd, where, sizeof(address)));
	CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
	CALL(getpeername(fd, (struct sockaddr *)&(struct sockaddr_in){0}, &(socklen_t){16}));
	CALL(send(fd, "x", 1, MSG_NOSIGNAL));
	CALL(recv(fd, &error, 1, 0));
	CALL(connect(fd, (struct sockaddr *)&other, sizeof(other)));
	CALL(send(fd, "x", 1, 0));
	CALL(recv((int)MUST(accept(at, NULL, NULL)), &error, 1, 0));
	fd = CALL(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CALL(connect(fd, where, sizeof(address)));
	CALL(poll(&(struct pollfd){fd, POLLOUT, 0}, 1, -1));
	CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
	tell("%s", strerrorname_np(error));
	CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
	tell("%d", error);
}

/* A listener whose queue is full: who connects waits. */
static int busy_listener(struct sockaddr_in *address, int *queued)
{
	int at = listener(address);
	MUST(listen(at, 0));
	*queued = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(*queued, (struct sockaddr *)address, sizeof(*address)));
	return at;
}

static void in_progress(void)
{
	struct sockaddr_in address;
	struct sockaddr *where = (struct sockaddr *)&address;
	int queued, at = busy_listener(&address, &queued);
	int fd = CALL(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CALL(connect(fd, where, sizeof(address)));
	CALL(connect(fd, where, sizeof(address)));
	CALL(connect(fd, WILD, sizeof(address)));
	CALL(send(fd, "x", 1, 0));
	CALL(recv(fd, &(char){0}, 1, 0));
	CALL(getpeername(fd, where, &(socklen_t){16}));
	CALL(listen(fd, 1));
	CALL(bind(fd, where, sizeof(address)));
	CALL(poll(&(struct pollfd){fd, POLLIN, 0}, 1, 0));
	CALL(connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
	CALL(poll(&(struct pollfd){fd, POLLIN, 0}, 1, 0));
	CALL(close(at));
	at = listener(&address);
	CALL(connect(fd, where, sizeof(address)));
	CALL(poll(&(struct pollfd){fd, POLLOUT, 0}, 1, -1));
	CALL(connect(fd, where, sizeof(address)));
	CALL(connect(fd, where, sizeof(address)));
	CALL(close(fd));
	fd = CALL(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CALL(close(queued));
}

/* As a program stops waiting: a time limit on the socket. */
static void timed_out(void)
{
	struct sockaddr_in address;
	struct timeval soon = {.tv_usec = 20000};
	int queued, at = busy_listener(&address, &queued);
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)));
	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)));
	CALL(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	CALL(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	CALL(recv(queued, &(char){0}, 1, MSG_DONTWAIT));
	CALL(setsockopt(queued, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)));
	CALL(recv(queued, &(char){0}, 1, 0));
	CALL(read(queued, &(char){0}, 1));
	CALL(close(at));
}

static void given_up_and_used_again(void)
{
	struct sockaddr_in address;
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	int at = listener(&address);
	char byte;
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(connect(fd, &none, sizeof(none)));
	for (int i = 0; i < 3; i++) {
		CALL(connect(fd, (struct sockaddr *)&address, sizeof(address)));
		int server = (int)MUST(accept(at, NULL, NULL));
		CALL(i ? shutdown(fd, SHUT_RDWR) : 0);
		CALL(connect(fd, &none, i ? sizeof(none) : 2));
		CALL(send(fd, "x", 1, MSG_NOSIGNAL));
		CALL(recv(server, &byte, 1, 0));
		CALL(close(server));
	}
	CALL(bind(fd, (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET}, 16));
	CALL(listen(fd, 4));
	CALL(connect(fd, &none, sizeof(none)));
	CALL(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
}

static void bind_and_listen(void)
{
	struct sockaddr_in address, got;
	struct sockaddr *where = (struct sockaddr *)&address;
	socklen_t length = sizeof(got);
	int at = listener(&address);
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(bind(fd, where, sizeof(address))); /* taken */
	CALL(bind(fd, WILD, sizeof(address)));
	CALL(bind(fd, NULL, 0));
	CALL(bind(fd, where, 3));
	CALL(bind(fd, where, 500));
	CALL(bind(777, where, sizeof(address)));
	CALL(bind(0, where, sizeof(address)));
	address.sin_addr.s_addr = htonl(0xc0000201); /* of a documentation network: not ours */
	CALL(bind(fd, where, sizeof(address)));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_family = AF_INET6;
	CALL(bind(fd, where, sizeof(address)));
	address.sin_family = AF_INET;
	address.sin_port = 0;
	CALL(bind(fd, at_the_edge(&address, 0), sizeof(address)));
	CALL(bind(fd, where, sizeof(address)));
	CALL(getsockname(fd, (struct sockaddr *)&got, &length));
	tell("port %d", got.sin_port != 0);
	CALL(listen(fd, 3));
	CALL(listen(fd, -1));
	CALL(listen(777, 1));
	CALL(listen(0, 1));
	CALL(shutdown(fd, SHUT_RDWR));
	CALL(listen(fd, 3));
	CALL(close(at));
	int fresh = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(listen(fresh, 1)); /* a port of the kernel's choice */
	CALL(shutdown(fresh, 7));
	CALL(shutdown(fresh, -1));
	CALL(listen(socket(AF_INET, SOCK_DGRAM, 0), 1));
}

static void accept_good_and_bad(void)
{
	struct sockaddr_in address, peer;
	socklen_t length = sizeof(peer);
	int at = listener(&address), fd;
	MUST(fcntl(at, F_SETFL, O_NONBLOCK));
	CALL(accept(at, NULL, NULL));
	for (int i = 0; i < 5; i++)
		MUST(connect((int)MUST(socket(AF_INET, SOCK_STREAM, 0)),
		             (struct sockaddr *)&address, sizeof(address)));
	fd = CALL(accept(at, (struct sockaddr *)&peer, &length));
	tell("%u, family %d", length, peer.sin_family);
	CALL(fcntl(fd, F_GETFL) & O_NONBLOCK);
	length = 3;
	fd = CALL(accept4(at, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
	tell("%u, %ld, %ld", length, (long)fcntl(fd, F_GETFD),
	     (long)fcntl(fd, F_GETFL) & O_NONBLOCK);
	CALL(accept(at, WILD, &length)); /* its connection is gone */
	CALL(accept(at, (struct sockaddr *)&peer, WILD));
	length = (socklen_t)-1;
	CALL(accept(at, (struct sockaddr *)&peer, &length));
	CALL(accept4(at, NULL, NULL, 0x1234));
	CALL(accept(fd, NULL, NULL));
	CALL(accept(777, NULL, NULL));
	CALL(accept(0, NULL, NULL));
	CALL(accept(at, NULL, NULL));
}

static void names_and_options(void)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	int ends[2], value = 0;
	tcp_pair(ends);
	CALL(getpeername(ends[0], (struct sockaddr *)&address, &length));
	tell("%u, %d", length, address.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	CALL(getsockname(ends[0], WILD, &length));
	CALL(getpeername(ends[0], (struct sockaddr *)&address, WILD));
	length = (socklen_t)-5;
	CALL(getsockname(ends[0], (struct sockaddr *)&address, &length));
	CALL(getsockname(777, (struct sockaddr *)&address, &length));
	CALL(getpeername(0, (struct sockaddr *)&address, &length));
	const int names[][2] = {{SOL_SOCKET, SO_KEEPALIVE},
	                        {IPPROTO_TCP, TCP_KEEPIDLE},
	                        {IPPROTO_TCP, TCP_KEEPINTVL},
	                        {IPPROTO_TCP, TCP_KEEPCNT},
	                        {IPPROTO_TCP, TCP_NODELAY},
	                        {SOL_SOCKET, SO_REUSEADDR},
	                        {SOL_SOCKET, SO_TYPE},
	                        {SOL_SOCKET, SO_ACCEPTCONN},
	                        {SOL_SOCKET, SO_ERROR},
	                        {999, 1},
	                        {SOL_SOCKET, 999}};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		length = sizeof(value);
		CALL(getsockopt(ends[0], names[i][0], names[i][1], &value, &length));
		tell("%d, %u", value, length);
		value = 77;
		CALL(setsockopt(ends[0], names[i][0], names[i][1], &value, sizeof(value)));
		CALL(setsockopt(ends[0], names[i][0], names[i][1], WILD, sizeof(value)));
		CALL(setsockopt(ends[0], names[i][0], names[i][1], &value, 1));
		CALL(getsockopt(ends[0], names[i][0], names[i][1], &value, &length));
		tell("%d", value);
	}
	CALL(setsockopt(777, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)));
	CALL(setsockopt(0, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)));
	CALL(getsockopt(ends[0], SOL_SOCKET, SO_KEEPALIVE, &value, WILD));
	CALL(ioctl(ends[0], FIONREAD, &value));
	tell("%d", value);
	CALL(ioctl(ends[0], FIONBIO, &(int){1}));
	CALL(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
	CALL(ioctl(ends[0], FIOCLEX));
	CALL(fcntl(ends[0], F_GETFD));
	CALL(ioctl(ends[0], FIONREAD, WILD));
}

static const struct cases_case cases[] = {
	CASE(connect_to_bad_addresses),
	CASE(connect_to_odd_addresses),
	CASE(refused),
	CASE(in_progress),
	CASE(timed_out),
	CASE(given_up_and_used_again),
	CASE(bind_and_listen),
	CASE(accept_good_and_bad),
	CASE(names_and_options),
};

CASES_MAIN(cases)
