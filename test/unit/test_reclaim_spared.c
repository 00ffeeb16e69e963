/* test_reclaim_spared.c - the ladder at work: when it does nothing, and what it does about connections that somebody else has too,
 * that are dead, or that sit in an epoll set. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/options.h"
#include "child.h"
#include "ledger/sites.h"
#include "reclaim/dead.h"
#include "reclaim/reclaim.h"
#include "turns.h"
#include "watch/kernel.h"
#include "watch/sweep.h"

/* ---- when nothing may be done ---- */

static void a_late_sweep(void **state)
{
	(void)state;
	set_options("action=shutdown");
	suspected_open(&pair);
	turns(4);
	ahead_ms += 600000; /* stopped */
	sl_sweep((uint64_t)sl_options.deadline_ms, sl_clock_ms());
	(void)sl_reclaim_turn(sl_clock_ms(), true);
	CHECK_TOLD(SL_EVENT_STUCK);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	/* The program reacts to the thaw. */
	suspected_touch(pair.client, SL_IO_WRITE);
	turns(1);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_RETRACTED);
	turns(3);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 0);
	turns(1);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 1);
}

/* Stopped for longer than the deadline, right after the FIN: the first sweep must not find it due. */
static void stopped_from_the_start(void **state)
{
	(void)state;
	set_options("action=shutdown");
	suspected_open(&pair);
	turns(1);
	ahead_ms += 600000;
	turns(1); /* as if nobody had noticed that it is late */
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 0);
	assert_int_equal(told_of(SL_EVENT_STUCK), 1);
}

/* Met and due in the same sweep: a write that began before it was guarded must have come to its end first. */
static void never_as_it_is_met(void **state)
{
	(void)state;
	set_options("action=shutdown deadline=1s interval=1s");
	suspected_open(&pair);
	/* So old that its first sweep finds it due. */
	struct sl_kernel_tcp tcp;
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	do {
		assert_int_equal(sl_kernel_tcp(pair.client, &tcp), 0);
		usleep(1000);
	} while (tcp.last_ack_recv_ms < 1000 && sl_clock_ms() < until_ms);
	turns(1);
	CHECK_TOLD(SL_EVENT_STUCK);
	assert_int_equal(suspected_marks(pair.client), SL_MARK_GUARDED);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	turns(1);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SHUTDOWN);
}

static void used_since_the_sweep(void **state)
{
	(void)state;
	set_options("action=shutdown");
	suspected_open(&pair);
	turns(4);
	ahead_ms += TURN_MS;
	sl_sweep((uint64_t)sl_options.deadline_ms, sl_clock_ms());
	suspected_touch(pair.client, SL_IO_WRITE);
	(void)sl_reclaim_turn(sl_clock_ms(), false);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 0);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	turns(4);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 0);
	turns(1);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 1);
}

/* Copied a moment before the sweep: the copy may be on its way. */
static void copied_before_the_sweep(void **state)
{
	(void)state;
	set_options("action=neutralize");
	suspected_open(&pair);
	(void)turn_until(SL_EVENT_SHUTDOWN);
	tcp_await_state(pair.client, TCP_CLOSE);
	(void)turn();
	sl_fdtable_copying(pair.client);
	(void)turn(); /* its grace is over */
	assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), 0);
	(void)turn();
	assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), 1);
}

