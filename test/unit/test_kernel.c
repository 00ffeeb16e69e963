/* test_kernel.c - what the kernel says of real sockets, and that asking changes nothing. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tcp.h"
#include "watch/kernel.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct sl_kernel_tcp ask(int fd)
{
	struct sl_kernel_tcp tcp;
	memset(&tcp, 0x55, sizeof(tcp));
	errno = 4711;
	assert_int_equal(sl_kernel_tcp(fd, &tcp), 0);
	assert_int_equal(errno, 4711);
	return tcp;
}

static void states(void **state)
{
	(void)state;
	struct tcp_pair pair;
	int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tcp_open(&pair);
	assert_int_equal(ask(fresh).state, TCP_CLOSE);
	assert_int_equal(ask(pair.listener).state, TCP_LISTEN);
	assert_int_equal(ask(pair.client).state, TCP_ESTABLISHED);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	assert_int_equal(ask(pair.client).state, TCP_CLOSE_WAIT);
	tcp_await_state(pair.server, TCP_FIN_WAIT2);
	assert_int_equal(ask(pair.server).state, TCP_FIN_WAIT2);
	tcp_close(&pair);
	close(fresh);
}

static void no_tcp_socket(void **state)
{
	(void)state;
	struct sl_kernel_tcp tcp;
	int unix_pair[2];
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int file = dup(0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, unix_pair), 0);
	assert_int_equal(sl_kernel_tcp(-1, &tcp), -EBADF);
	assert_int_equal(sl_kernel_tcp(file, &tcp), -ENOTSOCK);
	assert_int_equal(sl_kernel_tcp(unix_pair[0], &tcp), -EOPNOTSUPP);
	assert_true(sl_kernel_tcp(udp, &tcp) < 0);
	assert_int_equal(sl_kernel_cookie(file), 0);
	assert_int_equal(sl_kernel_unread_bytes(-1), 0);
	assert_int_equal(sl_kernel_unsent_bytes(-1), 0);
	close(unix_pair[0]);
	close(unix_pair[1]);
	close(udp);
	close(file);
}

/* What tells a connection that died from a socket that never was one. */
static void was_established(void **state)
{
	(void)state;
	struct tcp_pair pair;
	int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_false(ask(fresh).was_established);
	tcp_open(&pair);
	assert_true(ask(pair.client).was_established);
	tcp_reset(pair.server);
	pair.server = -1;
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_true(ask(pair.client).was_established);
	/* Disconnected on purpose: as good as new (connect(2)). */
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	assert_int_equal(connect(pair.client, &nobody, sizeof(nobody)), 0);
	assert_false(ask(pair.client).was_established);

	/* Refused: there is no listener any more. */
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(pair.port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	close(pair.listener);
	pair.listener = -1;
	assert_int_equal(connect(fresh, (struct sockaddr *)&address, sizeof(address)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(ask(fresh).state, TCP_CLOSE);
	assert_false(ask(fresh).was_established);
	tcp_close(&pair);
	close(fresh);
}

static void ages(void **state)
{
	(void)state;
	struct tcp_pair pair;
	tcp_open(&pair);
	assert_int_equal(write(pair.server, "x", 1), 1);
	uint64_t data_at_ms = sl_clock_ms();
	tcp_await_unread(pair.client, 1);
	while (sl_clock_ms() < data_at_ms + 150)
		usleep(1000);
	uint64_t before_ms = sl_clock_ms();
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	uint64_t after_ms = sl_clock_ms();
	struct sl_kernel_tcp tcp = ask(pair.client);
	uint64_t now_ms = sl_clock_ms();
	/* Ages are in jiffies, 10 ms at the coarsest. */
	assert_true(tcp.last_ack_recv_ms + 10 >= now_ms - after_ms);
	assert_true(tcp.last_ack_recv_ms <= now_ms - before_ms + 10);
	assert_true(tcp.last_data_recv_ms >= tcp.last_ack_recv_ms + 140);
	assert_true(tcp.last_data_recv_ms <= now_ms - data_at_ms + 10);
	tcp_close(&pair);
}

static void queues(void **state)
{
	(void)state;
	struct tcp_pair pair;
	tcp_open(&pair);
	assert_int_equal(sl_kernel_unread_bytes(pair.client), 0);
	assert_int_equal(write(pair.server, "12345", 5), 5);
	tcp_await_unread(pair.client, 5);
	assert_int_equal(sl_kernel_unread_bytes(pair.client), 5);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	assert_int_equal(sl_kernel_unread_bytes(pair.client), 5); /* the FIN is no byte */
	/* To a peer that does not answer, bytes stay unsent. */
	tcp_await_sent(pair.client);
	assert_false(ask(pair.client).has_unsent);
	tcp_deafen(pair.server);
	assert_int_equal(write(pair.client, "1234567", 7), 7);
	assert_int_equal(sl_kernel_unsent_bytes(pair.client), 7);
	assert_true(ask(pair.client).has_unsent);
	tcp_close(&pair);
}

static bool has_retransmitted(void *context)
{
	return ask(*(int *)context).retransmits >= 2;
}

/* What a silent peer is sent again and again is no new sending. */
static void sent_again_is_not_sent(void **state)
{
	(void)state;
	struct tcp_pair pair;
	tcp_open(&pair);
	assert_int_equal(write(pair.client, "123", 3), 3);
	tcp_await_sent(pair.client);
	struct sl_kernel_tcp before = ask(pair.client);
	assert_int_equal(before.bytes_sent, 3);
	assert_int_equal(before.bytes_acked, 4); /* the SYN is one */
	tcp_deafen(pair.server);
	assert_int_equal(write(pair.client, "4567", 4), 4);
	await(has_retransmitted, &pair.client, "retransmissions");
	struct sl_kernel_tcp after = ask(pair.client);
	assert_int_equal(after.bytes_sent, 7);
	assert_int_equal(after.bytes_acked, 4);
	tcp_close(&pair);
}

static void backlog(void **state)
{
	(void)state;
	uint16_t port;
	int listener = tcp_listen(false, 5, &port);
	assert_int_equal(ask(listener).backlog, 0);
	assert_int_equal(ask(listener).backlog_limit, 5);
	int clients[3];
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		clients[i] = tcp_connect(false, port);
	assert_int_equal(ask(listener).backlog, 3);
	int server = accept(listener, NULL, NULL);
	assert_int_equal(ask(listener).backlog, 2);
	assert_true(sl_kernel_is_listener(listener));
	assert_false(sl_kernel_is_listener(server));
	assert_false(sl_kernel_is_listener(-1));
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		close(clients[i]);
	close(server);
	close(listener);
}

static void cookies(void **state)
{
	(void)state;
	struct tcp_pair pair;
	tcp_open(&pair);
	int copy = dup(pair.client);
	assert_true(sl_kernel_cookie(pair.client) != 0);
	assert_true(sl_kernel_cookie(copy) == sl_kernel_cookie(pair.client));
	assert_true(sl_kernel_cookie(pair.server) != sl_kernel_cookie(pair.client));
	close(copy);
	tcp_close(&pair);
}

static void endpoints(void **state)
{
	(void)state;
	static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1};
	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		struct sl_endpoint at, other;
		uint16_t port;
		int listener = tcp_listen(is_v6, 5, &port);
		assert_true(sl_kernel_local(listener, &at));
		assert_int_equal(at.port, port);
		assert_false(sl_kernel_peer(listener, &at));
		int client = tcp_connect(is_v6, port);
		int server = accept(listener, NULL, NULL);
		/* v4-mapped and IPv4 are one and the same. */
		assert_true(sl_kernel_peer(client, &at));
		assert_memory_equal(at.address, loopback, 16);
		assert_int_equal(at.port, port);
		assert_true(sl_kernel_local(client, &at));
		assert_true(sl_kernel_peer(server, &other));
		assert_memory_equal(at.address, other.address, 16);
		assert_int_equal(at.port, other.port);
		close(client);
		close(server);
		close(listener);
	}
	struct sl_endpoint at;
	assert_false(sl_kernel_local(-1, &at));
	assert_false(sl_kernel_peer(-1, &at));
}

static void kinds(void **state)
{
	(void)state;
	static const struct {
		int domain, type, protocol;
		enum sl_kind kind;
	} rows[] = {
		{AF_INET, SOCK_STREAM, 0, SL_KIND_TCP},
		{AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP, SL_KIND_TCP},
		{AF_INET, SOCK_DGRAM, 0, SL_KIND_UDP},
		{AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP, SL_KIND_UDP},
		{AF_UNIX, SOCK_STREAM, 0, SL_KIND_UNIX},
		{AF_UNIX, SOCK_DGRAM, 0, SL_KIND_UNIX},
		{AF_NETLINK, SOCK_RAW, 0, SL_KIND_NETLINK},
	};
	static const struct {
		int domain, type, protocol;
	} others[] = {
		{AF_INET, SOCK_STREAM, IPPROTO_SCTP}, {AF_INET, SOCK_STREAM, IPPROTO_MPTCP},
		{AF_INET, SOCK_DGRAM, IPPROTO_ICMP},  {AF_INET, SOCK_RAW, IPPROTO_TCP},
		{AF_INET6, SOCK_SEQPACKET, 0},        {AF_PACKET, SOCK_RAW, 0},
		{AF_BLUETOOTH, SOCK_STREAM, 0},       {-1, SOCK_STREAM, 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int fd = socket(rows[i].domain, rows[i].type, rows[i].protocol);
		assert_true(fd >= 0);
		assert_int_equal(sl_kernel_kind_of(rows[i].domain, rows[i].type, rows[i].protocol),
		                 rows[i].kind);
		assert_int_equal(sl_kernel_kind(fd), rows[i].kind);
		close(fd);
	}
	for (size_t i = 0; i < COUNT_OF(others); i++)
		assert_int_equal(
			sl_kernel_kind_of(others[i].domain, others[i].type, others[i].protocol),
			SL_KIND_OTHER);
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(sl_kernel_kind(pipe_fds[0]), SL_KIND_NONE);
	assert_int_equal(sl_kernel_kind(-1), SL_KIND_NONE);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void is_close_notify(const char *start, size_t n, bool expected)
{
	struct tcp_pair pair;
	char bytes[64] = {0}, got[64];
	memcpy(bytes, start, 5);
	tcp_open(&pair);
	assert_int_equal(write(pair.server, bytes, n), n);
	tcp_await_unread(pair.client, (int)n);
	assert_int_equal(sl_kernel_is_close_notify(pair.client, (uint32_t)n), expected);
	/* Looked at, and left where they are. */
	assert_int_equal(sl_kernel_unread_bytes(pair.client), n);
	assert_int_equal(read(pair.client, got, sizeof(got)), n);
	assert_memory_equal(got, bytes, n);
	tcp_close(&pair);
}

static void a_lone_close_notify(void **state)
{
	(void)state;
	is_close_notify("\x15\x03\x03\x00\x1a", 31, true);
	is_close_notify("\x17\x03\x03\x00\x13", 24, true);
	is_close_notify("\x17\x03\x03\x00\x13", 31, false);
	is_close_notify("\x15\x03\x03\x00\x1a", 24, false);
	is_close_notify("\x15\x03\x03\x00\x1a", 32, false);
	is_close_notify("HTTP/", 31, false);
	assert_false(sl_kernel_is_close_notify(-1, 31));
	assert_false(sl_kernel_is_close_notify(0, 0));
}

/* The pending error and the unread bytes are the program's. */
static void asking_takes_nothing_away(void **state)
{
	(void)state;
	struct tcp_pair pair;
	struct sl_endpoint at;
	tcp_open(&pair);
	assert_int_equal(write(pair.server, "hello", 5), 5);
	tcp_await_unread(pair.client, 5);
	tcp_reset(pair.server);
	pair.server = -1;
	tcp_await_state(pair.client, TCP_CLOSE);
	for (int i = 0; i < 3; i++) {
		(void)ask(pair.client);
		(void)sl_kernel_unread_bytes(pair.client);
		(void)sl_kernel_unsent_bytes(pair.client);
		(void)sl_kernel_cookie(pair.client);
		(void)sl_kernel_kind(pair.client);
		(void)sl_kernel_is_listener(pair.client);
		(void)sl_kernel_local(pair.client, &at);
		(void)sl_kernel_peer(pair.client, &at);
	}
	int error = 0;
	socklen_t n = sizeof(error);
	assert_int_equal(getsockopt(pair.client, SOL_SOCKET, SO_ERROR, &error, &n), 0);
	assert_int_equal(error, ECONNRESET);
	tcp_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states),
		cmocka_unit_test(no_tcp_socket),
		cmocka_unit_test(was_established),
		cmocka_unit_test(ages),
		cmocka_unit_test(queues),
		cmocka_unit_test(sent_again_is_not_sent),
		cmocka_unit_test(backlog),
		cmocka_unit_test(cookies),
		cmocka_unit_test(endpoints),
		cmocka_unit_test(kinds),
		cmocka_unit_test(a_lone_close_notify),
		cmocka_unit_test(asking_takes_nothing_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
