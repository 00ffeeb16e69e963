/* test_reclaim.c - the ladder at work: turns over real connections on a clock of the test's, and what is told. */
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ahead.h"
#include "base/clerk.h"
#include "base/clock.h"
#include "base/options.h"
#include "base/process.h"
#include "captured.h"
#include "child.h"
#include "ledger/sites.h"
#include "reclaim/dead.h"
#include "reclaim/reclaim.h"
#include "reclaim/regret.h"
#include "suspected.h"
#include "watch/kernel.h"
#include "watch/sweep.h"

#include "watch/table.h"

#define INTERVAL 1000u
#define OPTIONS "interval=1s deadline=4s deadline_in=6s grace=2s "

static struct tcp_pair pair;
static struct sl_reclaim_counts counts;

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	sl_clerk_start();
	sl_reclaim_start(told_note);
	return 0;
}

static void complain(const char *line)
{
	fail_msg("%s", line);
}

static void set_options(const char *text)
{
	char all[512];
	snprintf(all, sizeof(all), OPTIONS "%s", text);
	sl_options_defaults(&sl_options);
	assert_int_equal(sl_options_parse(&sl_options, all, complain), 0);
}

static int set_up(void **state)
{
	(void)state;
	suspected_reset();
	ahead_ms += 3600000;
	memset(&counts, 0, sizeof(counts));
	sl_reclaim_start(told_note);
	alarm(60);
	return 0;
}

/* The next interval's sweep and turn. However long they take in truth, the ladder takes no rest after them. */
static uint64_t turn(void)
{
	ahead_stop();
	ahead_ms += INTERVAL;
	uint64_t sleep_ms = suspected_turn(sl_clock_ms());
	ahead_go_on();
	sl_reclaim_counts(&counts);
	return sleep_ms;
}

static void turns(unsigned n)
{
	while (n-- > 0)
		(void)turn();
}

/* Until something of this kind is told; fails after ten turns. */
static const struct sl_event *turn_until(enum sl_event_kind kind)
{
	for (unsigned i = 0; i < 10; i++) {
		(void)turn();
		if (told_of(kind) > 0)
			return told_last(kind);
	}
	fail_msg("event %d was not told", kind);
	return NULL;
}

static void check_told(const char *file, int line, const enum sl_event_kind *kinds, unsigned n)
{
	for (unsigned i = 0; i < n && i < told_count; i++)
		if (told[i].kind != kinds[i])
			fail_msg("%s:%d: event %u is %d, wanted %d", file, line, i, told[i].kind,
			         kinds[i]);
	if (told_count != n)
		fail_msg("%s:%d: %u events were told, wanted %u", file, line, told_count, n);
}
#define CHECK_TOLD(...)                                                                       \
	check_told(__FILE__, __LINE__, (const enum sl_event_kind[]){__VA_ARGS__},             \
	           sizeof((const enum sl_event_kind[]){__VA_ARGS__}) / sizeof(enum sl_event_kind))

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
	assert_true(sl_dead_is_dead(pair.client));
	turns(2);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_SHUTDOWN, SL_EVENT_NEUTRALIZED, SL_EVENT_CLOSED);
	assert_true(told[3].cookie == cookie && told[3].fd == pair.client);
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
	char byte;
	int error = -1;
	socklen_t n = sizeof(error);
	set_options("action=neutralize");
	suspected_open(&pair);
	turns(8);
	assert_int_equal(counts.neutralized, 1);
	struct pollfd look = {.fd = pair.server, .events = POLLIN};
	assert_int_equal(poll(&look, 1, PATIENCE_MS), 1);
	assert_int_equal(read(pair.server, &byte, 1), 0);
	assert_int_equal(getsockopt(pair.server, SOL_SOCKET, SO_ERROR, &error, &n), 0);
	assert_int_equal(error, 0);
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

static int open_one(void)
{
	struct tcp_pair other;
	suspected_open(&other);
	return other.client;
}

