/* test_act_neutralize.c - neutralize and close on real connections: what the program keeps, and when nothing is done. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "ledger/sites.h"
#include "reclaim/dead.h"
#include "suspected.h"
#include "watch/kernel.h"

#define ENDED (SL_MARK_GUARDED | SL_MARK_ENDED)
#define DEAD (SL_MARK_GUARDED | SL_MARK_ENDED | SL_MARK_DEAD)

static struct tcp_pair pair;

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
	suspected_open(&pair);
	return 0;
}

/* ---- two numbers of one connection ---- */

static int second_number(void)
{
	int copy = fcntl(pair.client, F_DUPFD_CLOEXEC, 50);
	assert_true(copy >= 0 && sl_fdtable_dup(pair.client, copy));
	return copy;
}

static void add_number(struct sl_target *target, int fd)
{
	struct sl_fd_record record = suspected_record(fd);
	target->numbers[target->count++] =
		(struct sl_number){fd, record.generation, record.last_io};
}

static void two_numbers(void **state)
{
	(void)state;
	int copy = second_number();
	struct sl_target target = suspected_target(pair.client);
	add_number(&target, copy);
	assert_int_equal(sl_act_shutdown(&target), 0);
	assert_int_equal(suspected_marks(pair.client), ENDED);
	assert_int_equal(suspected_marks(copy), ENDED);
	tcp_await_state(copy, TCP_CLOSE);
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	assert_int_equal(suspected_marks(pair.client), DEAD);
	assert_int_equal(suspected_marks(copy), DEAD);
	assert_true(sl_dead_is_dead(pair.client) && sl_dead_is_dead(copy));
	assert_int_equal(fcntl(pair.client, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(copy, F_GETFD), FD_CLOEXEC);
	suspected_check_free(copy);
}

/* The other one was used, or is another socket by now: nothing is done to either. */
static void one_of_two_says_no(void **state)
{
	(void)state;
	int copy = second_number();
	struct sl_target target = suspected_target(pair.client);
	add_number(&target, copy);
	suspected_touch(copy, SL_IO_WRITE);
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(suspected_marks(pair.client) | suspected_marks(copy), 0);
	tcp_close_recorded(copy);
	assert_int_equal(sl_act_shutdown(&target), -ESTALE);
	assert_int_equal(suspected_marks(pair.client), 0);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	suspected_check_free(pair.client);
}

/* Closed past the hooks, and given out again: the other number is let go all the same, and this one left alone. */
static void one_of_two_is_another_socket(void **state)
{
	(void)state;
	struct tcp_pair other;
	int copy = second_number();
	struct sl_target target = suspected_target(pair.client);
	add_number(&target, copy);
	assert_int_equal(sl_act_shutdown(&target), 0);
	tcp_await_state(pair.client, TCP_CLOSE);
	tcp_open(&other);
	assert_int_equal(dup2(other.client, copy), copy);
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	assert_true(sl_dead_is_dead(pair.client));
	assert_int_equal(suspected_marks(pair.client), DEAD);
	assert_true(sl_kernel_cookie(copy) == sl_kernel_cookie(other.client));
	assert_false(suspected_marks(copy) & SL_MARK_DEAD);
	tcp_check_alive(&other);
}

/* ---- neutralize ---- */

static struct sl_target shut_down(int fd)
{
	struct sl_target target = suspected_target(fd);
	assert_int_equal(sl_act_shutdown(&target), 0);
	tcp_await_state(fd, TCP_CLOSE);
	return target;
}

static void what_the_program_sees_then(void **state)
{
	(void)state;
	struct sl_target target = shut_down(pair.client);
	struct sockaddr_storage address;
	socklen_t n = sizeof(address);
	char byte;
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	assert_int_equal(suspected_marks(pair.client), DEAD);
	assert_int_equal(recv(pair.client, &byte, 1, 0), 0);
	assert_int_equal(send(pair.client, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(getpeername(pair.client, (struct sockaddr *)&address, &n), -1);
	assert_int_equal(errno, ENOTCONN);
	struct pollfd look = {.fd = pair.client, .events = POLLIN | POLLOUT | POLLRDHUP};
	assert_int_equal(poll(&look, 1, 0), 1);
	assert_int_equal(look.revents, POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_ERROR), 0);
	tcp_check_fin(pair.server);
	assert_int_equal(close(pair.client), 0);
}

/* Whether it was close-on-exec and non-blocking stays as it was, in both families. */
static void flags_are_kept(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		bool is_v6 = i & 1, is_cloexec = i & 2, is_nonblocking = i & 4;
		uint16_t port;
		int listener = tcp_listen(is_v6, 1, &port);
		int client = tcp_connect(is_v6, port);
		int server = accept(listener, NULL, NULL);
		assert_int_equal(fcntl(client, F_SETFD, is_cloexec ? FD_CLOEXEC : 0), 0);
		assert_int_equal(fcntl(client, F_SETFL, is_nonblocking ? O_NONBLOCK : 0), 0);
		tcp_record(client, SUSPECTED_OUT, SL_SITE_NO_STACK);
		shutdown(server, SHUT_WR);
		tcp_await_state(client, TCP_CLOSE_WAIT);
		struct sl_target target = shut_down(client);
		assert_int_equal(sl_act_neutralize(&target, true, false), 0);
		assert_true(sl_dead_is_dead(client));
		assert_int_equal(tcp_option(client, SOL_SOCKET, SO_DOMAIN),
		                 is_v6 ? AF_INET6 : AF_INET);
		assert_int_equal(fcntl(client, F_GETFD), is_cloexec ? FD_CLOEXEC : 0);
		assert_int_equal(!!(fcntl(client, F_GETFL) & O_NONBLOCK), is_nonblocking);
		close(server);
		close(listener);
	}
}

/* What waits to be read would be lost, but for a TLS close_notify that waits alone. */
static void check_unread(const char *start, size_t n, bool is_lone, int expected)
{
	struct tcp_pair other;
	char bytes[64] = {0};
	memcpy(bytes, start, n < 5 ? n : 5);
	tcp_open(&other);
	tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	assert_int_equal(write(other.server, bytes, n), n);
	assert_int_equal(shutdown(other.server, SHUT_WR), 0);
	tcp_await_state(other.client, TCP_CLOSE_WAIT);
	struct sl_target target =
		is_lone ? shut_down(other.client) : suspected_target(other.client);
	uint64_t cookie = sl_kernel_cookie(other.client);
	assert_int_equal(sl_act_neutralize(&target, is_lone, true), expected);
	if (expected < 0) {
		assert_true(sl_kernel_cookie(other.client) == cookie);
		assert_int_equal(read(other.client, bytes, sizeof(bytes)), n);
		assert_false(suspected_marks(other.client) & SL_MARK_DEAD);
	} else {
		assert_true(sl_dead_is_dead(other.client));
	}
	tcp_close_recorded(other.client);
	other.client = -1;
	tcp_close(&other);
}

static void unread_bytes(void **state)
{
	(void)state;
	const char *tls12 = "\x15\x03\x03\x00\x1a", *tls13 = "\x17\x03\x03\x00\x13";
	for (int is_lone = 0; is_lone < 2; is_lone++) {
		check_unread("x", 1, is_lone, -EBUSY);
		check_unread("plain", 31, is_lone, -EBUSY);
		check_unread("plain", 24, is_lone, -EBUSY);
		check_unread(tls12, 24, is_lone, -EBUSY);
		check_unread(tls13, 31, is_lone, -EBUSY);
		check_unread(tls13, 25, is_lone, -EBUSY);
		check_unread(tls12, 32, is_lone, -EBUSY);
	}
	check_unread(tls12, 31, true, 0);
	check_unread(tls13, 24, true, 0);
}

/* The far end has not acknowledged our FIN yet, and the connection ends with bytes unread: that must still be a FIN, not a reset
 * (tcp_close() in net/ipv4/tcp.c). */
static void check_farewell(const char *bytes, size_t n)
{
	struct tcp_pair other;
	tcp_open(&other);
	tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	assert_int_equal(write(other.server, bytes, n), n);
	assert_int_equal(shutdown(other.server, SHUT_WR), 0);
	tcp_await_state(other.client, TCP_CLOSE_WAIT);
	tcp_await_state(other.server, TCP_FIN_WAIT2);
	tcp_deafen(other.server);
	struct sl_target target = suspected_target(other.client);
	assert_int_equal(sl_act_shutdown(&target), 0);
	assert_int_equal(tcp_state(other.client), TCP_LAST_ACK);
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	assert_true(sl_dead_is_dead(other.client));
	/* It was deaf to the first; that one is sent again, a reset is not. */
	tcp_hear_again(other.server);
	tcp_check_fin(other.server);
	tcp_close_recorded(other.client);
	other.client = -1;
	tcp_close(&other);
}

static void a_close_notify_is_followed_by_a_fin(void **state)
{
	(void)state;
	check_farewell("\x15\x03\x03\x00\x1a and 26 bytes behind it...", 31);
	check_farewell("\x17\x03\x03\x00\x13 and 19 bytes more..", 24);
}

/* To whom else has the description they are left. */
static void a_shared_close_notify_stays(void **state)
{
	(void)state;
	char bytes[64] = "\x17\x03\x03\x00\x13";
	struct tcp_pair other;
	tcp_open(&other);
	tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	int elsewhere = dup(other.client);
	assert_int_equal(write(other.server, bytes, 24), 24);
	assert_int_equal(shutdown(other.server, SHUT_WR), 0);
	tcp_await_state(other.client, TCP_CLOSE_WAIT);
	struct sl_target target = suspected_target(other.client);
	assert_int_equal(sl_act_neutralize(&target, false, false), 0);
	assert_int_equal(read(elsewhere, bytes, sizeof(bytes)), 24);
	assert_int_equal(close(elsewhere), 0);
}

static void a_pending_error(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_int_equal(sl_act_neutralize(&target, true, false), -EBUSY);
	assert_true(sl_kernel_cookie(pair.client) == target.cookie);
	assert_int_equal(suspected_marks(pair.client), 0);
	/* Of our own making: nothing that the program should see. */
	assert_int_equal(sl_act_neutralize(&target, true, true), 0);
	assert_true(sl_dead_is_dead(pair.client));
}

static void an_error_that_was_seen(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_ERROR), EPIPE);
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	assert_true(sl_dead_is_dead(pair.client));
}

