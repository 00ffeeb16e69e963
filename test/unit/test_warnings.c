/* test_warnings.c - one line when ports, fds or patience run short, and no second one. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/options.h"
#include "captured.h"
#include "ledger/fdtable.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "report/warnings.h"
#include "watch/evidence.h"
#include "watch/limits.h"
#include "watch/ports.h"
#include "watch/suspects.h"

#include "watch/table.h"

#define START 100000000u
#define LOOK_MS 10000 /* longer than any gap between two looks */

static uint64_t now_ms = START;
static uint32_t tick = 1;
static struct sl_limits limits;
static uint64_t range;

static int start(void **state)
{
	(void)state;
	sl_clerk_start();
	sl_limits_read(&limits);
	assert_true(limits.port_low > 0 && limits.nofile_soft > 0);
	range = (uint64_t)(limits.port_high - limits.port_low + 1 - limits.ports_reserved);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	struct sl_fd_record record;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		sl_fdtable_drop(record.fd, record.generation);
	sl_options_defaults(&sl_options);
	sl_pool_reset(&sl_worker_pool);
	sl_ports_forked();
	sl_suspects_forked();
	sl_evidence_forked();
	sl_warnings_forked();
	return 0;
}

/* What is said at the next look. */
static const char *look(int64_t fds)
{
	now_ms += LOOK_MS;
	capture_stderr();
	sl_warnings_look(now_ms, fds);
	return captured_stderr();
}

/* So many connections in CLOSE_WAIT, as the last sweep saw them. */
static void suspect(uint32_t count, bool is_stuck)
{
	const struct sl_kernel_tcp tcp = {.state = TCP_CLOSE_WAIT, .last_ack_recv_ms = 60000};
	struct sl_suspicion suspicion;
	sl_pool_reset(&sl_worker_pool);
	sl_ports_forked();
	sl_suspects_forked();
	sl_evidence_forked();
	sl_suspects_begin(++tick);
	for (uint32_t i = 1; i <= count; i++) {
		struct sl_fd_record record = {.fd = -1, .cookie = i, .site = SL_SITE_NO_STACK};
		assert_true(sl_suspects_meet(&record, &tcp, is_stuck ? 60000 : 60001, now_ms,
		                             &suspicion));
	}
	sl_suspects_end();
	assert_int_equal(sl_suspects_close_wait(), count);
	assert_int_equal(sl_suspects_stuck(), is_stuck ? count : 0);
	sl_evidence_take();
}

static uint32_t peer(enum sl_direction direction, uint8_t last)
{
	struct sl_endpoint at = {.address = {[10] = 0xff, [11] = 0xff, 10, 1, 2, last},
	                         .port = 443};
	return sl_peer_intern(direction, &at);
}

/* Records from `fd` on, until there are `count` more; no sockets: the ledger alone is asked. */
static int record(int fd, uint64_t count, uint32_t to, uint32_t flags)
{
	struct sl_fd_opening opening = {.kind = SL_KIND_TCP, .flags = flags, .dest = to};
	for (uint64_t i = 0; i < count; i++, fd++) {
		sl_fdtable_prepare();
		assert_true(sl_fdtable_open(fd, &opening));
	}
	return fd;
}

static const char *ports_line(uint8_t last, unsigned percent, uint64_t used)
{
	static char line[256];
	snprintf(line, sizeof(line),
	         "sockleak: to 10.1.2.%u:443: %u %% of %llu ports are in use (%llu); 0 connections "
	         "of "
	         "this process are in CLOSE_WAIT\n",
	         last, percent, (unsigned long long)range, (unsigned long long)used);
	return line;
}

static void steps(void **state)
{
	(void)state;
	struct sl_warning_step step = {0};
	static const struct {
		uint64_t used;
		unsigned percent; /* 0: nothing is said */
	} rows[] = {
		{0, 0},    {499, 0}, {500, 50}, {501, 0},         {749, 0},  {450, 0},  {600, 0},
		{750, 75}, {899, 0}, {600, 0},  {800, 0},         {900, 90}, {950, 0},  {1000, 0},
		{2000, 0}, {500, 0}, {400, 0},  {950, 0},         {399, 0},  {500, 50}, {0, 0},
		{999, 90}, {10, 0},  {760, 75}, {UINT32_MAX, 90},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned percent = 0;
		bool is_said = sl_warnings_step(&step, rows[i].used, 1000, &percent);
		if (is_said != (rows[i].percent != 0) || (is_said && percent != rows[i].percent))
			fail_msg("row %zu: %d %u", i, is_said, percent);
	}
	unsigned percent;
	assert_false(sl_warnings_step(&step, 5, 0, &percent));
	step.said = 0;
	assert_true(sl_warnings_step(&step, 1, 1, &percent));
	assert_int_equal(percent, 90);
}