/* Another connection at the same number by now. */
static void reused_since_the_sweep(void **state)
{
	(void)state;
	struct tcp_pair other;
	set_options("action=close");
	suspected_open(&pair);
	turns(4);
	ahead_ms += TURN_MS;
	sl_sweep((uint64_t)sl_options.deadline_ms, sl_clock_ms());
	tcp_close_recorded(pair.client);
	tcp_open(&other);
	int moved = fcntl(other.client, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(dup2(moved, pair.client), pair.client);
	tcp_record(pair.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	(void)sl_reclaim_turn(sl_clock_ms(), false);
	turns(10);
	assert_int_equal(tcp_state(pair.client), TCP_ESTABLISHED);
	assert_int_equal(write(pair.client, "x", 1), 1);
	tcp_await_unread(other.server, 1);
	assert_int_equal(counts.shutdown + counts.neutralized + counts.closed, 0);
}

/* What is told once about each reason, and that nothing was done. */
static void check_spared(const char *options, enum sl_spared spared, enum sl_rung due, int fd)
{
	set_options(options);
	unsigned done = counts.probed + counts.shutdown + counts.neutralized + counts.closed;
	turns(9);
	unsigned said = 0;
	for (unsigned i = 0; i < told_count; i++)
		if (told[i].kind == SL_EVENT_SKIPPED && told[i].fd == fd) {
			assert_int_equal(told[i].spared, spared);
			assert_int_equal(told[i].rung, due);
			said++;
		}
	assert_int_equal(said, 1);
	assert_int_equal(counts.probed + counts.shutdown + counts.neutralized + counts.closed,
	                 done);
}

static void spared_by_side(void **state)
{
	(void)state;
	suspected_open_inbound(&pair);
	check_spared("action=close", SL_SPARED_SIDE, SL_RUNG_PROBE, pair.server);
	assert_int_equal(tcp_state(pair.server), TCP_CLOSE_WAIT);
}

static void spared_by_rule(void **state)
{
	(void)state;
	suspected_open(&pair);
	check_spared("action=close never=127.0.0.1", SL_SPARED_RULE, SL_RUNG_SHUTDOWN, pair.client);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
}

static void spared_by_regret(void **state)
{
	(void)state;
	suspected_open_at(&pair, SL_SITE_ADOPTED);
	sl_site_get(SL_SITE_ADOPTED)->regretted = 1;
	check_spared("action=close", SL_SPARED_REGRET, SL_RUNG_SHUTDOWN, pair.client);
}

static void spared_by_stdio(void **state)
{
	(void)state;
	suspected_open(&pair);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_STDIO, 0));
	check_spared("action=close", SL_SPARED_STDIO, SL_RUNG_SHUTDOWN, pair.client);
}

static void spared_as_it_was_passed(void **state)
{
	(void)state;
	suspected_open(&pair);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_PASSED, 0));
	check_spared("action=shutdown", SL_SPARED_SHARED, SL_RUNG_SHUTDOWN, pair.client);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
}

static void spared_in_epoll(void **state)
{
	(void)state;
	suspected_open(&pair);
	struct epoll_event event = {.events = 0}; /* a hang-up is told all the same */
	int set = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, pair.client, &event), 0);
	check_spared("action=shutdown", SL_SPARED_EPOLL, SL_RUNG_SHUTDOWN, pair.client);
	assert_int_equal(epoll_wait(set, &event, 1, 0), 0);
}

/* Reasons for the second rung: the first was taken. */
static void check_spared_after_shutdown(enum sl_spared spared)
{
	set_options("action=close");
	turns(12);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 1);
	assert_int_equal(told_of(SL_EVENT_SKIPPED), 1);
	assert_int_equal(told_last(SL_EVENT_SKIPPED)->spared, spared);
	assert_int_equal(told_last(SL_EVENT_SKIPPED)->rung, SL_RUNG_NEUTRALIZE);
	assert_int_equal(counts.neutralized + counts.closed, 0);
}

static void spared_with_unread_data(void **state)
{
	(void)state;
	char bytes[8];
	tcp_open(&pair);
	tcp_record(pair.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	assert_int_equal(write(pair.server, "12345", 5), 5);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	check_spared_after_shutdown(SL_SPARED_UNREAD);
	/* As long as nobody reads it. */
	assert_int_equal(read(pair.client, bytes, sizeof(bytes)), 5);
	turns(3);
	assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), 1);
}

