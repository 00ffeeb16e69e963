/* test_reclaim.c - the ladder at work: its rungs, in which order, how many, and what is told of them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/options.h"
#include "base/process.h"
#include "captured.h"
#include "child.h"
#include "ledger/sites.h"
#include "reclaim/dead.h"
#include "reclaim/reclaim.h"
#include "turns.h"
#include "watch/kernel.h"

#include "watch/table.h"

/* ---- up the ladder ---- */

static void the_whole_ladder(void **state)
{
	(void)state;
	set_options("action=close");
	suspected_open(&pair);
	uint64_t cookie = sl_kernel_cookie(pair.client);
	turns(4); /* at the first it was met */
	assert_int_equal(told_count, 0);
	assert_int_equal(suspected_marks(pair.client), SL_MARK_GUARDED);
	(void)turn();
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SHUTDOWN);
	const struct sl_event *event = told_last(SL_EVENT_SHUTDOWN);
	assert_int_equal(event->fd, pair.client);
	assert_true(event->cookie == cookie);
	assert_int_equal(event->site, SL_SITE_NO_STACK);
	assert_int_equal(event->peer, suspected_record(pair.client).peer);
	assert_true(event->quiet_ms >= 4000);
	assert_int_equal(event->cause, SL_CAUSE_NEVER_LOOKED);
	assert_false(event->is_dry_run || event->is_rescue);
	tcp_await_state(pair.client, TCP_CLOSE);
	(void)turn();
	assert_int_equal(told_count, 2); /* within the grace */
	(void)turn();
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SHUTDOWN, SL_EVENT_NEUTRALIZED);
	assert_true(told[2].quiet_ms >= told[1].quiet_ms + 2000);
	assert_true(sl_dead_is_dead(pair.client));
	turns(2);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SHUTDOWN, SL_EVENT_NEUTRALIZED, SL_EVENT_CLOSED);
	assert_true(told[3].cookie == cookie && told[3].fd == pair.client);
	assert_true(told[3].quiet_ms >= told[2].quiet_ms + 2000);
	assert_int_equal(fcntl(pair.client, F_GETFD), -1);
	turns(3);
	assert_int_equal(told_count, 4);
	assert_int_equal(counts.shutdown, 1);
	assert_int_equal(counts.neutralized, 1);
	assert_int_equal(counts.closed, 1);
	assert_int_equal(counts.app_reacted + counts.probed + counts.regretted, 0);
	assert_int_equal(sl_site_get(SL_SITE_NO_STACK)->reclaimed, 1);
	assert_int_equal(sl_suspects_retracted(), 0);
}

static void no_further_than_action(void **state)
{
	(void)state;
	static const char *const words[] = {"report", "shutdown", "neutralize"};
	for (int i = 0; i < 3; i++) {
		char text[64];
		suspected_reset();
		snprintf(text, sizeof(text), "action=%s", words[i]);
		set_options(text);
		suspected_open(&pair);
		turns(20);
		assert_int_equal(told_of(SL_EVENT_SHUTDOWN), i >= 1);
		assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), i >= 2);
		assert_int_equal(told_of(SL_EVENT_CLOSED), 0);
		assert_int_equal(told_count, i + 1);
		assert_int_equal(suspected_marks(pair.client) != 0, i >= 1);
	}
}

/* Seen from the other end: a FIN, each time. */
static void what_the_peer_sees(void **state)
{
	(void)state;
	set_options("action=neutralize");
	suspected_open(&pair);
	turns(8);
	assert_int_equal(counts.neutralized, 1);
	tcp_check_fin(pair.server);
}

/* Its FIN is not acknowledged: how long it has been quiet is known all the same. */
static void a_silent_peer(void **state)
{
	(void)state;
	set_options("action=neutralize");
	suspected_open(&pair);
	tcp_await_state(pair.server, TCP_FIN_WAIT2);
	tcp_deafen(pair.server);
	const struct sl_event *event = turn_until(SL_EVENT_NEUTRALIZED);
	assert_true(event->quiet_ms >= 6000);
}

