/* test_triggers.c - when the worker sweeps and when it reports, on a clock of the test's. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ahead.h"
#include "base/clerk.h"
#include "base/options.h"
#include "captured.h"
#include "child.h"
#include "json_reader.h"
#include "ledger/sites.h"
#include "reclaim/reclaim.h"
#include "report/events.h"
#include "report/triggers.h"
#include "tcp.h"
#include "watch/evidence.h"
#include "watch/growth.h"
#include "watch/listeners.h"
#include "watch/ports.h"
#include "watch/suspects.h"

#include "watch/table.h"

#define INTERVAL_MS 1000

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	sl_clerk_start();
	sl_reclaim_start(sl_events_tell);
	return 0;
}

static void set_json(const char *name)
{
	const char *path = in_directory(name);
	size_t n = strlen(path);
	assert_true(n < sizeof(sl_options.json));
	memcpy(sl_options.json, path, n + 1);
}

static bool is_clerk_idle(void *unused)
{
	(void)unused;
	return !sl_clerk_is_busy() && !sl_clerk_is_asked();
}

/* Nothing is recorded, no turn was taken, nothing that came too late is under way, and a report goes to a file that is not there yet. */
static int set_up(void **state)
{
	(void)state;
	struct sl_fd_record record;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		sl_fdtable_drop(record.fd, record.generation);
	await(is_clerk_idle, NULL, "the clerk");
	close_range(3, ~0u, 0);
	ahead_ms += 3600000;
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	sl_evidence_forked();
	sl_growth_forked();
	sl_ports_forked();
	sl_listeners_forked();
	sl_triggers_forked();
	sl_reclaim_forked();
	sl_events_forked();
	sl_options_defaults(&sl_options);
	sl_options.interval_ms = INTERVAL_MS;
	sl_options.warn_at = SL_OFF;
	directory_make();
	set_json("report.json");
	strcpy(sl_options.report, "/dev/null");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	directory_remove();
	return 0;
}

static uint64_t turn_for(unsigned wanted, int error, uint32_t dest)
{
	const struct sl_pressure pressure = {error, dest};
	uint64_t sleep_ms = sl_triggers_turn(wanted, &pressure);
	assert_true(sleep_ms >= 1);
	return sleep_ms;
}

static uint64_t turn(unsigned wanted)
{
	return turn_for(wanted, 0, 0);
}

static uint32_t sweeps(void)
{
	return atomic_load(&sl_fd_tick);
}

/* The trigger of the report that was written since the last call, or "" if there is none. */
static const char *reported(void)
{
	static struct json_reader reader;
	static char trigger[64];
	struct stat file;
	const char *path = in_directory("report.json");
	if (stat(path, &file) != 0)
		return "";
	if (!json_reader_read(&reader, file_text(path, NULL)))
		fail_msg("%s", reader.complaint);
	snprintf(trigger, sizeof(trigger), "%s", json_reader_value(&reader, "trigger"));
	unlink(path);
	return trigger;
}

static void sweeps_at_each_interval(void **state)
{
	(void)state;
	uint32_t before = sweeps();
	uint64_t sleep_ms = turn(0);
	assert_int_equal(sweeps(), before + 1);
	assert_true(sleep_ms <= INTERVAL_MS);
	/* Woken early: nothing to do, and less to sleep. */
	ahead_ms += INTERVAL_MS / 2;
	sleep_ms = turn(0);
	assert_int_equal(sweeps(), before + 1);
	assert_true(sleep_ms <= INTERVAL_MS / 2);
	ahead_ms += INTERVAL_MS / 2;
	(void)turn(0);
	assert_int_equal(sweeps(), before + 2);
	/* Late, as after a freeze: one sweep, not all that were missed. */
	ahead_ms += 100 * INTERVAL_MS;
	(void)turn(0);
	(void)turn(0);
	assert_int_equal(sweeps(), before + 3);
	assert_string_equal(reported(), "");
}

static void interval_auto(void **state)
{
	(void)state;
	sl_options.interval_ms = SL_AUTO;
	sl_options.deadline_ms = 4000;
	uint64_t sleep_ms = turn(0);
	assert_true(sleep_ms <= 1000);
	sl_triggers_forked();
	sl_options.deadline_ms = 3600000;
	sleep_ms = turn(0);
	assert_in_range(sleep_ms, 1001, 5000);
}

