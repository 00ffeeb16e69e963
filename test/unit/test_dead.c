/* test_dead.c - the dead sockets: what they show, when a new one is made, and one of a number's own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/ownfd.h"
#include "child.h"
#include "ledger/sites.h"
#include "reclaim/dead.h"
#include "suspected.h"
#include "watch/kernel.h"

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	suspected_reset();
	alarm(60);
	return 0;
}

static void one_for_each_kind(void **state)
{
	(void)state;
	int fds[4];
	for (int i = 0; i < 4; i++) {
		int family = i & 1 ? AF_INET6 : AF_INET;
		bool is_nonblocking = i & 2;
		fds[i] = sl_dead_socket(family, is_nonblocking);
		assert_true(fds[i] >= SL_OWN_FD_FLOOR && sl_ownfd_is(fds[i]));
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		assert_int_equal(!!(fcntl(fds[i], F_GETFL) & O_NONBLOCK), is_nonblocking);
		assert_int_equal(tcp_option(fds[i], SOL_SOCKET, SO_DOMAIN), family);
		assert_int_equal(tcp_option(fds[i], SOL_SOCKET, SO_TYPE), SOCK_STREAM);
		assert_true(sl_dead_is_dead(fds[i]));
		/* As long as it is dead it is the one. */
		assert_int_equal(sl_dead_socket(family, is_nonblocking), fds[i]);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(fds[j], fds[i]);
	}
	/* Nothing of the program's is taken. */
	assert_int_equal(dup(0), 3);
}

/* In any order and number: what a connection shows that its peer has closed. */
static void what_it_shows(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		int fd = sl_dead_socket(i & 1 ? AF_INET6 : AF_INET, i & 2);
		struct sockaddr_storage address;
		socklen_t n = sizeof(address);
		char bytes[8];
		for (int again = 0; again < 2; again++) {
			struct pollfd look = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
			assert_int_equal(poll(&look, 1, 0), 1);
			assert_int_equal(look.revents, POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
			assert_int_equal(read(fd, bytes, sizeof(bytes)), 0);
			assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), 0);
			assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
			assert_int_equal(errno, EPIPE);
			assert_int_equal(getpeername(fd, (struct sockaddr *)&address, &n), -1);
			assert_int_equal(errno, ENOTCONN);
			assert_int_equal(shutdown(fd, SHUT_RDWR), -1);
			assert_int_equal(errno, ENOTCONN);
			assert_int_equal(tcp_option(fd, SOL_SOCKET, SO_ERROR), 0);
			assert_true(sl_dead_is_dead(fd));
		}
	}
}

static int loopback(struct sockaddr_in *address, uint16_t port)
{
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(*address);
}

static void no_dead_ones(void **state)
{
	(void)state;
	struct tcp_pair pair;
	struct sockaddr_in address;
	tcp_open(&pair);
	assert_false(sl_dead_is_dead(-1));
	assert_false(sl_dead_is_dead(100));
	assert_false(sl_dead_is_dead(0));
	assert_false(sl_dead_is_dead(pair.client));
	assert_false(sl_dead_is_dead(pair.listener));
	int fresh = socket(AF_INET, SOCK_STREAM, 0);
	assert_false(sl_dead_is_dead(fresh));
	assert_false(sl_dead_is_dead(socket(AF_INET, SOCK_DGRAM, 0)));
	assert_int_equal(bind(fresh, (struct sockaddr *)&address, (socklen_t)loopback(&address, 0)),
	                 0);
	assert_false(sl_dead_is_dead(fresh));
	/* In CLOSE_WAIT, and ended with an error that nobody has seen. */
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	assert_false(sl_dead_is_dead(pair.client));
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_false(sl_dead_is_dead(pair.client));
}

/* What a program can do to a neutralized number past the hooks. */
static void disconnect(int fd)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	assert_int_equal(connect(fd, &nobody, sizeof(nobody)), 0);
}

static void connect_it(int fd)
{
	struct sockaddr_in address;
	uint16_t port;
	(void)tcp_listen(false, 4, &port);
	socklen_t n = (socklen_t)loopback(&address, port);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, n), 0);
}

static void bind_it(int fd)
{
	struct sockaddr_in address;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, (socklen_t)loopback(&address, 0)),
	                 0);
}

static void listen_on_it(int fd)
{
	assert_int_equal(listen(fd, 1), 0);
}

static void open_fast(int fd)
{
	struct sockaddr_in address;
	uint16_t port;
	(void)tcp_listen(false, 4, &port);
	socklen_t n = (socklen_t)loopback(&address, port);
	(void)sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&address, n);
}

static void make_nonblocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void made_anew_when_changed(void **state)
{
	(void)state;
	void (*const changes[])(int fd) = {disconnect,   connect_it, bind_it,
	                                   listen_on_it, open_fast,  make_nonblocking};
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		int old = sl_dead_socket(AF_INET, false);
		int number = dup(old); /* as a neutralized one is */
		uint64_t cookie = sl_kernel_cookie(old);
		changes[i](number);
		int fresh = sl_dead_socket(AF_INET, false);
		assert_true(fresh >= 0 && sl_dead_is_dead(fresh));
		assert_false(fcntl(fresh, F_GETFL) & O_NONBLOCK);
		assert_true(sl_kernel_cookie(fresh) != cookie);
		/* The number has what it had; ours is let go. */
		assert_true(sl_kernel_cookie(number) == cookie);
		assert_int_equal(close(number), 0);
		assert_int_equal(sl_dead_socket(AF_INET, false), fresh);
	}
}