static void two_numbers(void **state)
{
	(void)state;
	set_options("action=close");
	suspected_open(&pair);
	int copy = fcntl(pair.client, F_DUPFD_CLOEXEC, 50);
	assert_true(sl_fdtable_dup(pair.client, copy));
	(void)turn_until(SL_EVENT_NEUTRALIZED);
	assert_true(sl_dead_is_dead(pair.client) && sl_dead_is_dead(copy));
	assert_int_equal(counts.neutralized, 1);
	/* The program closes one of them: the other goes on. */
	tcp_close_recorded(pair.client);
	(void)turn_until(SL_EVENT_CLOSED);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	assert_int_equal(counts.closed, 1);
}

/* ---- in which order, and how many ---- */

static void the_longest_quiet_first(void **state)
{
	(void)state;
	int fds[4];
	set_options("action=shutdown max_rate=1");
	for (int i = 0; i < 4; i++) {
		fds[i] = open_one();
		turns(1);
	}
	/* Used once more: the youngest from now on. */
	suspected_touch(fds[0], SL_IO_WRITE);
	const int order[] = {fds[1], fds[2], fds[3], fds[0]};
	for (unsigned done = 0, i = 0; done < 4; i++) {
		assert_true(i < 12);
		(void)turn();
		assert_true(told_of(SL_EVENT_SHUTDOWN) <= done + 1); /* one a second */
		if (told_of(SL_EVENT_SHUTDOWN) > done)
			assert_int_equal(told_last(SL_EVENT_SHUTDOWN)->fd, order[done++]);
	}
	assert_int_equal(counts.shutdown, 4);
}

static void no_more_than_max_rate(void **state)
{
	(void)state;
	enum { MANY = 25 };
	int fds[MANY];
	set_options("action=shutdown max_rate=10");
	for (int i = 0; i < MANY; i++)
		fds[i] = open_one();
	turns(4);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 0);
	/* The rest comes in the seconds after: the worker is told to look again. */
	assert_in_range(turn(), 1, 1000);
	assert_int_equal(shut_down_of(fds, MANY), 10);
	assert_in_range(turn(), 1, 1000);
	assert_int_equal(shut_down_of(fds, MANY), 20);
	assert_true(sl_reclaim_is_behind());
	assert_true(turn() == UINT64_MAX);
	assert_false(sl_reclaim_is_behind());
	assert_int_equal(shut_down_of(fds, MANY), MANY);
	assert_int_equal(counts.shutdown, MANY);
	/* What was not used is not saved up for more than a second. */
	turns(30);
	for (int i = 0; i < MANY; i++)
		fds[i] = open_one();
	turns(5);
	assert_int_equal(shut_down_of(fds, MANY), 10);
}

static void no_limit(void **state)
{
	(void)state;
	enum { MANY = 130 };
	int fds[MANY];
	set_options("action=shutdown max_rate=0");
	for (int i = 0; i < MANY; i++)
		fds[i] = open_one();
	turns(5);
	assert_int_equal(shut_down_of(fds, MANY), MANY);
}

/* The interval passes in the clock alone: less than a second gives its share. */
static void shares_of_a_second(void **state)
{
	(void)state;
	enum { MANY = 20 };
	int fds[MANY];
	set_options("action=shutdown max_rate=10");
	for (int i = 0; i < MANY; i++)
		fds[i] = open_one();
	turns(5);
	assert_int_equal(shut_down_of(fds, MANY), 10);
	ahead_ms += 300;
	(void)suspected_turn(sl_clock_ms());
	assert_in_range(shut_down_of(fds, MANY), 13, MANY - 1);
}

/* ---- dry_run ---- */

