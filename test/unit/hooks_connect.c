/* hooks_connect.c - connect, bind, listen. */
#include "doors.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/sys.h"
#include "ledger/peers.h"
#include "tcp.h"
#include "watch/worker.h"

int __connect(int fd, const struct sockaddr *address, socklen_t length);

#define PAGE 4096
#define IN_PROGRESS (SL_FD_OUT | SL_FD_CONNECTING)

typedef int connect_fn(int fd, const struct sockaddr *address, socklen_t length);

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port)};
	place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return place;
}

static int to(connect_fn *reach, int fd, uint16_t port)
{
	struct sockaddr_in place = loopback(port);
	return reach(fd, (struct sockaddr *)&place, sizeof(place));
}

static long to_by_kernel(int fd, uint16_t port)
{
	struct sockaddr_in place = loopback(port);
	return SL_SYS3(SYS_connect, fd, &place, sizeof(place));
}

static int tcp_socket(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
	assert_true(fd >= 0);
	return fd;
}

static void assert_dest(int fd, uint16_t port)
{
	const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
	const struct sl_peer *peer = sl_peer_get(record_of(fd).dest);
	assert_non_null(peer);
	assert_int_equal(peer->direction, SL_DIRECTION_OUT);
	assert_int_equal(peer->at.port, port);
	assert_memory_equal(peer->at.address, mapped, sizeof(mapped));
}

static void check_connected(connect_fn *reach)
{
	uint16_t port;
	int listener = tcp_listen(false, 4, &port), fd = tcp_socket(0);
	assert_int_equal(UNTOUCHED(to(reach, fd, port)), 0);
	assert_int_equal(record_of(fd).flags, SL_FD_OUT | SL_FD_CONNECTED);
	assert_dest(fd, port);
	FAILS_AS(to_by_kernel(fd, port), to(reach, fd, port)); /* EISCONN */
	assert_int_equal(record_of(fd).flags, SL_FD_OUT | SL_FD_CONNECTED);
	FAILS_AS(to_by_kernel(fd, 1), to(reach, fd, 1)); /* it stays where it is */
	assert_int_equal(record_of(fd).flags, SL_FD_OUT | SL_FD_CONNECTED);
	assert_dest(fd, port);
	assert_int_equal(close(fd) + close(listener), 0);
}

/* An address that lies wholly or in part where nothing can be read; and one at the very end of what can be. */
static void check_wild(int fd, connect_fn *reach, uint16_t port)
{
	const struct sockaddr *wild[] = {(void *)8, (void *)-8, (void *)(UINTPTR_MAX / 2)};
	struct sockaddr_in place = loopback(port);
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
	for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
		FAILS_AS(SL_SYS3(SYS_connect, fd, wild[i], 16), reach(fd, wild[i], 16));
	for (unsigned before = 0; before < sizeof(place); before++) {
		char *at = pages + PAGE - before;
		memcpy(at, &place, before);
		FAILS_AS(SL_SYS3(SYS_connect, fd, at, sizeof(place)),
		         reach(fd, (struct sockaddr *)at, sizeof(place))); /* EFAULT */
		assert_int_equal(record_of(fd).flags, SL_FD_OUT);
	}
	char *last = pages + PAGE - sizeof(place);
	memcpy(last, &place, sizeof(place));
	FAILS_AS(SL_SYS3(SYS_connect, fd, last, sizeof(place)),
	         reach(fd, (struct sockaddr *)last, sizeof(place))); /* ECONNREFUSED */
	assert_dest(fd, port);
	assert_int_equal(munmap(pages, 2 * PAGE), 0);
}

static void check_refused(connect_fn *reach)
{
	uint16_t port;
	int listener = tcp_listen(false, 4, &port), fd = tcp_socket(0);
	assert_int_equal(close(listener), 0); /* nobody is there now */
	FAILS_AS(to_by_kernel(fd, port), to(reach, fd, port));
	assert_int_equal(record_of(fd).flags, SL_FD_OUT);
	assert_dest(fd, port);
	FAILS_AS(to_by_kernel(-1, port), to(reach, -1, port));
	FAILS_AS(SL_SYS3(SYS_connect, fd, NULL, 16), reach(fd, NULL, 16));
	check_wild(fd, reach, port);
	struct sockaddr_in place = loopback(port);
	FAILS_AS(SL_SYS3(SYS_connect, fd, &place, 3),
	         reach(fd, (const struct sockaddr *)&place, 3));
	assert_int_equal(record_of(fd).flags, SL_FD_OUT);
	assert_int_equal(close(fd), 0);
}