static void reports_as_asked(void **state)
{
	(void)state;
	(void)turn(0);
	assert_string_equal(reported(), "");
	(void)turn(SL_WANTED_BY_SIGNAL);
	assert_string_equal(reported(), "\"signal\"");
	(void)turn(SL_WANTED_BY_EXIT);
	assert_string_equal(reported(), "\"exit\"");
	(void)turn(0);
	assert_string_equal(reported(), "");
	/* In the very first turn too. */
	sl_triggers_forked();
	(void)turn(SL_WANTED_BY_SIGNAL);
	assert_string_equal(reported(), "\"signal\"");
}

/* A report has looked at everything: that was the sweep. */
static void a_report_is_a_sweep(void **state)
{
	(void)state;
	struct tcp_pair pair;
	tcp_open(&pair);
	tcp_record(pair.client, SL_FD_OUT | SL_FD_CONNECTED, SL_SITE_NO_STACK);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	uint32_t before = sweeps();
	uint64_t sleep_ms = turn(SL_WANTED_BY_SIGNAL);
	assert_int_equal(sweeps(), before + 1);
	assert_int_equal(sl_suspects_close_wait(), 1);
	(void)turn(0);
	assert_int_equal(sweeps(), before + 1);
	assert_true(sleep_ms <= INTERVAL_MS);
	assert_string_equal(reported(), "\"signal\"");
}

static void every_period(void **state)
{
	(void)state;
	sl_options.every_ms = 2500;
	uint64_t sleep_ms = turn(0);
	assert_true(sleep_ms <= INTERVAL_MS);
	assert_string_equal(reported(), ""); /* not before there is something to tell */
	ahead_ms += 2400;
	sleep_ms = turn(0);
	assert_string_equal(reported(), "");
	assert_true(sleep_ms <= 100);
	ahead_ms += 100;
	(void)turn(0);
	assert_string_equal(reported(), "\"interval\"");
	(void)turn(0);
	assert_string_equal(reported(), "");
	/* Late: one report. */
	ahead_ms += 60000;
	(void)turn(0);
	assert_string_equal(reported(), "\"interval\"");
	(void)turn(0);
	assert_string_equal(reported(), "");
	/* One that was asked for does not put it off. */
	ahead_ms += 2000;
	(void)turn(SL_WANTED_BY_SIGNAL);
	assert_string_equal(reported(), "\"signal\"");
	ahead_ms += 500;
	(void)turn(0);
	assert_string_equal(reported(), "\"interval\"");
}

static void check_pressure(int error, uint32_t dest, bool is_news)
{
	(void)turn_for(SL_WANTED_BY_PRESSURE, error, dest);
	assert_string_equal(reported(), is_news ? "\"pressure\"" : "");
}

static void pressure_once_a_minute(void **state)
{
	(void)state;
	check_pressure(EMFILE, 0, true);
	check_pressure(EMFILE, 0, false);
	check_pressure(EMFILE, 0, false);
	/* Another error, another destination: news. */
	check_pressure(EADDRNOTAVAIL, 3, true);
	check_pressure(EADDRNOTAVAIL, 4, true);
	check_pressure(EADDRNOTAVAIL, 3, false);
	check_pressure(ENFILE, 0, true);
	/* It lasts: once a minute, each by itself. */
	ahead_ms += 58000;
	check_pressure(EMFILE, 0, false);
	ahead_ms += 2500;
	check_pressure(EMFILE, 0, true);
	check_pressure(EMFILE, 0, false);
	check_pressure(EADDRNOTAVAIL, 4, true);
	ahead_ms += 58000;
	check_pressure(EMFILE, 0, false);
	check_pressure(EADDRNOTAVAIL, 3, true);
	/* A child has troubles of its own. */
	sl_triggers_forked();
	check_pressure(EMFILE, 0, true);
}