static unsigned shut_down_of(const int *fds, unsigned n)
{
	unsigned count = 0;
	for (unsigned i = 0; i < n; i++)
		count += (suspected_marks(fds[i]) & SL_MARK_ENDED) != 0;
	return count;
}

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
	assert_true(turn() == UINT64_MAX);
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
	ahead_ms += INTERVAL;
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

/* Another connection at the same number by now. */
static void reused_since_the_sweep(void **state)
{
	(void)state;
	struct tcp_pair other;
	set_options("action=close");
	suspected_open(&pair);
	turns(4);
	ahead_ms += INTERVAL;
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
	assert_int_equal(counts.probed + counts.shutdown + counts.neutralized + counts.closed, done);
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

/* ---- the probe ---- */

static int keepalive_of(int fd)
{
	int is_on = -1;
	assert_int_equal(sl_act_get_int(fd, SOL_SOCKET, SO_KEEPALIVE, &is_on), 0);
	return is_on;
}

/* No time passes but by itself: the kernel's answer takes up to a second. */
static bool turn_until_probed_out(void *fd)
{
	(void)suspected_turn(sl_clock_ms());
	sl_reclaim_counts(&counts);
	usleep(2000);
	return keepalive_of(*(int *)fd) == 0;
}

static void await_end_of_probe(int fd)
{
	assert_int_equal(keepalive_of(fd), 1);
	await(turn_until_probed_out, &fd, "the end of a probe");
}

/* Here the FIN is a moment old, and must not look like an answer: the kernel's ages are rough. */
static void let_it_age(void)
{
	usleep(30000);
}

static void outbound_after_a_read(void **state)
{
	(void)state;
	set_options("action=shutdown");
	suspected_open(&pair);
	let_it_age();
	suspected_touch(pair.client, SL_IO_READ);
	(void)turn_until(SL_EVENT_PROBED);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED);
	assert_int_equal(counts.probed, 1);
	assert_true(suspected_turn(sl_clock_ms()) <= 2000); /* to see the answer */
	/* Nobody is cut before it has come. */
	if (keepalive_of(pair.client))
		await_end_of_probe(pair.client);
	turns(2);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED, SL_EVENT_SHUTDOWN);
	assert_int_equal(counts.probed, 1);
}

/* The client waits for an answer that is long in coming: it is spared, and asked again after another deadline. */
static void inbound_and_waiting(void **state)
{
	(void)state;
	set_options("action=close side=both");
	suspected_open_inbound(&pair);
	let_it_age();
	(void)turn_until(SL_EVENT_PROBED);
	await_end_of_probe(pair.server);
	turns(3);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED, SL_EVENT_SKIPPED);
	assert_int_equal(told[2].spared, SL_SPARED_PEER_WAITS);
	told_forget();
	(void)turn_until(SL_EVENT_PROBED);
	await_end_of_probe(pair.server);
	turns(3);
	CHECK_TOLD(SL_EVENT_PROBED); /* that it waits is known */
	assert_int_equal(counts.shutdown, 0);
	assert_int_equal(tcp_state(pair.server), TCP_CLOSE_WAIT);
	assert_int_equal(write(pair.server, "the answer", 10), 10);
	tcp_await_unread(pair.client, 10);
}

static void inbound_and_forgotten(void **state)
{
	(void)state;
	set_options("action=close side=both");
	suspected_open_inbound(&pair);
	suspected_forget_peer(&pair);
	(void)turn_until(SL_EVENT_PROBED);
	assert_int_equal(told_of(SL_EVENT_SKIPPED), 0);
	tcp_await_state(pair.server, TCP_CLOSE);
	(void)suspected_turn(sl_clock_ms());
	sl_reclaim_counts(&counts);
	assert_int_equal(counts.ended_by_probe, 1);
	assert_int_equal(counts.shutdown, 0);
	assert_int_equal(keepalive_of(pair.server), 0);
	/* The error is of our own making: it does not stop the ladder. */
	turns(4);
	assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), 1);
	assert_int_equal(counts.ended_by_probe, 1);
}

