/* test_suspects_actions.c - suspects as the ladder sees them: the action clock, and what goes on after an action. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/options.h"
#include "ledger/sites.h"
#include "suspected.h"
#include "watch/kernel.h"

#define DEADLINE 60000u
#define START 100000000u /* clock of the first sweep */
#define INTERVAL 1000u

static uint32_t tick = 1;
static struct tcp_pair pair;
static uint32_t fin_ago_ms; /* at the sweep at START */

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
	sl_suspects_tell_gone(NULL);
	sl_options.interval_ms = INTERVAL;
	fin_ago_ms = 0;
	alarm(60);
	suspected_open(&pair);
	return 0;
}

static void begin(void)
{
	sl_suspects_begin(++tick);
	atomic_store(&sl_fd_tick, tick);
}

/* What the kernel says now, but for the age of the FIN. */
static struct sl_suspicion meet(int fd, uint64_t now_ms)
{
	struct sl_suspicion suspicion;
	struct sl_kernel_tcp tcp;
	struct sl_fd_record record = suspected_record(fd);
	assert_int_equal(sl_kernel_tcp(fd, &tcp), 0);
	tcp.last_ack_recv_ms = fin_ago_ms + (uint32_t)(now_ms - START);
	assert_true(sl_suspects_meet(&record, &tcp, DEADLINE, now_ms, &suspicion));
	return suspicion;
}

/* A sweep that meets the client's end alone. */
static struct sl_suspicion sweep(uint32_t later_ms)
{
	begin();
	struct sl_suspicion suspicion = meet(pair.client, START + later_ms);
	sl_suspects_end();
	return suspicion;
}

struct seen {
	struct sl_suspect_view views[8];
	unsigned count;
};

static void note_view(void *context, const struct sl_suspect_view *view)
{
	struct seen *seen = context;
	assert_true(seen->count < 8);
	seen->views[seen->count++] = *view;
}

/* The one suspect there is. */
static struct sl_suspect_view view(void)
{
	struct seen seen = {.count = 0};
	sl_suspects_each(note_view, &seen);
	assert_int_equal(seen.count, 1);
	return seen.views[0];
}

static void check_quiet(uint64_t action_ms, uint64_t wall_ms)
{
	struct sl_suspect_view now = view();
	assert_int_equal(now.action_quiet_ms, action_ms);
	assert_int_equal(now.judgement.quiet_ms, wall_ms);
}

/* ---- the clock ---- */

static void sweeps_in_time(void **state)
{
	(void)state;
	(void)sweep(0);
	check_quiet(0, 0);
	for (uint32_t later_ms = INTERVAL; later_ms <= 10 * INTERVAL; later_ms += INTERVAL) {
		(void)sweep(later_ms);
		check_quiet(later_ms, later_ms);
	}
	/* A sweep between two intervals, as a report or a rescue makes one. */
	(void)sweep(10 * INTERVAL + 300);
	check_quiet(10 * INTERVAL + 300, 10 * INTERVAL + 300);
}

/* Whoever was stopped could not react: two intervals at most, for the ladder; to a report it was all the while. */
static void a_late_sweep(void **state)
{
	(void)state;
	(void)sweep(0);
	(void)sweep(2 * INTERVAL);
	check_quiet(2 * INTERVAL, 2 * INTERVAL);
	assert_true(sweep(2 * INTERVAL + 10 * DEADLINE).judgement.is_stuck);
	check_quiet(4 * INTERVAL, 2 * INTERVAL + 10 * DEADLINE);
	(void)sweep(3 * INTERVAL + 10 * DEADLINE);
	check_quiet(5 * INTERVAL, 3 * INTERVAL + 10 * DEADLINE);
}

static void first_met_late(void **state)
{
	(void)state;
	fin_ago_ms = 500;
	(void)sweep(0);
	check_quiet(500, 500);
	sl_suspects_forked();
	fin_ago_ms = 10 * DEADLINE;
	assert_true(sweep(0).judgement.is_stuck);
	check_quiet(2 * INTERVAL, 10 * DEADLINE);
}

/* A turn may sweep twice, and the second time say an earlier time than the first. */
static void sweeps_that_overlap(void **state)
{
	(void)state;
	(void)sweep(0);
	(void)sweep(INTERVAL);
	(void)sweep(INTERVAL);
	check_quiet(INTERVAL, INTERVAL);
	(void)sweep(INTERVAL - 3);
	assert_int_equal(view().action_quiet_ms, INTERVAL);
	(void)sweep(2 * INTERVAL);
	check_quiet(2 * INTERVAL, 2 * INTERVAL);
	assert_int_equal(view().rungs->since_rung_ms, 2 * INTERVAL);
}