/* Never without a shutdown before it, unless somebody else has the connection as well. */
static void neutralize_in_close_wait(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	int elsewhere = dup(pair.client); /* as another process would have it */
	assert_int_equal(sl_act_neutralize(&target, true, false), -EBUSY);
	assert_true(sl_kernel_cookie(pair.client) == target.cookie);
	assert_int_equal(sl_act_neutralize(&target, false, false), 0);
	assert_true(sl_dead_is_dead(pair.client));
	/* To the other one nothing has happened. */
	assert_int_equal(tcp_state(elsewhere), TCP_CLOSE_WAIT);
	assert_int_equal(write(elsewhere, "x", 1), 1);
	tcp_await_unread(pair.server, 1);
}

/* The program gave the peer up and has another one by now: the same number, record and cookie. */
static void connected_anew(void **state)
{
	(void)state;
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(pair.port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	struct sl_target target = suspected_target(pair.client);
	assert_int_equal(connect(pair.client, &nobody, sizeof(nobody)), 0);
	assert_true(sl_kernel_cookie(pair.client) == target.cookie);
	/* The door has taken the flags back. */
	assert_true(sl_fdtable_mark_now(pair.client, 0, SL_FD_CONNECTED));
	assert_int_equal(sl_act_neutralize(&target, true, true), -EBUSY);
	assert_int_equal(connect(pair.client, (struct sockaddr *)&address, sizeof(address)), 0);
	int server = accept(pair.listener, NULL, NULL);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_CONNECTED, 0));
	assert_int_equal(sl_act_neutralize(&target, true, true), -EBUSY);
	assert_int_equal(sl_act_neutralize(&target, false, true), -EBUSY);
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(tcp_state(pair.client), TCP_ESTABLISHED);
	assert_int_equal(write(pair.client, "x", 1), 1);
	tcp_await_unread(server, 1);
}

