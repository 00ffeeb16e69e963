/* kinds - sockets of every family and type, and what else is a descriptor: each is made, used a little, copied and closed. */
#include "cases.h"

#include <linux/if_alg.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/un.h>

/* A pointer that leads nowhere, and that the compiler does not see through. */
static void *volatile nowhere = (void *)8;
#define WILD nowhere

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static const struct {
	const char *name;
	int domain, type, protocol;
} kinds[] = {
	{"tcp", AF_INET, SOCK_STREAM, 0},
	{"tcp by name", AF_INET, SOCK_STREAM, IPPROTO_TCP},
	{"tcp6", AF_INET6, SOCK_STREAM, 0},
	{"tcp with flags", AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0},
	{"udp", AF_INET, SOCK_DGRAM, 0},
	{"udp6", AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
	{"udplite", AF_INET, SOCK_DGRAM, 136},
	{"ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
	{"icmp", AF_INET, SOCK_RAW, IPPROTO_ICMP},
	{"raw", AF_INET, SOCK_RAW, IPPROTO_RAW},
	{"raw of nothing", AF_INET, SOCK_RAW, 0},
	{"sctp", AF_INET, SOCK_STREAM, 132},
	{"sctp in packets", AF_INET, SOCK_SEQPACKET, 132},
	{"mptcp", AF_INET, SOCK_STREAM, IPPROTO_MPTCP},
	{"mptcp6", AF_INET6, SOCK_STREAM, IPPROTO_MPTCP},
	{"dccp", AF_INET, 6, 33},
	{"unix stream", AF_UNIX, SOCK_STREAM, 0},
	{"unix datagram", AF_UNIX, SOCK_DGRAM, 0},
	{"unix packets", AF_UNIX, SOCK_SEQPACKET, 0},
	{"unix raw", AF_UNIX, SOCK_RAW, 0},
	{"unix of a protocol", AF_UNIX, SOCK_STREAM, 5},
	{"netlink route", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
	{"netlink of nothing", AF_NETLINK, SOCK_DGRAM, 31},
	{"packet", AF_PACKET, SOCK_RAW, 0},
	{"packet datagram", AF_PACKET, SOCK_DGRAM, 0},
	{"alg", AF_ALG, SOCK_SEQPACKET, 0},
	{"vsock", AF_VSOCK, SOCK_STREAM, 0},
	{"can", AF_CAN, SOCK_RAW, 1},
	{"bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
	{"xdp", AF_XDP, SOCK_RAW, 0},
	{"kcm", AF_KCM, SOCK_SEQPACKET, 0},
	{"tipc", AF_TIPC, SOCK_STREAM, 0},
	{"family 0", AF_UNSPEC, SOCK_STREAM, 0},
	{"family -1", -1, SOCK_STREAM, 0},
	{"family 999", 999, SOCK_STREAM, 0},
	{"type 0", AF_INET, 0, 0},
	{"type 15", AF_INET, 15, 0},
	{"type of flags alone", AF_INET, SOCK_CLOEXEC, 0},
	{"a flag that is none", AF_INET, SOCK_STREAM | 0x100, 0},
	{"tcp by udp", AF_INET, SOCK_STREAM, IPPROTO_UDP},
	{"udp by tcp", AF_INET, SOCK_DGRAM, IPPROTO_TCP},
	{"protocol -1", AF_INET, SOCK_STREAM, -1},
	{"protocol 999", AF_INET, SOCK_STREAM, 999},
};

static void of_every_family_and_type(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = CALL_AS(kinds[i].name,
		                 socket(kinds[i].domain, kinds[i].type, kinds[i].protocol));
		(void)fcntl(fd, F_SETFL, O_NONBLOCK);
		CALL(listen(fd, 1));
		CALL(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
		if (kinds[i].type != SOCK_RAW &&
		    kinds[i].domain != AF_PACKET) /* these hear others */
			CALL(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
		CALL(send(fd, NULL, 0, MSG_DONTWAIT | MSG_NOSIGNAL));
		CALL(shutdown(fd, SHUT_RD));
		int copy = CALL(dup(fd));
		CALL(fcntl(copy, F_GETFD));
		CALL(close(fd));
		CALL(shutdown(copy, SHUT_RDWR));
		if (i % 2)
			CALL(close(copy));
		else
			(void)close(copy);
	}
}

static void pairs_of_every_kind(void)
{
	int fds[2] = {-7, -7};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		CALL_AS(kinds[i].name,
		        socketpair(kinds[i].domain, kinds[i].type, kinds[i].protocol, fds));
		tell("%d %d", fds[0], fds[1]);
	}
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, WILD));
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, NULL));
	CALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
	CALL(fcntl(fds[0], F_GETFD));
	CALL(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void unix_by_names(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t length = sizeof(name.sun_family);
	char byte;
	int at = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
	CALL(bind(at, (struct sockaddr *)&name, length)); /* the kernel names it, in the abstract */
	length = sizeof(name);
	CALL(getsockname(at, (struct sockaddr *)&name, &length));
	tell("%u, %d", length, name.sun_path[0]);
	int fd = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
	CALL(connect(fd, (struct sockaddr *)&name, length));
	CALL(listen(at, 5));
	CALL(connect(fd, (struct sockaddr *)&name, length));
	CALL(connect(fd, (struct sockaddr *)&name, length));
	int server = CALL(accept4(at, NULL, NULL, SOCK_CLOEXEC));
	CALL(send(fd, "x", 1, 0));
	CALL(recv(server, &byte, 1, 0));
	CALL(close(fd));
	CALL(recv(server, &byte, 1, 0));
	CALL(send(server, "x", 1, MSG_NOSIGNAL));
	int datagram = CALL(socket(AF_UNIX, SOCK_DGRAM, 0));
	CALL(connect(datagram, (struct sockaddr *)&name, length));
	CALL(sendto(datagram, "x", 1, 0, (struct sockaddr *)&name, length));
	strcpy(name.sun_path, "/no/such/path");
	CALL(connect(datagram, (struct sockaddr *)&name, sizeof(name)));
	CALL(bind(datagram, (struct sockaddr *)&name, sizeof(name)));
	CALL(connect(datagram, &(struct sockaddr){.sa_family = AF_UNSPEC},
	             sizeof(struct sockaddr)));
	CALL(connect(datagram, (struct sockaddr *)&name, 1000));
}

static void udp_connected(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET}, none = {.sin_family = AF_UNSPEC};
	socklen_t length = sizeof(address);
	char byte;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int server = CALL(socket(AF_INET, SOCK_DGRAM, 0));
	CALL(bind(server, (struct sockaddr *)&address, length));
	MUST(getsockname(server, (struct sockaddr *)&address, &length));
	int fd = CALL(socket(AF_INET, SOCK_DGRAM, 0));
	CALL(send(fd, "x", 1, 0));
	CALL(sendto(fd, "x", 1, 0, (struct sockaddr *)&address, length));
	CALL(recvfrom(server, &byte, 1, 0, NULL, NULL));
	CALL(connect(fd, (struct sockaddr *)&address, length));
	CALL(send(fd, "", 0, 0));
	CALL(recv(server, &byte, 1, 0));
	CALL(send(fd, "long", 4, 0));
	CALL(recv(server, &byte, 1, MSG_TRUNC));
	CALL(connect(fd, (struct sockaddr *)&none, sizeof(none)));
	CALL(send(fd, "x", 1, 0));
	CALL(connect(fd, (struct sockaddr *)&address, length));
	CALL(close(server));
	CALL(send(fd, "x", 1, 0));
	CALL(poll(&(struct pollfd){fd, POLLIN, 0}, 1, -1));
	CALL(recv(fd, &byte, 1, 0)); /* the port is unreachable */
	CALL(connect(fd, WILD, length));
	CALL(shutdown(fd, SHUT_RDWR));
	CALL(recv(fd, &byte, 1, 0));
}

/* A v4 peer of a v6 socket. */
static void v6_with_v4_mapped(void)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6}, peer;
	socklen_t length = sizeof(address);
	char byte = 0;
	int at = CALL(socket(AF_INET6, SOCK_STREAM, 0));
	if (at < 0)
		return;
	CALL(setsockopt(at, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)));
	if (CALL(bind(at, (struct sockaddr *)&address, sizeof(address))) != 0)
		return;
	CALL(listen(at, 5));
	MUST(getsockname(at, (struct sockaddr *)&address, &length));
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = address.sin6_port};
	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(connect(fd, (struct sockaddr *)&v4, sizeof(v4)));
	length = sizeof(peer);
	int server = CALL(accept(at, (struct sockaddr *)&peer, &length));
	tell("%u, mapped %d", length, IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
	memset(&address.sin6_addr, 0, 10);
	memset(address.sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(address.sin6_addr.s6_addr + 12, &v4.sin_addr, 4);
	int mapped = CALL(socket(AF_INET6, SOCK_STREAM, 0));
	CALL(connect(mapped, (struct sockaddr *)&address, 20));
	CALL(connect(mapped, (struct sockaddr *)&address, 24)); /* without a scope id */
	CALL(send(mapped, "x", 1, 0));
	CALL(recv(accept(at, NULL, NULL), &byte, 1, 0));
	CALL(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	CALL(close(server));
}

/* The kernel's ciphers are behind sockets that are accepted without a listener. */
static void ciphers(void)
{
	struct sockaddr_alg hash = {
		.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256"};
	unsigned char digest[32] = {0};
	int at = socket(AF_ALG, SOCK_SEQPACKET, 0);
	if (at < 0 || bind(at, (struct sockaddr *)&hash, sizeof(hash)) != 0) {
		tell("no ciphers here");
		return;
	}
	int fd = CALL(accept(at, NULL, NULL));
	CALL(send(fd, "abc", 3, 0));
	CALL(read(fd, digest, sizeof(digest)));
	tell("%02x%02x", digest[0], digest[31]);
	CALL(close(at));
	CALL(close(fd));
}

static void what_is_no_socket(void)
{
	int pipes[2];
	uint64_t count = 3;
	sigset_t none;
	sigemptyset(&none);
	MUST(socket(AF_INET, SOCK_STREAM, 0));
	CALL(pipe2(pipes, O_NONBLOCK | O_CLOEXEC));
	CALL(pipe(NULL));
	CALL(pipe2(pipes, 0x1234));
	CALL(pipe(WILD));
	CALL(read(pipes[0], &count, 1));
	CALL(write(pipes[1], "x", 1));
	CALL(splice(pipes[0], NULL, pipes[1], NULL, 1, 0));
	int event = CALL(eventfd(0, EFD_NONBLOCK));
	CALL(read(event, &count, sizeof(count)));
	CALL(write(event, &(uint64_t){5}, sizeof(count)));
	CALL(read(event, &count, 1));
	CALL(read(event, &count, sizeof(count)));
	tell("%lu", (unsigned long)count);
	int timer = CALL(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	struct itimerspec soon = {.it_value.tv_nsec = 1000000};
	CALL(timerfd_settime(timer, 0, &soon, NULL));
	CALL(read(timer, &count, sizeof(count)));
	CALL(signalfd(-1, &none, 0));
	CALL(inotify_init1(IN_NONBLOCK));
	CALL(memfd_create("x", 0));
	CALL(epoll_create1(EPOLL_CLOEXEC));
	CALL(connect(event, (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET}, 16));
	CALL(shutdown(timer, SHUT_RDWR));
	CALL(send(pipes[1], "x", 1, 0));
	CALL(recv(pipes[0], &count, 1, 0));
	CALL(dup2(event, pipes[0]));
	CALL(close(pipes[0]));
}

static const struct cases_case cases[] = {
	CASE(of_every_family_and_type),
	CASE(pairs_of_every_kind),
	CASE(unix_by_names),
	CASE(udp_connected),
	CASE(v6_with_v4_mapped),
	CASE(ciphers),
	CASE(what_is_no_socket),
};

CASES_MAIN(cases)