static bool is_probe_out(void *fd)
{
	struct sl_kernel_tcp tcp;
	return sl_kernel_tcp(*(int *)fd, &tcp) == 0 && tcp.probes > 0;
}

static bool turn_until_probed_twice(void *unused)
{
	(void)unused;
	(void)suspected_turn(sl_clock_ms());
	usleep(2000);
	return told_of(SL_EVENT_PROBED) == 2;
}

/* Silence is no answer: a packet may be lost. It is asked again before anything is done. */
static void inbound_and_silent(void **state)
{
	(void)state;
	set_options("action=shutdown side=both");
	suspected_open_inbound(&pair);
	let_it_age();
	tcp_deafen(pair.client);
	(void)turn_until(SL_EVENT_PROBED);
	uint64_t before_ms = sl_clock_ms();
	await(is_probe_out, &pair.server, "a probe that is lost");
	/* It was only the network. */
	int none = 0;
	assert_int_equal(setsockopt(pair.client, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)),
	                 0);
	await(turn_until_probed_twice, NULL, "a second probe");
	assert_true(sl_clock_ms() - before_ms >= 1900);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED, SL_EVENT_PROBED);
	assert_int_equal(tcp_state(pair.server), TCP_CLOSE_WAIT);
	if (keepalive_of(pair.server))
		await_end_of_probe(pair.server);
	turns(2);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED, SL_EVENT_PROBED, SL_EVENT_SKIPPED);
	assert_int_equal(told[3].spared, SL_SPARED_PEER_WAITS);
}

/* It was used since: whoever answered then may have gone by now, and the other way round. */
static void used_after_a_probe(void **state)
{
	(void)state;
	set_options("action=shutdown side=both");
	suspected_open_inbound(&pair);
	let_it_age();
	(void)turn_until(SL_EVENT_PROBED);
	suspected_touch(pair.server, SL_IO_READ);
	turns(1);
	assert_int_equal(keepalive_of(pair.server), 0); /* at once */
	turns(5);
	assert_int_equal(told_of(SL_EVENT_PROBED), 1);
	turns(1);
	assert_int_equal(told_of(SL_EVENT_PROBED), 2);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 0);
}

/* In the middle of a probe the program gives its peer up: the settings are those of its next connection. */
static void disconnected_while_probed(void **state)
{
	(void)state;
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int idle_s = 0, standard_s = 0;
	set_options("action=shutdown probe=on");
	suspected_open(&pair);
	let_it_age();
	assert_int_equal(sl_act_get_int(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, &standard_s), 0);
	(void)turn_until(SL_EVENT_PROBED);
	assert_int_equal(keepalive_of(pair.client), 1);
	assert_int_equal(connect(pair.client, &nobody, sizeof(nobody)), 0);
	/* As the door does. */
	struct sl_fd_record record = suspected_record(pair.client);
	sl_fdtable_identify(pair.client, record.generation, 0, 0);
	sl_fdtable_mark(pair.client, record.generation, 0, SL_FD_OUT | SL_FD_CONNECTED);
	sl_fdtable_unmark(pair.client, record.generation);
	turns(1);
	assert_int_equal(keepalive_of(pair.client), 0);
	assert_int_equal(sl_act_get_int(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s), 0);
	assert_int_equal(idle_s, standard_s);
}

/* ---- keepalive= ---- */