static void check_in_progress(connect_fn *reach)
{
	struct full_listener full;
	full_listener_open(&full);
	int fd = tcp_socket(SOCK_NONBLOCK);
	errno = 0;
	assert_int_equal(to(reach, fd, full.port), -1);
	assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(record_of(fd).flags, IN_PROGRESS);
	assert_dest(fd, full.port);
	FAILS_AS(to_by_kernel(fd, full.port), to(reach, fd, full.port)); /* EALREADY */
	assert_int_equal(record_of(fd).flags, IN_PROGRESS);
	assert_int_equal(close(fd), 0);
	full_listener_close(&full);
}

/* The way of programs that poll: connect() again until it says that it is done. */
static void check_completed(connect_fn *reach)
{
	uint16_t port;
	int listener = tcp_listen(false, 4, &port), fd = tcp_socket(SOCK_NONBLOCK);
	assert_true(to(reach, fd, port) == 0 || errno == EINPROGRESS);
	int server = accept(listener, NULL, NULL);
	struct pollfd ready = {fd, POLLOUT, 0};
	assert_int_equal(sl_sys_poll(&ready, 1, PATIENCE_MS), 1);
	assert_int_equal(UNTOUCHED(to(reach, fd, port)), 0);
	assert_int_equal(record_of(fd).flags, SL_FD_OUT | SL_FD_CONNECTED);
	assert_int_equal(close(fd) + close(server), 0);

	fd = tcp_socket(SOCK_NONBLOCK); /* once more, and the first to be told is somebody else */
	assert_true(to(reach, fd, port) == 0 || errno == EINPROGRESS);
	server = accept(listener, NULL, NULL);
	ready.fd = fd;
	assert_int_equal(sl_sys_poll(&ready, 1, PATIENCE_MS), 1);
	assert_int_equal(to_by_kernel(fd, port), 0);
	FAILS_AS(to_by_kernel(fd, port), to(reach, fd, port)); /* EISCONN */
	assert_int_equal(record_of(fd).flags, SL_FD_OUT | SL_FD_CONNECTED);
	assert_int_equal(close(fd) + close(server) + close(listener), 0);
}