static void activity_sets_it_back(void **state)
{
	(void)state;
	(void)sweep(0);
	(void)sweep(INTERVAL);
	suspected_touch(pair.client, SL_IO_READ);
	(void)sweep(2 * INTERVAL);
	check_quiet(0, 0);
	(void)sweep(3 * INTERVAL);
	check_quiet(INTERVAL, INTERVAL);
	/* Past the hooks: the kernel counts it. */
	assert_int_equal(write(pair.client, "x", 1), 1);
	tcp_await_sent(pair.client);
	(void)sweep(4 * INTERVAL);
	assert_int_equal(view().action_quiet_ms, 0);
	(void)sweep(5 * INTERVAL);
	assert_int_equal(view().action_quiet_ms, INTERVAL);
	/* At the end of a long stop too. */
	suspected_touch(pair.client, SL_IO_WRITE);
	(void)sweep(10 * DEADLINE);
	assert_int_equal(view().action_quiet_ms, 0);
}

/* Data that still moves, as far as anybody can tell. */
static void unsent_data_sets_it_back(void **state)
{
	(void)state;
	(void)sweep(0);
	(void)sweep(INTERVAL);
	assert_int_equal(view().action_quiet_ms, INTERVAL);
	tcp_deafen(pair.server);
	assert_int_equal(send(pair.client, "12345", 5, MSG_NOSIGNAL), 5);
	(void)sweep(2 * INTERVAL);
	(void)sweep(3 * INTERVAL);
	check_quiet(0, 0);
	assert_true(view().has_unsent);
}

static void two_descriptors(void **state)
{
	(void)state;
	int copy = fcntl(pair.client, F_DUPFD_CLOEXEC, 50);
	assert_true(sl_fdtable_dup(pair.client, copy));
	for (uint32_t later_ms = 0; later_ms <= 3 * INTERVAL; later_ms += INTERVAL) {
		begin();
		(void)meet(pair.client, START + later_ms);
		(void)meet(copy, START + later_ms + 1);
		sl_suspects_end();
		assert_int_equal(view().action_quiet_ms, later_ms);
		assert_int_equal(view().descriptors, 2);
	}
	/* Used by either. */
	suspected_touch(copy, SL_IO_WRITE);
	begin();
	(void)meet(pair.client, START + 4 * INTERVAL);
	(void)meet(copy, START + 4 * INTERVAL);
	sl_suspects_end();
	assert_int_equal(view().action_quiet_ms, 0);
	tcp_close_recorded(copy);
	(void)sweep(6 * INTERVAL);
	assert_int_equal(view().descriptors, 1);
}

/* The time since a rung runs on the same clock, and no activity stops it: the ladder sets it to 0. */
static void since_the_rung(void **state)
{
	(void)state;
	(void)sweep(0);
	(void)sweep(INTERVAL);
	struct sl_suspect_rungs *rungs = view().rungs;
	assert_int_equal(rungs->since_rung_ms, INTERVAL);
	rungs->since_rung_ms = 0;
	suspected_touch(pair.client, SL_IO_READ);
	(void)sweep(2 * INTERVAL);
	assert_int_equal(view().rungs->since_rung_ms, INTERVAL);
	(void)sweep(10 * DEADLINE);
	assert_int_equal(view().rungs->since_rung_ms, 3 * INTERVAL);
	assert_ptr_equal(view().rungs, rungs);
}

/* ---- what the ladder is shown ---- */

static void what_is_shown(void **state)
{
	(void)state;
	struct sl_fd_record record = suspected_record(pair.client);
	struct sl_suspect_view now;
	assert_int_equal(write(pair.client, "abc", 3), 3);
	tcp_await_sent(pair.client);
	sl_fdtable_identify(pair.client, record.generation, sl_kernel_cookie(pair.client), 17);
	(void)sweep(0);
	now = view();
	assert_int_equal(now.record.fd, pair.client);
	assert_int_equal(now.record.generation, record.generation);
	assert_int_equal(now.record.peer, 17);
	assert_true(now.cookie == sl_kernel_cookie(pair.client));
	assert_true(now.record.cookie == now.cookie);
	assert_int_equal(now.bytes_sent, 3);
	assert_int_equal(now.descriptors, 1);
	assert_true(now.judgement.is_close_wait);
	assert_false(now.has_unread || now.has_unsent);
	assert_int_equal(now.rungs->reached, 0);
	/* As it was met last. */
	suspected_touch(pair.client, SL_IO_WRITE);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_PASSED, 0));
	assert_true(sl_fdtable_guard(pair.client, record.generation));
	assert_int_equal(view().record.last_io, record.last_io);
	(void)sweep(INTERVAL);
	now = view();
	assert_int_equal(now.record.last_io, (tick - 1) << SL_IO_BITS | SL_IO_WRITE);
	assert_true(now.record.flags & SL_FD_PASSED);
	assert_int_equal(now.record.marks, SL_MARK_GUARDED);
}