/* Closed or taken by raw calls of the program: what lies there now is the program's. */
static void made_anew_when_gone(void **state)
{
	(void)state;
	int old = sl_dead_socket(AF_INET, false);
	close(old);
	int fresh = sl_dead_socket(AF_INET, false);
	assert_true(fresh >= 0 && sl_dead_is_dead(fresh));
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(dup2(file, fresh), fresh);
	int another = sl_dead_socket(AF_INET, false);
	assert_int_not_equal(another, fresh);
	assert_true(sl_dead_is_dead(another));
	assert_int_equal(fcntl(fresh, F_GETFD), 0);
}

/* ---- a dead socket of a number's own ---- */

static struct tcp_pair pair;

/* Neutralized, as the ladder would have it. */
static void neutralize(int fd)
{
	struct sl_target target = suspected_target(fd);
	assert_int_equal(sl_act_shutdown(&target), 0);
	tcp_await_state(fd, TCP_CLOSE);
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
}

static void one_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		bool is_cloexec = i & 1, is_nonblocking = i & 2;
		suspected_open(&pair);
		assert_int_equal(fcntl(pair.client, F_SETFD, is_cloexec ? FD_CLOEXEC : 0), 0);
		assert_int_equal(fcntl(pair.client, F_SETFL, is_nonblocking ? O_NONBLOCK : 0), 0);
		neutralize(pair.client);
		int shared = sl_dead_socket(AF_INET, is_nonblocking);
		assert_true(sl_kernel_cookie(shared) == sl_kernel_cookie(pair.client));
		int lowest = dup(0);
		close(lowest);
		assert_int_equal(sl_dead_become_own(pair.client), 0);
		assert_true(sl_kernel_cookie(shared) != sl_kernel_cookie(pair.client));
		assert_true(sl_dead_is_dead(pair.client));
		assert_int_equal(fcntl(pair.client, F_GETFD), is_cloexec ? FD_CLOEXEC : 0);
		assert_int_equal(!!(fcntl(pair.client, F_GETFL) & O_NONBLOCK), is_nonblocking);
		/* Writes stay quiet, but what the program does to it harms no other. */
		assert_int_equal(suspected_marks(pair.client) & (SL_MARK_DEAD | SL_MARK_ENDED),
		                 SL_MARK_ENDED);
		disconnect(pair.client);
		assert_true(sl_dead_is_dead(shared));
		assert_int_equal(dup(0), lowest);
		close(lowest);
		tcp_close_recorded(pair.client);
	}
}

static void of_ipv6(void **state)
{
	(void)state;
	uint16_t port;
	int listener = tcp_listen(true, 1, &port);
	int client = tcp_connect(true, port);
	int server = accept(listener, NULL, NULL);
	tcp_record(client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	shutdown(server, SHUT_WR);
	tcp_await_state(client, TCP_CLOSE_WAIT);
	neutralize(client);
	assert_int_equal(sl_dead_become_own(client), 0);
	assert_int_equal(tcp_option(client, SOL_SOCKET, SO_DOMAIN), AF_INET6);
}

/* Only a number that was neutralized, and still is. */
static void none_for_others(void **state)
{
	(void)state;
	struct tcp_pair other;
	assert_int_equal(sl_dead_become_own(0), -ESTALE);
	assert_int_equal(sl_dead_become_own(-1), -ESTALE);
	tcp_open(&other);
	assert_int_equal(sl_dead_become_own(other.client), -ESTALE);
	tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	assert_int_equal(sl_dead_become_own(other.client), -ESTALE);
	/* Closed past the hooks, and given out again: the record does not know yet. */
	suspected_open(&pair);
	neutralize(pair.client);
	assert_int_equal(dup2(other.client, pair.client), pair.client);
	assert_int_equal(sl_dead_become_own(pair.client), -ESTALE);
	assert_true(sl_kernel_cookie(pair.client) == sl_kernel_cookie(other.client));
	close(pair.client);
	assert_int_equal(sl_dead_become_own(pair.client), -ESTALE);
	assert_int_equal(tcp_state(other.client), TCP_ESTABLISHED);
}

static void no_number_left_in_child(void)
{
	struct rlimit limit;
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max = 64;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	/* The hard limit leaves none that is high enough. */
	CHECK(sl_dead_socket(AF_INET, false) == -EMFILE);
	CHECK(sl_dead_socket(AF_INET, false) == -EMFILE);
	while (dup(0) >= 0)
		;
	CHECK(sl_dead_socket(AF_INET6, true) == -EMFILE);
}

static void no_number_left(void **state)
{
	(void)state;
	in_child(no_number_left_in_child);
}

static void no_number_for_its_own_in_child(void)
{
	suspected_open(&pair);
	neutralize(pair.client);
	while (dup(0) >= 0)
		;
	CHECK(sl_dead_become_own(pair.client) == -EMFILE);
	CHECK(suspected_marks(pair.client) & SL_MARK_DEAD);
	CHECK(sl_dead_is_dead(pair.client));
}

static void no_number_for_its_own(void **state)
{
	(void)state;
	in_child(no_number_for_its_own_in_child);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_for_each_kind),
		TEST(what_it_shows),
		TEST(no_dead_ones),
		TEST(made_anew_when_changed),
		TEST(made_anew_when_gone),
		TEST(one_of_its_own),
		TEST(of_ipv6),
		TEST(none_for_others),
		TEST(no_number_left),
		TEST(no_number_for_its_own),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