/* connect() to AF_UNSPEC gives the peer up: what was known of the connection is over. */
static void check_given_up(connect_fn *reach)
{
	uint16_t port, other_port;
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int listener = tcp_listen(false, 4, &port), other = tcp_listen(false, 4, &other_port);
	int fd = tcp_socket(0);
	assert_int_equal(to(reach, fd, port), 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	sl_fdtable_identify(fd, record_of(fd).generation, 77, record_of(fd).dest);
	assert_int_equal(UNTOUCHED(reach(fd, &nobody, sizeof(nobody))), 0);
	assert_int_equal(record_of(fd).flags, 0);
	assert_int_equal(record_of(fd).peer, 0);
	assert_int_equal(to(reach, fd, other_port), 0);
	assert_int_equal(record_of(fd).flags, SL_FD_OUT | SL_FD_CONNECTED);
	assert_dest(fd, other_port);
	assert_int_equal(close(fd) + close(listener) + close(other), 0);
}

/* The worker may have identified a socket by a destination that then refused it. */
static void check_second_attempt(connect_fn *reach)
{
	uint16_t port, closed_port;
	int listener = tcp_listen(false, 4, &port), fd = tcp_socket(0);
	assert_int_equal(close(tcp_listen(false, 4, &closed_port)), 0);
	assert_int_equal(to(reach, fd, closed_port), -1);
	sl_fdtable_identify(fd, record_of(fd).generation, 77, record_of(fd).dest);
	assert_int_equal(to(reach, fd, port), 0);
	assert_int_equal(record_of(fd).peer, 0);
	assert_dest(fd, port);
	assert_int_equal(close(fd) + close(listener), 0);
}

/* Neither a listener nor a UDP socket connects as far as the ledger goes. */
static void check_others(connect_fn *reach)
{
	uint16_t port;
	int listener = tcp_listen(false, 4, &port), udp = socket(AF_INET, SOCK_DGRAM, 0);
	FAILS_AS(to_by_kernel(listener, port), to(reach, listener, port));
	assert_int_equal(record_of(listener).flags, SL_FD_LISTENING | SL_FD_BOUND);
	assert_int_equal(UNTOUCHED(to(reach, udp, port)), 0);
	assert_int_equal(record_of(udp).flags, 0);
	assert_int_equal(close(udp) + close(listener), 0);
}

static void check_connect(connect_fn *reach)
{
	check_connected(reach);
	check_refused(reach);
	check_in_progress(reach);
	check_completed(reach);
	check_given_up(reach);
	check_second_attempt(reach);
	check_others(reach);
}

static void test_hook_connect(void **state)
{
	(void)state;
	check_connect(connect);
}

static void test_hook___connect(void **state)
{
	(void)state;
	check_connect(__connect);
}

struct late {
	int fd;
	uint16_t port;
	_Atomic int tid;
	int result, error;
};

static void *connect_and_hang(void *context)
{
	struct late *late = context;
	atomic_store(&late->tid, sl_sys_gettid());
	late->result = to(connect, late->fd, late->port);
	late->error = errno;
	return NULL;
}

static bool has_tid(void *context)
{
	return atomic_load(&((struct late *)context)->tid) != 0;
}

/* A connect() that comes back when its number is another socket's says nothing about that one. */
static void a_late_connect_leaves_the_next_record_alone(void **state)
{
	(void)state;
	struct full_listener full;
	full_listener_open(&full);
	struct late late = {.fd = tcp_socket(0), .port = full.port};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, connect_and_hang, &late), 0);
	await(has_tid, &late, "a thread to start");
	await_asleep(atomic_load(&late.tid));
	assert_int_equal(record_of(late.fd).flags, IN_PROGRESS);
	int hold = sl_sys_fcntl(late.fd, F_DUPFD_CLOEXEC, 500);
	assert_int_equal(close(late.fd), 0);
	int next = tcp_socket(SOCK_NONBLOCK);
	assert_int_equal(next, late.fd);
	assert_int_equal(to(connect, next, full.port), -1);
	assert_int_equal(record_of(next).flags, IN_PROGRESS);
	assert_int_equal(SL_SYS2(SYS_shutdown, hold, SHUT_RDWR), 0); /* ends the attempt */
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(late.result, -1);
	assert_true(late.error == ECONNRESET || late.error == ECONNABORTED); /* by kernel */
	assert_int_equal(record_of(next).flags, IN_PROGRESS);
	(void)sl_sys_close(hold);
	assert_int_equal(close(next), 0);
	full_listener_close(&full);
}

/* What the worker ended. Both are done here by hand, past the doors. */

static void end_connection(struct tcp_pair *pair)
{
	assert_int_equal(SL_SYS2(SYS_shutdown, pair->server, SHUT_WR), 0);
	tcp_await_state(pair->client, TCP_CLOSE_WAIT);
	assert_int_equal(SL_SYS2(SYS_shutdown, pair->client, SHUT_RDWR), 0);
	assert_true(sl_fdtable_mark_held(pair->client, record_of(pair->client).generation,
	                                 SL_MARK_GUARDED | SL_MARK_PROBED | SL_MARK_ENDED));
}

/* Another number of the same dead socket. */
static int neutralize(struct tcp_pair *pair)
{
	int dead = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(SL_SYS2(SYS_shutdown, dead, SHUT_RDWR), -ENOTCONN);
	assert_int_equal(SL_SYS3(SYS_dup3, dead, pair->client, 0), pair->client);
	assert_true(sl_fdtable_mark_held(pair->client, record_of(pair->client).generation,
	                                 SL_MARK_GUARDED | SL_MARK_ENDED | SL_MARK_DEAD));
	return dead;
}

