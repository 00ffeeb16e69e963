/* test_act.c - the actions on real connections: what the program keeps, what the peer sees, and when nothing is done. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/ownfd.h"
#include "base/process.h"
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

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
	return value;
}

static void set(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

/* No action leaves the record held, or anything of the program's on a number of ours. */
static void check_nothing_is_held(int fd)
{
	struct sl_fd_record record;
	if (sl_fdtable_get(fd, &record))
		assert_false(record.marks & SL_MARK_HELD);
	assert_int_equal(atomic_load(&sl_ownfd_lent), -1);
}

/* The end of the stream, not an error: a FIN and no RST. */
static void check_peer_saw_a_fin(int server)
{
	struct pollfd look = {.fd = server, .events = POLLIN};
	char byte;
	assert_int_equal(poll(&look, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(server, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(get(server, SOL_SOCKET, SO_ERROR), 0);
}

/* ---- the probe ---- */

static uint32_t acked_ago_ms(int fd)
{
	struct sl_kernel_tcp tcp;
	assert_int_equal(sl_kernel_tcp(fd, &tcp), 0);
	return tcp.last_ack_recv_ms;
}

static bool is_acked(void *context)
{
	return acked_ago_ms(*(int *)context) < 500;
}

/* The probe's answer takes up to a second: the time that TCP_KEEPIDLE=1 asks for. */
static void a_peer_that_waits_acknowledges(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	uint64_t until_ms = sl_clock_ms() + 1000;
	while (acked_ago_ms(pair.client) < 600 && sl_clock_ms() < until_ms)
		usleep(1000);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	assert_int_equal(saved.is_on, 0);
	assert_false(saved.was_own);
	assert_int_equal(saved.idle_s, get(pair.server, IPPROTO_TCP, TCP_KEEPIDLE));
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(suspected_marks(pair.client), SL_MARK_PROBED);
	await(is_acked, &pair.client, "the answer to a probe");
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	assert_int_equal(sl_act_probe_end(&target, &saved), 0);
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(get(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), saved.idle_s);
	/* Nothing was cut: the other half still works. */
	assert_int_equal(write(pair.client, "x", 1), 1);
	tcp_await_unread(pair.server, 1);
	check_nothing_is_held(pair.client);
}

static void a_peer_that_forgot_resets(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	suspected_forget_peer(&pair);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	tcp_await_state(pair.client, TCP_CLOSE);
	/* Of a dead one too. */
	assert_int_equal(sl_act_probe_end(&target, &saved), 0);
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(get(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), saved.idle_s);
	assert_false(suspected_marks(pair.client) & SL_MARK_ENDED);
}

/* As the hook of setsockopt() does: it says so first. */
static void set_own(int level, int name, int value)
{
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_OWN_KEEPALIVE, 0));
	set(pair.client, level, name, value);
}

static bool is_marked_own(void)
{
	return suspected_record(pair.client).flags & SL_FD_OWN_KEEPALIVE;
}

static void set_by_the_program_before(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	set_own(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_own(IPPROTO_TCP, TCP_KEEPIDLE, 77);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	assert_true(saved.was_own && saved.is_on && saved.idle_s == 77);
	assert_int_equal(get(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 1);
	assert_int_equal(sl_act_probe_end(&target, &saved), 0);
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(get(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_true(is_marked_own());
}

static void set_by_the_program_meanwhile(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	set_own(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_own(IPPROTO_TCP, TCP_KEEPIDLE, 77);
	assert_int_equal(sl_act_probe_end(&target, &saved), 0);
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(get(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_true(is_marked_own());
}

/* It had set the times, not the switch; and does so now, in the middle of a probe. */
static void set_by_the_program_before_and_meanwhile(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	set_own(IPPROTO_TCP, TCP_KEEPIDLE, 77);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	assert_true(saved.was_own && !saved.is_on);
	set_own(SOL_SOCKET, SO_KEEPALIVE, 1);
	assert_int_equal(sl_act_probe_end(&target, &saved), 0);
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(get(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_true(is_marked_own());
}

/* Only the times were set before, and nothing meanwhile: the switch goes back. */
static void times_set_by_the_program_before(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	set_own(IPPROTO_TCP, TCP_KEEPIDLE, 77);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	assert_int_equal(sl_act_probe_end(&target, &saved), 0);
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(get(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_true(is_marked_own());
}

static void switched_off_by_the_program_meanwhile(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	set_own(SOL_SOCKET, SO_KEEPALIVE, 1);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	set_own(SOL_SOCKET, SO_KEEPALIVE, 0);
	assert_int_equal(sl_act_probe_end(&target, &saved), 0);
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(get(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), saved.idle_s);
}

/* ---- shutdown ---- */

static void shutdown_ends_it(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	char byte;
	assert_int_equal(sl_act_shutdown(&target), 0);
	check_peer_saw_a_fin(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_int_equal(suspected_marks(pair.client), ENDED);
	assert_int_equal(recv(pair.client, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(send(pair.client, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	check_nothing_is_held(pair.client);
	/* Once is enough. */
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	tcp_close_recorded(pair.client);
}

/* What waits unread can be read after it. */
static void shutdown_keeps_what_is_unread(void **state)
{
	(void)state;
	static char bytes[60000];
	struct tcp_pair other;
	size_t got = 0;
	tcp_open(&other);
	tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	assert_int_equal(write(other.server, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(shutdown(other.server, SHUT_WR), 0);
	tcp_await_state(other.client, TCP_CLOSE_WAIT);
	struct sl_target target = suspected_target(other.client);
	assert_int_equal(sl_act_shutdown(&target), 0);
	for (ssize_t n; (n = read(other.client, bytes, sizeof(bytes))) > 0;)
		got += (size_t)n;
	assert_int_equal(got, sizeof(bytes));
}

static void check_untouched(const struct tcp_pair *other)
{
	assert_int_equal(tcp_state(other->client), TCP_ESTABLISHED);
	assert_int_equal(write(other->client, "x", 1), 1);
	tcp_await_unread(other->server, 1);
}

static void not_in_close_wait(void **state)
{
	(void)state;
	struct tcp_pair other;
	tcp_open(&other);
	tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	struct sl_target target = suspected_target(other.client);
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(suspected_marks(other.client), 0);
	check_untouched(&other);
	check_nothing_is_held(other.client);
}

static void unsent_data(void **state)
{
	(void)state;
	tcp_deafen(pair.server);
	assert_int_equal(send(pair.client, "12345", 5, MSG_NOSIGNAL), 5);
	struct sl_target target = suspected_target(pair.client);
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	assert_int_equal(suspected_marks(pair.client), 0);
}

/* Seen by the hooks, or only by the kernel. */
static void used_since_it_was_looked_at(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	suspected_touch(pair.client, SL_IO_READ);
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(sl_act_probe(&target, &saved), -EBUSY);
	assert_int_equal(sl_act_neutralize(&target, false, false), -EBUSY);
	assert_int_equal(suspected_marks(pair.client), 0);
	target = suspected_target(pair.client);
	assert_int_equal(write(pair.client, "x", 1), 1);
	tcp_await_sent(pair.client);
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	assert_int_equal(suspected_marks(pair.client), 0);
	check_nothing_is_held(pair.client);
}

static void a_call_is_under_way(void **state)
{
	(void)state;
	struct sl_fd_slot *slot = sl_fdtable_slot(pair.client);
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	atomic_fetch_add(&slot->writers, 1);
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(sl_act_probe(&target, &saved), -EBUSY);
	assert_int_equal(sl_act_neutralize(&target, false, false), -EBUSY);
	check_nothing_is_held(pair.client);
	atomic_fetch_sub(&slot->writers, 1);
	assert_int_equal(sl_act_shutdown(&target), 0);
}

/* A child may have it by now: who was asked about was asked before. */
static void forked_since_it_was_looked_at(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	target.forks = sl_process_forks();
	sl_process_count_fork();
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(sl_act_probe(&target, &saved), -EBUSY);
	assert_int_equal(sl_act_neutralize(&target, false, false), -EBUSY);
	assert_int_equal(suspected_marks(pair.client), 0);
	target.forks = sl_process_forks();
	assert_int_equal(sl_act_shutdown(&target), 0);
}

/* The number was given out again: by hooked calls, or past them. */
static void the_number_was_reused(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved = {0};
	struct tcp_pair other;
	tcp_close_recorded(pair.client);
	tcp_open(&other);
	assert_int_equal(other.client == pair.client || other.listener == pair.client, 1);
	int taken = fcntl(other.client, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(dup2(taken, pair.client), pair.client);
	assert_int_equal(sl_act_shutdown(&target), -ESTALE);
	tcp_record(pair.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	assert_int_equal(sl_act_shutdown(&target), -ESTALE);
	assert_int_equal(sl_act_probe(&target, &saved), -ESTALE);
	assert_int_equal(sl_act_probe_end(&target, &saved), -ESTALE);
	assert_int_equal(sl_act_neutralize(&target, true, false), -ESTALE);
	assert_int_equal(sl_act_close(&target.numbers[0]), -ESTALE);
	assert_int_equal(suspected_marks(pair.client), 0);
	assert_int_equal(fcntl(pair.client, F_GETFD), 0);
}

static void reused_past_the_hooks(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved = {.is_on = 0, .idle_s = 55};
	struct linger slow = {1, 4}, now;
	socklen_t n = sizeof(now);
	struct tcp_pair other;
	int server = pair.server;
	tcp_open(&other);
	assert_int_equal(setsockopt(other.client, SOL_SOCKET, SO_LINGER, &slow, sizeof(slow)), 0);
	/* The record still says what was there. */
	assert_int_equal(dup2(other.client, pair.client), pair.client);
	assert_int_equal(sl_act_shutdown(&target), -ESTALE);
	assert_int_equal(sl_act_probe(&target, &saved), -ESTALE);
	assert_int_equal(sl_act_probe_end(&target, &saved), -ESTALE);
	assert_int_equal(sl_act_neutralize(&target, true, true), -ESTALE);
	assert_int_equal(sl_act_close(&target.numbers[0]), -ESTALE);
	assert_int_equal(suspected_marks(pair.client), 0);
	assert_true(sl_kernel_cookie(pair.client) == sl_kernel_cookie(other.client));
	assert_int_equal(getsockopt(other.client, SOL_SOCKET, SO_LINGER, &now, &n), 0);
	assert_memory_equal(&now, &slow, sizeof(now));
	check_untouched(&other);
	/* Nothing is there at all. */
	close(pair.client);
	assert_int_equal(sl_act_shutdown(&target), -ESTALE);
	assert_int_equal(sl_act_neutralize(&target, true, true), -ESTALE);
	check_peer_saw_a_fin(server); /* of the dup2() */
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
	check_nothing_is_held(copy);
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
	check_nothing_is_held(pair.client);
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
	check_untouched(&other);
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
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_ERROR), 0);
	check_peer_saw_a_fin(pair.server);
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
		assert_int_equal(get(client, SOL_SOCKET, SO_DOMAIN), is_v6 ? AF_INET6 : AF_INET);
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
	struct sl_target target = is_lone ? shut_down(other.client) : suspected_target(other.client);
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
	assert_int_equal(get(pair.client, SOL_SOCKET, SO_ERROR), EPIPE);
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
		assert_int_equal(
			setsockopt(elsewhere, SOL_SOCKET, SO_LINGER, &slow, sizeof(slow)), 0);
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
	assert_int_equal(sl_act_close(&target.numbers[0]), 0);
	assert_int_equal(fcntl(pair.client, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
	assert_false(sl_fdtable_get(pair.client, &record));
	/* The program's late close() is absorbed, once. */
	assert_true(sl_fdtable_absorb(pair.client));
	assert_false(sl_fdtable_absorb(pair.client));
	assert_int_equal(sl_act_close(&target.numbers[0]), -ESTALE);
	check_nothing_is_held(pair.client);
}

/* ---- what actions need ---- */

static void our_numbers_are_out_of_the_way(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	int lowest = dup(0);
	close(lowest);
	assert_int_equal(sl_act_start(), 0);
	assert_int_equal(sl_act_start(), 0);
	assert_int_equal(sl_act_shutdown(&target), 0);
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	assert_int_equal(dup(0), lowest);
}

/* All numbers are taken before anything of ours was reserved: nothing can be done, and nothing is done by halves. */
static void no_number_left_in_child(void)
{
	struct rlimit limit;
	struct sl_target target = suspected_target(pair.client);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max = 64;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while (dup(0) >= 0)
		;
	CHECK(sl_act_start() == -EMFILE);
	CHECK(sl_act_shutdown(&target) == -EMFILE);
	CHECK(tcp_state(pair.client) == TCP_CLOSE_WAIT);
	CHECK(suspected_marks(pair.client) == 0);
	/* One that comes free is not high enough, and stays the program's. */
	close(63);
	CHECK(sl_act_shutdown(&target) == -EMFILE);
	CHECK(dup(0) == 63);
}

static void no_number_left(void **state)
{
	(void)state;
	in_child(no_number_left_in_child);
}

/* What was reserved in time goes on working when there is none left. */
static void reserved_in_child(void)
{
	struct rlimit limit;
	struct sl_target target = suspected_target(pair.client);
	CHECK(sl_act_start() == 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	while (dup(0) >= 0)
		;
	CHECK(sl_act_shutdown(&target) == 0);
	tcp_await_state(pair.client, TCP_CLOSE);
	CHECK(sl_act_neutralize(&target, true, false) == 0);
	CHECK(sl_act_close(&target.numbers[0]) == 0);
	CHECK(dup(0) == pair.client);
}

static void reserved_in_time(void **state)
{
	(void)state;
	in_child(reserved_in_child);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_peer_that_waits_acknowledges),
		TEST(a_peer_that_forgot_resets),
		TEST(set_by_the_program_before),
		TEST(set_by_the_program_meanwhile),
		TEST(set_by_the_program_before_and_meanwhile),
		TEST(times_set_by_the_program_before),
		TEST(switched_off_by_the_program_meanwhile),
		TEST(shutdown_ends_it),
		TEST(shutdown_keeps_what_is_unread),
		TEST(not_in_close_wait),
		TEST(unsent_data),
		TEST(used_since_it_was_looked_at),
		TEST(a_call_is_under_way),
		TEST(forked_since_it_was_looked_at),
		TEST(the_number_was_reused),
		TEST(reused_past_the_hooks),
		TEST(two_numbers),
		TEST(one_of_two_says_no),
		TEST(one_of_two_is_another_socket),
		TEST(what_the_program_sees_then),
		TEST(flags_are_kept),
		TEST(unread_bytes),
		TEST(a_pending_error),
		TEST(an_error_that_was_seen),
		TEST(neutralize_in_close_wait),
		TEST(connected_anew),
		TEST(lingering),
		TEST(close_gives_the_number_up),
		TEST(our_numbers_are_out_of_the_way),
		TEST(no_number_left),
		TEST(reserved_in_time),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