static void in_words_only(void **state)
{
	(void)state;
	set_options("action=close dry_run=1 probe=on max_rate=1");
	suspected_open(&pair);
	int other = open_one();
	uint64_t cookie = sl_kernel_cookie(pair.client);
	turns(30);
	for (int kind = SL_EVENT_PROBED; kind <= SL_EVENT_CLOSED; kind++)
		if (kind != SL_EVENT_APP_REACTED)
			assert_int_equal(told_of(kind), 2);
	assert_int_equal(told_of(SL_EVENT_STUCK), 2);
	assert_int_equal(told_count, 10);
	for (unsigned i = 0; i < told_count; i++)
		assert_int_equal(told[i].is_dry_run, told[i].kind != SL_EVENT_STUCK);
	/* Nothing has happened to either. */
	assert_true(sl_kernel_cookie(pair.client) == cookie);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	assert_int_equal(tcp_state(other), TCP_CLOSE_WAIT);
	assert_int_equal(suspected_marks(pair.client), SL_MARK_GUARDED);
	int is_on = -1;
	assert_int_equal(sl_act_get_int(pair.client, SOL_SOCKET, SO_KEEPALIVE, &is_on), 0);
	assert_int_equal(is_on, 0);
	assert_int_equal(counts.probed + counts.shutdown + counts.neutralized + counts.closed, 0);
	assert_int_equal(sl_site_get(SL_SITE_NO_STACK)->reclaimed, 0);
	assert_int_equal(sl_suspects_stuck(), 2);
	assert_int_equal(write(pair.client, "x", 1), 1);
	/* Used after all, and stuck again: it would be done again. */
	told_forget();
	turns(1);
	CHECK_TOLD(SL_EVENT_RETRACTED);
	turns(12);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 1);
	/* Closed: retracted, for we had done nothing. */
	told_forget();
	tcp_close_recorded(other);
	turns(1);
	CHECK_TOLD(SL_EVENT_RETRACTED);
	assert_int_equal(counts.app_reacted, 0);
}

/* A death after a pretended probe is nobody's doing. */
static void no_probe_ended_it(void **state)
{
	(void)state;
	set_options("action=shutdown dry_run=1 probe=on");
	suspected_open(&pair);
	(void)turn_until(SL_EVENT_PROBED);
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	turns(2);
	assert_int_equal(counts.ended_by_probe + counts.probed, 0);
}

/* ---- the program reacts ---- */

static void the_program_reacts(void **state)
{
	(void)state;
	set_options("action=neutralize");
	suspected_open(&pair);
	(void)turn_until(SL_EVENT_SHUTDOWN);
	uint64_t cookie = told_last(SL_EVENT_SHUTDOWN)->cookie;
	tcp_close_recorded(pair.client);
	turns(4);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SHUTDOWN, SL_EVENT_APP_REACTED);
	assert_true(told[2].cookie == cookie && told[2].fd == pair.client);
	assert_int_equal(counts.app_reacted, 1);
	assert_int_equal(sl_site_get(SL_SITE_NO_STACK)->reclaimed, 1);
	assert_int_equal(sl_suspects_retracted(), 0);
}

/* Closed once it was neutralized: no reaction any more, and nothing else either. */
static void closed_later(void **state)
{
	(void)state;
	set_options("action=neutralize");
	suspected_open(&pair);
	(void)turn_until(SL_EVENT_NEUTRALIZED);
	tcp_close_recorded(pair.client);
	turns(3);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SHUTDOWN, SL_EVENT_NEUTRALIZED);
	assert_int_equal(counts.app_reacted, 0);
}

static void retracted(void **state)
{
	(void)state;
	set_options("action=report");
	suspected_open(&pair);
	int closed = open_one();
	(void)turn_until(SL_EVENT_STUCK);
	assert_int_equal(told_count, 2);
	suspected_touch(pair.client, SL_IO_WRITE);
	turns(1);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_STUCK, SL_EVENT_RETRACTED);
	assert_int_equal(told[2].fd, pair.client);
	tcp_close_recorded(closed);
	turns(1);
	assert_int_equal(told_of(SL_EVENT_RETRACTED), 2);
	assert_int_equal(told_last(SL_EVENT_RETRACTED)->fd, closed);
	/* Once more. */
	turns(5);
	assert_int_equal(told_of(SL_EVENT_STUCK), 3);
	/* Not stuck when it goes: nothing to say. */
	int never = open_one();
	turns(2);
	tcp_close_recorded(never);
	turns(2);
	assert_int_equal(told_of(SL_EVENT_RETRACTED), 2);
}