static void check_refused_by_us(int fd, connect_fn *reach, uint16_t port)
{
	struct sockaddr_in place = loopback(0);
	struct sl_fd_record before = record_of(fd);
	int state = tcp_state(fd);
	errno = 0;
	assert_int_equal(to(reach, fd, port), -1);
	assert_int_equal(errno, EISCONN); /* as while it was in CLOSE_WAIT */
	errno = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&place, sizeof(place)), -1);
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_int_equal(listen(fd, 4), -1);
	assert_int_equal(errno, EINVAL);
	struct sl_fd_record after = record_of(fd);
	after.last_io = before.last_io; /* to try counts as a use */
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(tcp_state(fd), state);
}

static void check_never_woken(connect_fn *reach)
{
	uint16_t port;
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int listener = tcp_listen(false, 4, &port);
	struct tcp_pair pair;
	tcp_open(&pair);
	/* The kernel's own words on a connection in CLOSE_WAIT are what we repeat. */
	assert_int_equal(SL_SYS2(SYS_shutdown, pair.server, SHUT_WR), 0);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	struct sockaddr_in place = loopback(0);
	assert_int_equal(to_by_kernel(pair.client, port), -EISCONN);
	assert_int_equal(SL_SYS3(SYS_bind, pair.client, &place, sizeof(place)), -EINVAL);
	assert_int_equal(SL_SYS2(SYS_listen, pair.client, 4), -EINVAL);
	tcp_close(&pair);

	tcp_open(&pair);
	end_connection(&pair);
	check_refused_by_us(pair.client, reach, port);
	int dead = neutralize(&pair);
	check_refused_by_us(pair.client, reach, port);
	errno = 0;
	assert_int_equal(reach(pair.client, &nobody, sizeof(nobody)),
	                 -1); /* many numbers share it */
	assert_int_equal(errno, EISCONN);
	assert_int_equal(tcp_state(dead), TCP_CLOSE);
	struct pollfd look = {.fd = dead, .events = POLLRDHUP};
	assert_int_equal(sl_sys_poll(&look, 1, 0), 1);
	assert_true(look.revents & POLLRDHUP); /* as dead as it was */
	(void)sl_sys_close(dead);
	tcp_close(&pair);
	assert_int_equal(close(listener), 0);
}