static bool is_ready(int set, uint64_t data)
{
	struct epoll_event event;
	return epoll_wait(set, &event, 1, 0) == 1 && event.data.u64 == data;
}

static void add_to(int set, int fd, uint64_t data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
}

/* As long as a child that is about to exec has the socket too, its registrations would stay. */
static void registrations_go(void **state)
{
	(void)state;
	int set = epoll_create1(EPOLL_CLOEXEC);
	add_to(set, pair.client, 1);
	struct sl_target target = shut_down(pair.client);
	int elsewhere = dup(pair.client);
	assert_true(is_ready(set, 1));
	target.registrations = 1;
	target.in[0] = (struct sl_registration){set, pair.client};
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	assert_false(is_ready(set, 1));
	close(elsewhere);
}

/* Without a dead socket to put there nothing is done, by halves neither. */
static void registrations_stay_in_child(void)
{
	const struct rlimit few = {64, 64};
	int set = epoll_create1(EPOLL_CLOEXEC);
	add_to(set, pair.client, 1);
	struct sl_target target = shut_down(pair.client);
	target.registrations = 1;
	target.in[0] = (struct sl_registration){set, pair.client};
	sl_dead_close();
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	CHECK(sl_act_neutralize(&target, true, false) == -EMFILE);
	CHECK(is_ready(set, 1));
	CHECK(epoll_ctl(set, EPOLL_CTL_DEL, pair.client, NULL) == 0);
	CHECK(suspected_marks(pair.client) == ENDED);
}