/* ---- the rest ---- */

static void sandboxed_in_child(void)
{
	set_options("action=close");
	suspected_open(&pair);
	turns(4);
	sl_process_sandboxed();
	CHECK(sl_reclaim_action() == SL_ACTION_REPORT);
	turns(9);
	CHECK(told_of(SL_EVENT_STUCK) == 1 && told_count == 1);
	CHECK(tcp_state(pair.client) == TCP_CLOSE_WAIT);
}

static void in_a_sandbox(void **state)
{
	(void)state;
	in_child(sandboxed_in_child);
}

/* No number for ourselves: said once, and nothing is done by halves. */
static void no_number_in_child(void)
{
	struct rlimit limit;
	sl_clerk_forked();
	sl_clerk_start();
	set_options("action=shutdown");
	suspected_open(&pair);
	turns(1);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	capture_stderr();
	limit.rlim_cur = limit.rlim_max = 64;
	close_range(1024, ~0u, 0);
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while (dup(0) >= 0)
		;
	turns(12);
	limit.rlim_cur = 0;
	const char *said = captured_stderr();
	CHECK(occurrences(said, "no file descriptor is left for the library's own use") == 1);
	CHECK(occurrences(said, "\n") == 1);
	CHECK(told_of(SL_EVENT_SHUTDOWN) == 0);
	CHECK(tcp_state(pair.client) == TCP_CLOSE_WAIT);
	CHECK(suspected_marks(pair.client) == SL_MARK_GUARDED);
}

static void no_number_of_our_own(void **state)
{
	(void)state;
	in_child(no_number_in_child);
}

/* What an action needs is there before the program has run out of numbers. */
static void reserved_in_child(void)
{
	sl_clerk_forked();
	sl_clerk_start();
	set_options("action=close");
	sl_reclaim_ready();
	sl_reclaim_start(told_note);
	uint16_t port;
	int listener = tcp_listen(true, 1, &port), client = tcp_connect(true, port);
	int server = accept(listener, NULL, NULL);
	CHECK(fcntl(client, F_SETFL, O_NONBLOCK) == 0);
	tcp_record(client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	shutdown(server, SHUT_WR);
	tcp_await_state(client, TCP_CLOSE_WAIT);
	while (dup(0) >= 0)
		;
	turns(12);
	CHECK(told_of(SL_EVENT_CLOSED) == 1);
	CHECK(dup(0) == client);
}

static void out_of_numbers(void **state)
{
	(void)state;
	in_child(reserved_in_child);
}

static void a_child_starts_anew(void **state)
{
	(void)state;
	set_options("action=neutralize");
	suspected_open(&pair);
	(void)turn_until(SL_EVENT_NEUTRALIZED);
	sl_reclaim_absorbed();
	sl_reclaim_counts(&counts);
	assert_int_equal(counts.absorbed, 1);
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	sl_reclaim_forked();
	sl_reclaim_counts(&counts);
	assert_int_equal(counts.shutdown + counts.neutralized + counts.absorbed, 0);
	/* What was done to its sockets stays done, and is no suspect. */
	told_forget();
	turns(9);
	assert_int_equal(told_count, 0);
	assert_int_equal(suspected_marks(pair.client) & SL_MARK_DEAD, SL_MARK_DEAD);
	int other = open_one();
	turns(6);
	assert_int_equal(told_last(SL_EVENT_SHUTDOWN)->fd, other);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_whole_ladder),      TEST(no_further_than_action),
		TEST(what_the_peer_sees),    TEST(a_silent_peer),
		TEST(two_numbers),           TEST(the_longest_quiet_first),
		TEST(no_more_than_max_rate), TEST(no_limit),
		TEST(shares_of_a_second),    TEST(in_words_only),
		TEST(no_probe_ended_it),     TEST(the_program_reacts),
		TEST(closed_later),          TEST(retracted),
		TEST(in_a_sandbox),          TEST(no_number_of_our_own),
		TEST(out_of_numbers),        TEST(a_child_starts_anew),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}

int main(void)
{
	return run_alone(run_all);
}