static void spared_as_adopted(void **state)
{
	(void)state;
	suspected_open(&pair);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_ADOPTED, 0));
	check_spared_after_shutdown(SL_SPARED_ADOPTED);
}

/* They cannot all be held. */
static void spared_with_many_numbers(void **state)
{
	(void)state;
	suspected_open(&pair);
	for (int i = 0; i < SL_HELD_MAX; i++) {
		int copy = fcntl(pair.client, F_DUPFD_CLOEXEC, 50);
		assert_true(copy >= 0 && sl_fdtable_dup(pair.client, copy));
	}
	set_options("action=neutralize");
	turns(9);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SKIPPED);
	assert_int_equal(told[1].spared, SL_SPARED_NUMBERS);
	assert_int_equal(told[1].rung, SL_RUNG_SHUTDOWN);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	/* One less can. */
	tcp_close_recorded(50);
	turns(3);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 1);
}

/* One reason and another, by turns: each is told once. */
static void each_reason_is_told_once(void **state)
{
	(void)state;
	suspected_open(&pair);
	for (int i = 0; i < 3; i++) {
		set_options("action=shutdown side=in");
		turns(9);
		set_options("action=shutdown never=127.0.0.1");
		turns(2);
	}
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SKIPPED, SL_EVENT_SKIPPED);
	assert_int_equal(told[1].spared, SL_SPARED_SIDE);
	assert_int_equal(told[2].spared, SL_SPARED_RULE);
}

/* What needs nobody's help to be known costs no look at every process: here nobody could look. */
static void cheap_reasons_in_child(void)
{
	sl_clerk_forked();
	suspected_open_inbound(&pair);
	set_options("action=close");
	turns(9);
	CHECK(told_of(SL_EVENT_SKIPPED) == 1);
	CHECK(told_last(SL_EVENT_SKIPPED)->spared == SL_SPARED_SIDE);
	/* And where somebody must, nothing is done. */
	suspected_open(&pair);
	turns(9);
	CHECK(told_of(SL_EVENT_SKIPPED) == 1 && told_of(SL_EVENT_SHUTDOWN) == 0);
	CHECK(tcp_state(pair.client) == TCP_CLOSE_WAIT);
}

static void cheap_reasons(void **state)
{
	(void)state;
	in_child(cheap_reasons_in_child);
}

/* ---- another process has it too ---- */

static pid_t fork_holder(void)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		for (alarm(60);;)
			pause();
	return child;
}

static void end_holder(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Not while the child lives; but a service that forks now and then does not lose the mitigation for good. */
static void shared_for_a_while(void **state)
{
	(void)state;
	suspected_open(&pair);
	pid_t child = fork_holder();
	check_spared("action=shutdown", SL_SPARED_SHARED, SL_RUNG_SHUTDOWN, pair.client);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	end_holder(child);
	turns(2);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 1);
}

/* This process lets go of it, and the child's work goes on. */
static void a_shared_one_is_let_go(void **state)
{
	(void)state;
	int go[2];
	char byte;
	set_options("action=close");
	suspected_open(&pair);
	assert_int_equal(pipe(go), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		if (read(go[0], &byte, 1) == 1 && write(pair.client, "alive", 5) == 5)
			_exit(0);
		_exit(1);
	}
	(void)turn_until(SL_EVENT_NEUTRALIZED);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_NEUTRALIZED);
	assert_true(sl_dead_is_dead(pair.client));
	tcp_await_state(pair.server, TCP_FIN_WAIT2);
	int status = -1;
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	tcp_await_unread(pair.server, 5);
	assert_int_equal(counts.shutdown, 0);
}

/* ---- dead, but open ---- */