static void doublings(void **state)
{
	(void)state;
	static const struct {
		uint64_t stuck;
		bool is_said;
	} rows[] = {
		{0, false},   {999, false},  {1000, true},  {1500, false},  {1999, false},
		{2000, true}, {2001, false}, {16000, true}, {31999, false}, {32000, true},
		{600, false}, {1000, false}, {499, false},  {1000, true},   {1001, false},
	};
	uint64_t next = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (sl_warnings_doubling(&next, 1000, rows[i].stuck) != rows[i].is_said)
			fail_msg("row %zu", i);
	next = 0;
	assert_true(sl_warnings_doubling(&next, 1, 1));
	assert_false(sl_warnings_doubling(&next, 1, 1));
	assert_true(sl_warnings_doubling(&next, 1, 2));
}

static void stuck_connections(void **state)
{
	(void)state;
	suspect(999, true);
	assert_string_equal(look(10), "");
	suspect(3000, false);
	assert_string_equal(look(10), "");
	suspect(1000, true);
	assert_string_equal(look(10), "sockleak: 1000 connections are stuck: the peer has closed, "
	                              "this process has not\n");
	assert_string_equal(look(10), "");
	suspect(2100, true);
	assert_string_equal(look(10), "sockleak: 2100 connections are stuck: the peer has closed, "
	                              "this process has not\n");
	assert_string_equal(look(10), "");
}

static void a_threshold_of_the_users(void **state)
{
	(void)state;
	sl_options.warn_at = 3;
	suspect(2, true);
	assert_string_equal(look(10), "");
	suspect(3, true);
	assert_int_equal(occurrences(look(10), "sockleak: 3 connections are stuck"), 1);
	/* Then limits are not watched. */
	assert_string_equal(look(limits.nofile_soft), "");
	suspect(6, true);
	assert_int_equal(occurrences(look(10), "sockleak: 6 connections are stuck"), 1);
}

static void off(void **state)
{
	(void)state;
	sl_options.warn_at = SL_OFF;
	suspect(5000, true);
	assert_string_equal(look(limits.nofile_soft), "");
}

static void open_fds(void **state)
{
	(void)state;
	char expected[256];
	long long soft = limits.nofile_soft;
	assert_string_equal(look(-1), "");
	assert_string_equal(look(soft / 2 - 1), "");
	suspect(7, false);
	snprintf(
		expected, sizeof(expected),
		"sockleak: 50 %% of %lld file descriptors are in use (%lld); 7 connections of this "
		"process are in CLOSE_WAIT\n",
		soft, (soft + 1) / 2);
	assert_string_equal(look((soft + 1) / 2), expected);
	assert_string_equal(look((soft + 1) / 2), "");
	assert_int_equal(occurrences(look(soft), "90 % of"), 1);
	assert_string_equal(look(soft), "");
}

static void ports_to_a_peer(void **state)
{
	(void)state;
	uint32_t to = peer(SL_DIRECTION_OUT, 1);
	int next = record(100, (range + 1) / 2 - 1, to, SL_FD_OUT | SL_FD_CONNECTED);
	assert_string_equal(look(10), "");
	next = record(next, 1, to, SL_FD_OUT | SL_FD_CONNECTING);
	assert_string_equal(look(10), ports_line(1, 50, (range + 1) / 2));
	assert_string_equal(look(10), "");
	next = record(next, range / 2, to, SL_FD_OUT | SL_FD_CONNECTED);
	assert_string_equal(look(10), ports_line(1, 90, range / 2 + (range + 1) / 2));
	/* Each peer has steps of its own: the ports to one are none to another. */
	record(next, range * 3 / 4 + 1, peer(SL_DIRECTION_OUT, 2), SL_FD_OUT | SL_FD_CONNECTED);
	assert_string_equal(look(10), ports_line(2, 75, range * 3 / 4 + 1));
	assert_string_equal(look(10), "");
}

/* Inbound connections share one port, a socket that is not connected has none, others are no TCP. */
static void what_holds_no_port(void **state)
{
	(void)state;
	int next = record(100, range, peer(SL_DIRECTION_IN, 1), SL_FD_IN | SL_FD_CONNECTED);
	next = record(next, range, peer(SL_DIRECTION_OUT, 1), SL_FD_OUT);
	next = record(next, range, 0, SL_FD_CONNECTED);
	record(next, range, SL_PEER_OVERFLOW, SL_FD_OUT | SL_FD_CONNECTED);
	assert_string_equal(look(10), "");
}

/* The walk costs something: not at every sweep. */
static void not_at_every_sweep(void **state)
{
	(void)state;
	assert_string_equal(look(10), "");
	capture_stderr();
	sl_warnings_look(now_ms + 100, limits.nofile_soft);
	assert_string_equal(captured_stderr(), "");
	assert_int_equal(occurrences(look(limits.nofile_soft), "90 % of"), 1);
}

static void a_child_starts_anew(void **state)
{
	(void)state;
	suspect(1000, true);
	assert_int_equal(occurrences(look(limits.nofile_soft), "\n"), 2);
	assert_string_equal(look(limits.nofile_soft), "");
	sl_warnings_forked();
	assert_int_equal(occurrences(look(limits.nofile_soft), "\n"), 2);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(steps),
		TEST(doublings),
		TEST(stuck_connections),
		TEST(a_threshold_of_the_users),
		TEST(off),
		TEST(open_fds),
		TEST(ports_to_a_peer),
		TEST(what_holds_no_port),
		TEST(not_at_every_sweep),
		TEST(a_child_starts_anew),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