/* What either number is known for goes for the connection. */
static void flags_of_both(void **state)
{
	(void)state;
	int copy = fcntl(pair.client, F_DUPFD_CLOEXEC, 50);
	assert_true(sl_fdtable_dup(pair.client, copy));
	assert_true(sl_fdtable_mark_now(copy, SL_FD_STDIO | SL_FD_PASSED, 0));
	begin();
	(void)meet(pair.client, START);
	(void)meet(copy, START);
	sl_suspects_end();
	assert_int_equal(view().record.fd, pair.client);
	assert_int_equal(view().record.flags & (SL_FD_STDIO | SL_FD_PASSED),
	                 SL_FD_STDIO | SL_FD_PASSED);
}

static void check_unread(const char *bytes, size_t n, bool has_unread)
{
	struct tcp_pair other;
	tcp_open(&other);
	tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	assert_int_equal(write(other.server, bytes, n), n);
	shutdown(other.server, SHUT_WR);
	tcp_await_state(other.client, TCP_CLOSE_WAIT);
	sl_suspects_forked();
	begin();
	(void)meet(other.client, START);
	sl_suspects_end();
	assert_int_equal(view().has_unread, has_unread);
	tcp_close_recorded(other.client);
	other.client = -1;
	tcp_close(&other);
}

static void unread_bytes(void **state)
{
	(void)state;
	static const char tls12[31] = "\x15\x03\x03\x00\x1a", tls13[24] = "\x17\x03\x03\x00\x13";
	check_unread(tls12, 31, false);
	check_unread(tls13, 24, false);
	check_unread(tls12, 24, true);
	check_unread("x", 1, true);
}

/* ---- after an action ---- */

static void ended_by_us(void **state)
{
	(void)state;
	uint64_t of_site = sl_site_get(SL_SITE_NO_STACK)->retracted;
	(void)sweep(0);
	assert_true(sweep(DEADLINE).judgement.is_stuck);
	assert_int_equal(sl_suspects_stuck(), 1);
	struct sl_target target = suspected_target(pair.client);
	tcp_deafen(pair.server);
	assert_int_equal(sl_act_shutdown(&target), 0);
	view().rungs->reached = SL_RUNG_SHUTDOWN;
	view().rungs->is_reclaimed = true;
	assert_int_equal(tcp_state(pair.client), TCP_LAST_ACK);
	for (uint32_t i = 1; i <= 2; i++) {
		struct sl_suspicion s = sweep(DEADLINE + i * INTERVAL);
		assert_false(s.judgement.is_stuck || s.judgement.is_dead ||
		             s.judgement.is_close_wait);
		assert_int_equal(s.judgement.cause, SL_CAUSE_NONE);
		assert_int_equal(s.rung, SL_RUNG_SHUTDOWN);
		assert_int_equal(sl_suspects_stuck() + sl_suspects_close_wait(), 0);
	}
	/* Once the port is free too. */
	sl_suspects_forked();
	struct tcp_pair other;
	suspected_open(&other);
	begin();
	(void)meet(other.client, START);
	sl_suspects_end();
	target = suspected_target(other.client);
	assert_int_equal(sl_act_shutdown(&target), 0);
	tcp_await_state(other.client, TCP_CLOSE);
	view().rungs->is_reclaimed = true;
	begin();
	assert_false(meet(other.client, START + DEADLINE).judgement.is_dead);
	sl_suspects_end();
	begin();
	sl_suspects_end();
	assert_int_equal(sl_suspects_retracted(), 0);
	assert_int_equal(sl_site_get(SL_SITE_NO_STACK)->retracted, of_site);
}

/* What was only said, under dry_run, is no rung that was taken. */
static void a_pretended_rung(void **state)
{
	(void)state;
	(void)sweep(0);
	view().rungs->reached = SL_RUNG_SHUTDOWN;
	assert_int_equal(sweep(INTERVAL).rung, SL_RUNG_SHUTDOWN);
	view().rungs->is_pretended = true;
	assert_int_equal(sweep(2 * INTERVAL).rung, SL_RUNG_NONE);
}