/* A socket that gives its peer up is as new, and may be used for another connection. */
static void check_begins_anew(connect_fn *reach)
{
	uint16_t port;
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int listener = tcp_listen(false, 4, &port);
	struct tcp_pair pair;
	tcp_open(&pair);
	end_connection(&pair);
	assert_int_equal(UNTOUCHED(reach(pair.client, &nobody, sizeof(nobody))), 0);
	assert_int_equal(record_of(pair.client).marks, 0);
	assert_int_equal(record_of(pair.client).flags, 0);
	assert_int_equal(UNTOUCHED(to(reach, pair.client, port)), 0);
	assert_int_equal(record_of(pair.client).flags, SL_FD_OUT | SL_FD_CONNECTED);
	int server = accept(listener, NULL, NULL);
	char byte = 0;
	assert_int_equal(UNTOUCHED(write(pair.client, "x", 1)), 1);
	assert_int_equal(read(server, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(close(server) + close(listener), 0);
	tcp_close(&pair);
}

/* One of its own (hooks/process.c, epoll_ctl) may: nobody else shares it. */
static void check_own_dead_begins_anew(connect_fn *reach)
{
	uint16_t port;
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int listener = tcp_listen(false, 4, &port);
	struct tcp_pair pair;
	tcp_open(&pair);
	end_connection(&pair);
	(void)sl_sys_close(neutralize(&pair));
	sl_fdtable_become_own(pair.client, record_of(pair.client).generation);
	check_refused_by_us(pair.client, reach, port);
	assert_int_equal(UNTOUCHED(reach(pair.client, &nobody, sizeof(nobody))), 0);
	assert_int_equal(record_of(pair.client).marks, 0);
	assert_int_equal(UNTOUCHED(to(reach, pair.client, port)), 0);
	assert_int_equal(close(listener), 0);
	tcp_close(&pair);
}

static void what_we_ended_is_not_used_again(void **state)
{
	(void)state;
	connect_fn *const reaches[] = {connect, __connect};
	for (int i = 0; i < 2; i++) {
		check_never_woken(reaches[i]);
		check_begins_anew(reaches[i]);
		check_own_dead_begins_anew(reaches[i]);
	}
}

/* Marks of an action that has not come, or that ended nothing, forbid nothing. */
static void a_guarded_socket_connects_as_any_other(void **state)
{
	(void)state;
	uint16_t port;
	int listener = tcp_listen(false, 4, &port), fd = tcp_socket(0);
	assert_true(sl_fdtable_mark_held(fd, record_of(fd).generation,
	                                 SL_MARK_GUARDED | SL_MARK_PROBED | SL_MARK_LATE));
	struct sockaddr_in place = loopback(0);
	assert_int_equal(UNTOUCHED(bind(fd, (struct sockaddr *)&place, sizeof(place))), 0);
	assert_int_equal(UNTOUCHED(to(connect, fd, port)), 0);
	assert_int_equal(record_of(fd).flags, SL_FD_OUT | SL_FD_CONNECTED | SL_FD_BOUND);
	FAILS_AS(to_by_kernel(fd, port), to(connect, fd, port));
	FAILS_AS(SL_SYS2(SYS_listen, fd, 4), listen(fd, 4));
	assert_int_equal(close(fd) + close(listener), 0);
}

/* Out of ports, with a range of one for this socket (ip(7), IP_LOCAL_PORT_RANGE, since Linux 6.3). */

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static int socket_with_port(uint16_t port)
{
	int fd = tcp_socket(0);
	uint32_t range = (uint32_t)port << 16 | port;
	if (SL_SYS5(SYS_setsockopt, fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range)) ==
	    0)
		return fd;
	assert_int_equal(close(fd), 0);
	return -1;
}

struct exhausted {
	uint16_t listener_port, own_port;
	connect_fn *reach;
};

/* In a child, where no worker runs and so nobody rescues. The error is the kernel's, and comes at once. */
static int fails_for_want_of_ports(void *context)
{
	const struct exhausted *exhausted = context;
	struct sockaddr_in place = loopback(0);
	int fd = socket_with_port(exhausted->own_port);
	NEED(fd >= 0);
	sl_options.rescue = SL_RESCUE_ON;
	errno = 0;
	NEED(to(exhausted->reach, fd, exhausted->listener_port) == -1 && errno == EADDRNOTAVAIL);
	NEED(record_of(fd).flags == SL_FD_OUT);
	errno = 0;
	NEED(bind(fd, (struct sockaddr *)&place, sizeof(place)) == -1 && errno == EADDRINUSE);
	NEED(record_of(fd).flags == SL_FD_OUT);
	NEED(close(fd) == 0);
	return 0;
}

/* With the worker: it finds nothing to free, says so in time, and the error comes through. */
static int fails_after_asking(void *context)
{
	uint64_t start_ms = sl_clock_ms();
	int other = socket(AF_INET, SOCK_STREAM, 0); /* the child's worker starts */
	NEED(other >= 0 && sl_worker_is_running());
	NEED(fails_for_want_of_ports(context) == 0);
	NEED(sl_clock_ms() - start_ms < 5000);
	return 0;
}

static void out_of_ports_the_error_is_the_kernels(void **state)
{
	(void)state;
	connect_fn *const reaches[] = {connect, __connect};
	for (int i = 0; i < 2; i++) {
		struct exhausted exhausted = {.reach = reaches[i]};
		struct sockaddr_in bound;
		socklen_t n = sizeof(bound);
		int listener = tcp_listen(false, 4, &exhausted.listener_port);
		int fd = tcp_connect(false, exhausted.listener_port); /* has the one port */
		assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &n), 0);
		exhausted.own_port = ntohs(bound.sin_port);
		int probe = socket_with_port(exhausted.own_port);
		if (probe < 0) {
			print_message("no IP_LOCAL_PORT_RANGE here\n");
			skip();
		}
		assert_int_equal(in_fork(fails_for_want_of_ports, &exhausted), 0);
		assert_int_equal(in_fork(fails_after_asking, &exhausted), 0);
		assert_int_equal(close(probe) + close(fd) + close(listener), 0);
	}
}

static uint16_t full_port;