/* However many destinations fail: the disk is not filled by us. */
static void pressure_has_an_end(void **state)
{
	(void)state;
	unsigned reports = 0;
	for (uint32_t dest = 1; dest <= 100; dest++) {
		(void)turn_for(SL_WANTED_BY_PRESSURE, EADDRNOTAVAIL, dest);
		reports += reported()[0] != '\0';
	}
	assert_in_range(reports, 1, 20);
	/* For this minute: the next has its own. */
	check_pressure(EADDRNOTAVAIL, 101, false);
	ahead_ms += 60000;
	check_pressure(EADDRNOTAVAIL, 101, true);
}

static bool is_recorded(int fd)
{
	struct sl_fd_record record;
	return sl_fdtable_get(fd, &record);
}

/* Listing all fds costs something: at the first sweep, then every few seconds, and for each report. */
static void looks_for_unseen_sockets(void **state)
{
	(void)state;
	int first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)turn(0);
	assert_true(is_recorded(first));
	int second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ahead_ms += 2 * INTERVAL_MS;
	(void)turn(0);
	assert_false(is_recorded(second));
	ahead_ms += 3 * INTERVAL_MS;
	(void)turn(0);
	assert_true(is_recorded(second));
	int third = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)turn(SL_WANTED_BY_SIGNAL);
	assert_true(is_recorded(third));
}

static void warns_after_a_sweep(void **state)
{
	(void)state;
	struct tcp_pair pair;
	sl_options.warn_at = 1;
	tcp_open(&pair);
	tcp_record(pair.client, SL_FD_OUT | SL_FD_CONNECTED, SL_SITE_NO_STACK);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	capture_stderr();
	(void)turn(0);
	assert_string_equal(captured_stderr(), "");
	capture_stderr();
	/* The kernel's ages are in real time: only what was seen before grows with the clock. */
	ahead_ms += 100000;
	(void)turn(0);
	const char *said = captured_stderr();
	assert_int_equal(occurrences(said, "1 connections are stuck"), 1);
}

/* What happened in a turn is in the file at its end. */
static void events_are_written(void **state)
{
	(void)state;
	struct tcp_pair pair;
	const char *path = in_directory("events");
	strcpy(sl_options.events, path);
	tcp_open(&pair);
	tcp_record(pair.client, SL_FD_OUT | SL_FD_CONNECTED, SL_SITE_NO_STACK);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	(void)turn(0);
	assert_int_equal(access(path, F_OK), -1);
	ahead_ms += 100000;
	(void)turn(0);
	assert_int_equal(occurrences(file_text(path, NULL), "\"event\":\"stuck\""), 1);
	(void)turn_for(SL_WANTED_BY_PRESSURE, EMFILE, 0);
	assert_int_equal(occurrences(file_text(path, NULL), "\"event\":\"pressure\""), 1);
	assert_int_equal(occurrences(file_text(path, NULL), "\n"), 2);
}

/* Without a thread for files there is no report in one: said, once, and the sweeps go on. */
static void no_clerk_child(void)
{
	sl_clerk_forked();
	capture_stderr();
	uint32_t before = sweeps();
	(void)turn(SL_WANTED_BY_SIGNAL);
	(void)turn(SL_WANTED_BY_SIGNAL);
	const char *said = captured_stderr();
	CHECK(sweeps() == before + 2);
	CHECK(occurrences(said, "no thread with an fd table of its own") == 1);
	CHECK(occurrences(said, "\n") == 1);
	CHECK(strcmp(directory_list(), "") == 0);
}

static void no_thread_for_files(void **state)
{
	(void)state;
	in_child(no_clerk_child);
}

static void complaints_are_said(void **state)
{
	(void)state;
	set_json("no/report.json");
	capture_stderr();
	for (int i = 0; i < 3; i++)
		(void)turn(SL_WANTED_BY_SIGNAL);
	const char *said = captured_stderr();
	assert_int_equal(occurrences(said, "no such directory"), 1);
	assert_int_equal(occurrences(said, "\n"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sweeps_at_each_interval),
		TEST(interval_auto),
		TEST(reports_as_asked),
		TEST(a_report_is_a_sweep),
		TEST(every_period),
		TEST(pressure_once_a_minute),
		TEST(pressure_has_an_end),
		TEST(looks_for_unseen_sockets),
		TEST(warns_after_a_sweep),
		TEST(events_are_written),
		TEST(no_thread_for_files),
		TEST(complaints_are_said),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