static void registrations_stay_without_a_dead_socket(void **state)
{
	(void)state;
	in_child(registrations_stay_in_child);
}

/* A registration outlives its number where the socket has another one; the number may be in the same set again by then. */
static void registrations_of_others_stay(void **state)
{
	(void)state;
	struct tcp_pair other;
	int set = epoll_create1(EPOLL_CLOEXEC);
	int copy = dup(pair.client);
	add_to(set, copy, 1);
	tcp_open(&other);
	assert_int_equal(dup2(other.client, copy), copy);
	add_to(set, copy, 2);
	struct sl_target target = shut_down(pair.client);
	target.registrations = 1;
	target.in[0] = (struct sl_registration){set, copy};
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	assert_int_equal(write(other.server, "x", 1), 1);
	tcp_await_unread(copy, 1);
	assert_true(is_ready(set, 2));
}

/* A peer that does not answer keeps it in LAST_ACK: dup2() over a lingering socket would wait there. */
static void lingering(void **state)
{
	(void)state;
	struct linger slow = {1, 5}, now;
	socklen_t n = sizeof(now);
	for (int is_lone = 0; is_lone < 2; is_lone++) {
		struct tcp_pair other;
		suspected_open(&other);
		int elsewhere = dup(other.client);
		assert_int_equal(setsockopt(elsewhere, SOL_SOCKET, SO_LINGER, &slow, sizeof(slow)),
		                 0);
		tcp_deafen(other.server);
		struct sl_target target = suspected_target(other.client);
		assert_int_equal(sl_act_shutdown(&target), 0);
		assert_int_equal(tcp_state(elsewhere), TCP_LAST_ACK);
		assert_int_equal(sl_act_neutralize(&target, is_lone, false), 0);
		assert_true(sl_dead_is_dead(other.client));
		assert_int_equal(getsockopt(elsewhere, SOL_SOCKET, SO_LINGER, &now, &n), 0);
		assert_int_equal(now.l_onoff, !is_lone);
	}
}

/* ---- close ---- */

static void close_gives_the_number_up(void **state)
{
	(void)state;
	struct sl_target target = shut_down(pair.client);
	struct sl_fd_record record;
	/* Not before it is dead. */
	assert_int_equal(sl_act_close(&target.numbers[0]), -ESTALE);
	assert_int_equal(fcntl(pair.client, F_GETFD), FD_CLOEXEC);
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	/* Not while a call is under way: it may put a dead socket of its own there (sl_dead_become_own()). */
	struct sl_fd_slot *slot = sl_fdtable_slot(pair.client);
	uint64_t head = sl_fdtable_write_begin(slot);
	assert_int_equal(sl_act_close(&target.numbers[0]), -EBUSY);
	assert_int_equal(fcntl(pair.client, F_GETFD), FD_CLOEXEC);
	sl_fdtable_write_end(slot, head);
	suspected_touch(pair.client, SL_IO_READ); /* that it was used does not matter */
	assert_int_equal(sl_act_close(&target.numbers[0]), 0);
	assert_int_equal(fcntl(pair.client, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
	assert_false(sl_fdtable_get(pair.client, &record));
	/* The program's late close() is absorbed, once. */
	assert_true(sl_fdtable_absorb(pair.client));
	assert_false(sl_fdtable_absorb(pair.client));
	assert_int_equal(sl_act_close(&target.numbers[0]), -ESTALE);
	suspected_check_free(pair.client);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_numbers),
		TEST(one_of_two_says_no),
		TEST(one_of_two_is_another_socket),
		TEST(what_the_program_sees_then),
		TEST(flags_are_kept),
		TEST(unread_bytes),
		TEST(a_close_notify_is_followed_by_a_fin),
		TEST(a_shared_close_notify_stays),
		TEST(a_pending_error),
		TEST(an_error_that_was_seen),
		TEST(neutralize_in_close_wait),
		TEST(connected_anew),
		TEST(registrations_go),
		TEST(registrations_stay_without_a_dead_socket),
		TEST(registrations_of_others_stay),
		TEST(lingering),
		TEST(close_gives_the_number_up),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