static void neutralized(void **state)
{
	(void)state;
	struct sl_fd_record record = suspected_record(pair.client);
	uint64_t cookie = sl_kernel_cookie(pair.client);
	sl_fdtable_identify(pair.client, record.generation, cookie, 17);
	(void)sweep(0);
	struct sl_target target = suspected_target(pair.client);
	assert_int_equal(sl_act_shutdown(&target), 0);
	tcp_await_state(pair.client, TCP_CLOSE);
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
	struct sl_suspect_rungs *rungs = view().rungs;
	rungs->reached = SL_RUNG_NEUTRALIZE;
	rungs->is_reclaimed = true;
	for (uint32_t i = 1; i <= 3; i++) {
		begin();
		record = suspected_record(pair.client);
		sl_suspects_meet_dead(&record, START + i * INTERVAL);
		sl_suspects_meet_dead(&record, START + i * INTERVAL);
		sl_suspects_end();
		/* The number is another socket, the connection is the one that it was. */
		assert_true(view().cookie == cookie && view().record.cookie == cookie);
		assert_int_equal(view().record.marks & SL_MARK_DEAD, SL_MARK_DEAD);
		assert_ptr_equal(view().rungs, rungs);
		assert_int_equal(rungs->since_rung_ms, i * INTERVAL);
		assert_false(view().judgement.is_stuck || view().judgement.is_close_wait);
		assert_int_equal(sl_suspects_stuck() + sl_suspects_close_wait(), 0);
	}
	/* A late one counts as any other. */
	begin();
	sl_suspects_meet_dead(&record, START + 10 * DEADLINE);
	sl_suspects_end();
	assert_int_equal(rungs->since_rung_ms, 5 * INTERVAL);
	begin();
	sl_suspects_end();
	struct seen seen = {.count = 0};
	sl_suspects_each(note_view, &seen);
	assert_int_equal(seen.count, 0);
	assert_int_equal(sl_suspects_retracted(), 0);
}

/* A dead number that is no suspect: a copy of one, or one of the time before a fork. */
static void dead_and_unknown(void **state)
{
	(void)state;
	struct sl_fd_record record = suspected_record(pair.client);
	begin();
	sl_suspects_meet_dead(&record, START);
	record.cookie = 4711;
	sl_suspects_meet_dead(&record, START);
	sl_suspects_end();
	struct seen seen = {.count = 0};
	sl_suspects_each(note_view, &seen);
	assert_int_equal(seen.count, 0);
}

/* ---- gone ---- */

static struct seen gone;

static void note_gone(void *unused, const struct sl_suspect_view *last)
{
	(void)unused;
	note_view(&gone, last);
	gone.views[gone.count - 1].rungs = NULL;
	assert_int_equal(last->rungs->reached, SL_RUNG_PROBE);
}

static void told_as_it_is_forgotten(void **state)
{
	(void)state;
	gone.count = 0;
	sl_suspects_tell_gone(note_gone);
	(void)sweep(0);
	view().rungs->reached = SL_RUNG_PROBE;
	uint64_t cookie = view().cookie;
	(void)sweep(DEADLINE);
	assert_int_equal(gone.count, 0);
	begin();
	sl_suspects_end();
	assert_int_equal(gone.count, 1);
	assert_int_equal(gone.views[0].record.fd, pair.client);
	assert_true(gone.views[0].cookie == cookie);
	assert_true(gone.views[0].judgement.is_stuck);
	begin();
	sl_suspects_end();
	assert_int_equal(gone.count, 1);
	/* A child's are not: they were never its own. */
	(void)sweep(DEADLINE + INTERVAL);
	assert_int_equal(view().rungs->reached, SL_RUNG_NONE);
	sl_suspects_forked();
	begin();
	sl_suspects_end();
	assert_int_equal(gone.count, 1);
}

/* Stuck and gone: retracted, unless we had ended it. */
static void retracted_or_not(void **state)
{
	(void)state;
	for (int is_reclaimed = 0; is_reclaimed < 2; is_reclaimed++) {
		sl_suspects_forked();
		(void)sweep(0);
		assert_true(sweep(DEADLINE).judgement.is_stuck);
		view().rungs->is_reclaimed = is_reclaimed;
		begin();
		sl_suspects_end();
		assert_int_equal(sl_suspects_retracted(), !is_reclaimed);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sweeps_in_time),        TEST(a_late_sweep),
		TEST(first_met_late),        TEST(sweeps_that_overlap),
		TEST(activity_sets_it_back), TEST(unsent_data_sets_it_back),
		TEST(two_descriptors),       TEST(since_the_rung),
		TEST(what_is_shown),         TEST(flags_of_both),
		TEST(unread_bytes),          TEST(ended_by_us),
		TEST(a_pretended_rung),      TEST(neutralized),
		TEST(dead_and_unknown),      TEST(told_as_it_is_forgotten),
		TEST(retracted_or_not),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