static void ended_by_keepalive(void **state)
{
	(void)state;
	int one = 1;
	set_options("action=report keepalive=1");
	tcp_open(&pair);
	tcp_record(pair.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	turns(1);
	assert_int_equal(keepalive_of(pair.client), 1);
	/* Once will do here. */
	assert_int_equal(setsockopt(pair.client, IPPROTO_TCP, TCP_KEEPCNT, &one, sizeof(one)), 0);
	tcp_deafen(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	turns(2);
	assert_int_equal(told_of(SL_EVENT_KEEPALIVE), 1);
	assert_int_equal(told_last(SL_EVENT_KEEPALIVE)->fd, pair.client);
	assert_int_equal(counts.ended_by_keepalive, 1);
	assert_int_equal(counts.ended_by_probe, 0);
}

/* ---- regrets ---- */

static void regret(int fd)
{
	sl_regret_note(fd, atomic_load(&sl_fdtable_slot(fd)->head));
}

static void regrets(void **state)
{
	(void)state;
	int fds[4];
	set_options("action=close max_rate=0");
	suspected_open_at(&pair, SL_SITE_ADOPTED);
	(void)turn_until(SL_EVENT_SHUTDOWN);
	regret(pair.client);
	told_forget();
	turns(1);
	assert_int_equal(told[0].kind, SL_EVENT_REGRETTED);
	assert_int_equal(told[0].fd, pair.client);
	assert_int_equal(counts.regretted, 1);
	assert_int_equal(sl_site_get(SL_SITE_ADOPTED)->regretted, 1);
	/* Its site is left alone from now on: no further rung, no other connection. */
	struct tcp_pair other;
	suspected_open_at(&other, SL_SITE_ADOPTED);
	turns(10);
	assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), 0);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 0);
	assert_int_equal(told_of(SL_EVENT_SKIPPED), 2);
	assert_int_equal(tcp_state(other.client), TCP_CLOSE_WAIT);
	/* Other sites go on. */
	for (int i = 0; i < 4; i++)
		fds[i] = open_one();
	(void)turn_until(SL_EVENT_SHUTDOWN);
	assert_int_equal(shut_down_of(fds, 4), 4);
	assert_int_equal(sl_reclaim_action(), SL_ACTION_CLOSE);
	regret(fds[0]);
	regret(fds[1]);
	capture_stderr();
	turns(1);
	assert_int_equal(occurrences(captured_stderr(), "action=report"), 1);
	assert_int_equal(told_of(SL_EVENT_STOPPED), 1);
	assert_true(sl_reclaim_is_stopped());
	assert_int_equal(sl_reclaim_action(), SL_ACTION_REPORT);
	/* Nothing at all is done any more: no first rung, and no further one. */
	int last = open_one();
	told_forget();
	turns(20);
	CHECK_TOLD(SL_EVENT_STUCK);
	assert_int_equal(tcp_state(last), TCP_CLOSE_WAIT);
	assert_int_equal(counts.neutralized, 0);
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
		TEST(the_whole_ladder),
		TEST(no_further_than_action),
		TEST(what_the_peer_sees),
		TEST(two_numbers),
		TEST(the_longest_quiet_first),
		TEST(no_more_than_max_rate),
		TEST(no_limit),
		TEST(shares_of_a_second),
		TEST(in_words_only),
		TEST(no_probe_ended_it),
		TEST(the_program_reacts),
		TEST(closed_later),
		TEST(retracted),
		TEST(a_late_sweep),
		TEST(stopped_from_the_start),
		TEST(never_as_it_is_met),
		TEST(used_since_the_sweep),
		TEST(reused_since_the_sweep),
		TEST(spared_by_side),
		TEST(spared_by_rule),
		TEST(spared_by_regret),
		TEST(spared_by_stdio),
		TEST(spared_as_it_was_passed),
		TEST(spared_in_epoll),
		TEST(spared_with_unread_data),
		TEST(spared_as_adopted),
		TEST(cheap_reasons),
		TEST(shared_for_a_while),
		TEST(a_shared_one_is_let_go),
		TEST(dead_but_open),
		TEST(dead_with_an_error),
		TEST(dead_and_no_further_than_shutdown),
		TEST(level_triggered),
		TEST(edge_triggered),
		TEST(one_of_its_own),
		TEST(outbound_after_a_read),
		TEST(inbound_and_waiting),
		TEST(inbound_and_forgotten),
		TEST(inbound_and_silent),
		TEST(used_after_a_probe),
		TEST(disconnected_while_probed),
		TEST(ended_by_keepalive),
		TEST(regrets),
		TEST(in_a_sandbox),
		TEST(no_number_of_our_own),
		TEST(out_of_numbers),
		TEST(a_child_starts_anew),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}

int main(void)
{
	return run_alone(run_all);
}
