/* test_act.c - the actions on real connections: the shutdown, who it must not hit, and what actions need. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/process.h"
#include "child.h"
#include "ledger/sites.h"
#include "suspected.h"
#include "watch/kernel.h"

#define ENDED (SL_MARK_GUARDED | SL_MARK_ENDED)

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

/* ---- shutdown ---- */

static void shutdown_ends_it(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	char byte;
	assert_int_equal(sl_act_shutdown(&target), 0);
	tcp_check_fin(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_int_equal(suspected_marks(pair.client), ENDED);
	assert_int_equal(recv(pair.client, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(send(pair.client, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	suspected_check_free(pair.client);
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

static void not_in_close_wait(void **state)
{
	(void)state;
	struct tcp_pair other;
	tcp_open(&other);
	tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	struct sl_target target = suspected_target(other.client);
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(suspected_marks(other.client), 0);
	tcp_check_alive(&other);
	suspected_check_free(other.client);
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
	suspected_check_free(pair.client);
}

static void a_call_is_under_way(void **state)
{
	(void)state;
	struct sl_fd_slot *slot = sl_fdtable_slot(pair.client);
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	uint64_t head = sl_fdtable_write_begin(slot);
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
	assert_int_equal(sl_act_probe(&target, &saved), -EBUSY);
	assert_int_equal(sl_act_neutralize(&target, false, false), -EBUSY);
	suspected_check_free(pair.client);
	sl_fdtable_write_end(slot, head);
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
	assert_int_equal(sl_act_probe_end(&target, &saved, false), -ESTALE);
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
	assert_int_equal(sl_act_probe_end(&target, &saved, false), -ESTALE);
	assert_int_equal(sl_act_neutralize(&target, true, true), -ESTALE);
	assert_int_equal(sl_act_close(&target.numbers[0]), -ESTALE);
	assert_int_equal(suspected_marks(pair.client), 0);
	assert_true(sl_kernel_cookie(pair.client) == sl_kernel_cookie(other.client));
	assert_int_equal(getsockopt(other.client, SOL_SOCKET, SO_LINGER, &now, &n), 0);
	assert_memory_equal(&now, &slow, sizeof(now));
	tcp_check_alive(&other);
	/* Nothing is there at all. */
	close(pair.client);
	assert_int_equal(sl_act_shutdown(&target), -ESTALE);
	assert_int_equal(sl_act_neutralize(&target, true, true), -ESTALE);
	tcp_check_fin(server); /* of the dup2() */
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
		TEST(shutdown_ends_it),
		TEST(shutdown_keeps_what_is_unread),
		TEST(not_in_close_wait),
		TEST(unsent_data),
		TEST(used_since_it_was_looked_at),
		TEST(a_call_is_under_way),
		TEST(forked_since_it_was_looked_at),
		TEST(the_number_was_reused),
		TEST(reused_past_the_hooks),
		TEST(our_numbers_are_out_of_the_way),
		TEST(no_number_left),
		TEST(reserved_in_time),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