static void dead_but_open(void **state)
{
	(void)state;
	int error = 0;
	socklen_t n = sizeof(error);
	set_options("action=neutralize");
	suspected_open(&pair);
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_int_equal(getsockopt(pair.client, SOL_SOCKET, SO_ERROR, &error, &n), 0);
	turns(10);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_NEUTRALIZED);
	assert_int_equal(told[0].cause, SL_CAUSE_DEAD_BUT_OPEN);
	assert_true(sl_dead_is_dead(pair.client));
	assert_int_equal(counts.ended_by_probe + counts.ended_by_keepalive, 0);
}

/* An error that the program has not seen is the program's. */
static void dead_with_an_error(void **state)
{
	(void)state;
	suspected_open(&pair);
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	check_spared("action=close", SL_SPARED_ERROR_PENDING, SL_RUNG_NEUTRALIZE, pair.client);
	int error = 0;
	socklen_t n = sizeof(error);
	assert_int_equal(getsockopt(pair.client, SOL_SOCKET, SO_ERROR, &error, &n), 0);
	assert_int_equal(error, EPIPE);
	turns(1);
	assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), 1);
}

static void dead_and_no_further_than_shutdown(void **state)
{
	(void)state;
	set_options("action=shutdown");
	suspected_open(&pair);
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	turns(10);
	CHECK_TOLD(SL_EVENT_STUCK);
	assert_int_equal(counts.shutdown, 0);
}

/* ---- in an epoll set ---- */

/* Shut down it would wake the set for ever: it goes on at once. */
static void level_triggered(void **state)
{
	(void)state;
	set_options("action=neutralize grace=1h");
	suspected_open(&pair);
	struct epoll_event event = {.events = 0};
	int set = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, pair.client, &event), 0);
	turns(5);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SHUTDOWN, SL_EVENT_NEUTRALIZED);
	assert_true(sl_dead_is_dead(pair.client));
	assert_int_equal(epoll_wait(set, &event, 1, 20), 0);
	turns(5);
	assert_int_equal(told_count, 3);
}

/* Edge-triggered it is told once: the program has its grace. */
static void edge_triggered(void **state)
{
	(void)state;
	set_options("action=neutralize grace=1h");
	suspected_open(&pair);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int set = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, pair.client, &event), 0);
	assert_int_equal(epoll_wait(set, &event, 1, 0), 1); /* of the FIN */
	turns(6);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SHUTDOWN);
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_int_equal(epoll_wait(set, &event, 1, PATIENCE_MS), 1);
	assert_true(event.events & EPOLLHUP);
}

/* The program puts a neutralized number into a set again: it has a dead socket of its own, and keeps its number. */
static void one_of_its_own(void **state)
{
	(void)state;
	set_options("action=close");
	suspected_open(&pair);
	(void)turn_until(SL_EVENT_NEUTRALIZED);
	assert_int_equal(sl_dead_become_own(pair.client), 0);
	turns(10);
	assert_int_equal(told_of(SL_EVENT_CLOSED), 0);
	assert_true(sl_dead_is_dead(pair.client));
	assert_int_equal(told_count, 3);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_late_sweep),
		TEST(stopped_from_the_start),
		TEST(never_as_it_is_met),
		TEST(used_since_the_sweep),
		TEST(copied_before_the_sweep),
		TEST(reused_since_the_sweep),
		TEST(spared_by_side),
		TEST(spared_by_rule),
		TEST(spared_by_regret),
		TEST(spared_by_stdio),
		TEST(spared_as_it_was_passed),
		TEST(spared_in_epoll),
		TEST(spared_with_unread_data),
		TEST(spared_as_adopted),
		TEST(spared_with_many_numbers),
		TEST(each_reason_is_told_once),
		TEST(cheap_reasons),
		TEST(shared_for_a_while),
		TEST(a_shared_one_is_let_go),
		TEST(dead_but_open),
		TEST(dead_with_an_error),
		TEST(dead_and_no_further_than_shutdown),
		TEST(level_triggered),
		TEST(edge_triggered),
		TEST(one_of_its_own),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}

int main(void)
{
	return run_alone(run_all);
}