static void block_in_connect(int fd)
{
	(void)to(connect, fd, full_port);
}

static void a_thread_cancelled_in_connect_leaves_its_record(void **state)
{
	(void)state;
	skip_where_cancelling_fails();
	for (int is_asynchronous = 0; is_asynchronous < 2; is_asynchronous++) {
		struct full_listener full;
		full_listener_open(&full);
		full_port = full.port;
		int fd = tcp_socket(0);
		cancel_in(block_in_connect, fd, is_asynchronous);
		assert_int_equal(record_of(fd).flags, IN_PROGRESS);
		assert_int_equal(close(fd), 0);
		full_listener_close(&full);
	}
}

static void test_hook_bind(void **state)
{
	(void)state;
	struct sockaddr_in place = loopback(0), bound;
	socklen_t n = sizeof(bound);
	int fd = tcp_socket(0), other = tcp_socket(0);
	assert_int_equal(UNTOUCHED(bind(fd, (struct sockaddr *)&place, sizeof(place))), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &n), 0);
	assert_true(bound.sin_port != 0);
	FAILS_AS(SL_SYS3(SYS_bind, other, &bound, n), bind(other, (struct sockaddr *)&bound, n));
	FAILS_AS(SL_SYS3(SYS_bind, -1, &bound, n), bind(-1, (struct sockaddr *)&bound, n));
	FAILS_AS(SL_SYS3(SYS_bind, other, NULL, n), bind(other, NULL, n));
	FAILS_AS(SL_SYS3(SYS_bind, other, &place, 3), bind(other, (struct sockaddr *)&place, 3));
	assert_int_equal(record_of(fd).flags, SL_FD_BOUND); /* by the kernel's choice */
	assert_int_equal(record_of(other).flags, 0);
	assert_int_equal(close(fd), 0);
	int option = 1; /* and now to a port of the program's choice: no rescue helps there */
	assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &option, sizeof(option)), 0);
	assert_int_equal(UNTOUCHED(bind(other, (struct sockaddr *)&bound, n)), 0);
	assert_int_equal(record_of(other).flags, 0);
	assert_int_equal(close(other), 0);
}

static void ports_are_noted_of_tcp_only(void **state)
{
	(void)state;
	struct sockaddr_in place = loopback(0);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	int udp = socket(AF_INET, SOCK_DGRAM, 0), v6 = socket(AF_INET6, SOCK_STREAM, 0);
	int plain = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(UNTOUCHED(bind(udp, (struct sockaddr *)&place, sizeof(place))), 0);
	assert_int_equal(record_of(udp).flags, 0);
	assert_int_equal(UNTOUCHED(bind(plain, (struct sockaddr *)&place, sizeof(place))), 0);
	assert_false(is_seen(plain));
	assert_int_equal(UNTOUCHED(bind(v6, (struct sockaddr *)&any, sizeof(any))), 0);
	assert_int_equal(record_of(v6).flags, SL_FD_BOUND);
	assert_int_equal(close(udp) + close(v6) + close(plain), 0);
}

static void test_hook_listen(void **state)
{
	(void)state;
	int fd = tcp_socket(0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(UNTOUCHED(listen(fd, 4)), 0);
	assert_int_equal(record_of(fd).flags, SL_FD_LISTENING);
	FAILS_AS(SL_SYS2(SYS_listen, udp, 4), listen(udp, 4));
	FAILS_AS(SL_SYS2(SYS_listen, -1, 4), listen(-1, 4));
	assert_int_equal(record_of(udp).flags, 0);
	assert_int_equal(close(fd) + close(udp), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_connect),
		cmocka_unit_test(test_hook___connect),
		cmocka_unit_test(a_late_connect_leaves_the_next_record_alone),
		cmocka_unit_test(a_thread_cancelled_in_connect_leaves_its_record),
		cmocka_unit_test(what_we_ended_is_not_used_again),
		cmocka_unit_test(a_guarded_socket_connects_as_any_other),
		cmocka_unit_test(out_of_ports_the_error_is_the_kernels),
		cmocka_unit_test(test_hook_bind),
		cmocka_unit_test(ports_are_noted_of_tcp_only),
		cmocka_unit_test(test_hook_listen),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
