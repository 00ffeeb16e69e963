/* The lines of a text report about what is not well and no leak, and RUNS OUT where its time has a spread. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "rendered.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MINUTE 60000
#define HOUR (60 * MINUTE)

static struct rendered got;
static struct sl_snapshot_elsewhere rows[12];

/* A healthy process with this one row. */
static struct sl_snapshot with(struct sl_snapshot_elsewhere row)
{
	struct sl_snapshot s = sample_healthy();
	rows[0] = row;
	s.elsewhere = rows;
	s.elsewhere_count = 1;
	return s;
}

/* The row's line, in either form. */
static const char *line_of(const struct sl_snapshot *s)
{
	static char line[256];
	for (int form = SL_TEXT_FULL; form >= SL_TEXT_SHORT; form--) {
		render_text(&got, s, (enum sl_text_form)form, false, 4096);
		const char *at = strstr(got.text, "\nNO LEAK, and not well");
		assert_non_null(at);
		at = strchr(at + 1, '\n') + 1;
		(void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
		if (rendered_widest(at, 1) > 100)
			fail_msg("%s", line);
	}
	return line;
}

/* What is left out of it is not known. */
static struct sl_snapshot_elsewhere row_of(struct sl_snapshot_elsewhere row)
{
	row.oldest_ms = row.oldest_ms ? row.oldest_ms : SL_UNKNOWN;
	row.limit = row.limit ? row.limit : SL_UNKNOWN;
	row.site = SL_UNKNOWN;
	row.is_notable = true;
	return row;
}

#define ROW(...) row_of((struct sl_snapshot_elsewhere){__VA_ARGS__})

static void test_each_kind_is_a_line(void **state)
{
	(void)state;
	struct sl_snapshot s =
		with(ROW(.kind = SL_ELSEWHERE_NOT_ACCEPTED, .count = 129, .limit = 128,
	                 .local = "0.0.0.0:8080", .oldest_ms = 35000, .is_stalled = true));
	s.verdict = SL_VERDICT_NOT_ACCEPTING;
	assert_string_equal(line_of(&s),
	                    "  129 wait at 0.0.0.0:8080 (limit 128, full), oldest 35.0s: "
	                    "the program is not calling accept()");
	assert_non_null(strstr(got.text, "\nNOT_ACCEPTING: 12 open, 0 CLOSE_WAIT"));
	assert_non_null(strstr(got.text,
	                       "\nFIX       accept what waits at 0.0.0.0:8080: is the thread "
	                       "that does it blocked, or gone?\n"));
	s = with(ROW(.kind = SL_ELSEWHERE_NOT_ACCEPTED, .count = 129, .limit = 128,
	             .local = "0.0.0.0:8080", .oldest_ms = 35));
	assert_string_equal(line_of(&s),
	                    "  129 wait at 0.0.0.0:8080 (limit 128, full), oldest 35ms: "
	                    "too slow, clients are turned away");
	s = with(ROW(.kind = SL_ELSEWHERE_FIN_WAIT2, .count = 12, .peer = "10.0.0.1:443",
	             .at_peer = 9, .oldest_ms = 2 * HOUR));
	assert_string_equal(line_of(&s), "  12 in FIN_WAIT2, oldest 2h0m, mostly to 10.0.0.1:443: "
	                                 "the peer does not close its half");
	s = with(ROW(.kind = SL_ELSEWHERE_HALF_OPEN, .count = 1, .peer = "10.0.0.1:443",
	             .at_peer = 1, .oldest_ms = 31 * MINUTE));
	assert_string_equal(line_of(&s), "  1 silent, no keepalive for 31min to 10.0.0.1:443: "
	                                 "peer may be gone: keepalive=60 would find out");
	s = with(ROW(.kind = SL_ELSEWHERE_NEVER_CONNECTED, .count = 40, .at_site = 40,
	             .blame = "pool_grow (pool.c:7)", .oldest_ms = 90000));
	assert_string_equal(line_of(&s),
	                    "  40 never connected, oldest 1min, by pool_grow (pool.c:7): "
	                    "close what is not used");
	s = with(ROW(.kind = SL_ELSEWHERE_CONNECT_FAILED, .count = 40, .at_site = 30,
	             .blame = "dial (net.c:7)", .peer = "10.0.0.1:443", .at_peer = 40));
	assert_string_equal(line_of(&s),
	                    "  40 left after connect() failed, mostly by dial (net.c:7): "
	                    "close it where connect() fails");
	s = with(ROW(.kind = SL_ELSEWHERE_CONNECTING, .count = 3, .peer = "[2001:db8::17]:443",
	             .at_peer = 3, .oldest_ms = 12000));
	assert_string_equal(line_of(&s), "  3 in SYN_SENT, oldest 12.0s to [2001:db8::17]:443: "
	                                 "no answer: down, or a firewall");
	s = with(ROW(.kind = SL_ELSEWHERE_PORTS_TAKEN, .count = 60, .limit = 100, .at_peer = 20,
	             .peer = "10.0.0.1:443"));
	assert_string_equal(line_of(&s), "  60 ports (of 100, 20 in TIME_WAIT) to 10.0.0.1:443: "
	                                 "others have them, or TIME_WAIT");
	/* From outside nobody knows much. */
	s = with(ROW(.kind = SL_ELSEWHERE_NEVER_CONNECTED, .count = 40));
	assert_string_equal(line_of(&s), "  40 never connected: close what is not used");
}

static void test_a_name_from_outside_gives_way(void **state)
{
	(void)state;
	char name[400];
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	name[200] = '\033';
	for (int kind = 0; kind < SL_ELSEWHERE_COUNT; kind++) {
		struct sl_snapshot s =
			with(ROW(.kind = (enum sl_elsewhere_kind)kind, .count = 123456,
		                 .limit = 65535, .local = name, .peer = name, .at_peer = 12345,
		                 .at_site = 1, .blame = name, .oldest_ms = 100 * HOUR));
		assert_null(strchr(line_of(&s), '\033'));
	}
}

static void test_nothing_to_say_is_no_line(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	render_text(&got, &s, SL_TEXT_FULL, false, 4096);
	assert_null(strstr(got.text, "NO LEAK"));
}

/* One unconnected socket is no reason for forty lines. */
static void test_what_is_not_notable_leaves_a_process_healthy(void **state)
{
	(void)state;
	struct sl_snapshot s = with(ROW(.kind = SL_ELSEWHERE_NEVER_CONNECTED, .count = 1));
	rows[0].is_notable = false;
	render_text(&got, &s, SL_TEXT_FULL, false, 4096);
	assert_int_equal(rendered_lines(got.text), 1);
}

static void test_many_rows_are_counted(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	for (unsigned i = 0; i < 9; i++)
		rows[i] = ROW(.kind = SL_ELSEWHERE_CONNECTING, .count = i + 1);
	s.elsewhere = rows;
	s.elsewhere_count = 9;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_non_null(strstr(got.text, "\n  6 in SYN_SENT: no answer"));
	assert_non_null(strstr(got.text, "\n  ... 3 more lines, see json=FILE\n"));
	assert_in_range(rendered_lines(got.text), 20, 40);
	s = sample_many(SAMPLE_MANY);
	for (uint32_t i = 0; i < s.site_count; i++)
		((struct sl_snapshot_site *)s.sites)[i].reclaimed = 1234567;
	s.elsewhere = rows;
	s.elsewhere_count = 9;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_in_range(rendered_lines(got.text), 30, 40);
}

static struct sl_snapshot_peer peers[2];

static const char *runs_out(int64_t in_ms, int64_t earliest_ms, int64_t latest_ms, bool is_exact)
{
	struct sl_snapshot s = sample_rich();
	peers[0] = s.peers[0];
	peers[0].exhausted_in_ms = in_ms;
	peers[0].ports.earliest_ms = earliest_ms;
	peers[0].ports.latest_ms = latest_ms;
	peers[0].ports.is_exact = is_exact;
	s.peers = peers;
	s.peer_count = 1;
	return rendered_line(&got, &s, "RUNS OUT");
}

static void test_time_has_a_spread(void **state)
{
	(void)state;
	assert_string_equal(
		runs_out(10080000, 7200000, 11400000, true),
		"RUNS OUT  of ports in 2h0m to 3h10m (15491 of 28232 left); fds 14 % of 100000");
	assert_string_equal(
		runs_out(10080000, 9900000, 10300000, true),
		"RUNS OUT  of ports in about 2h48m (15491 of 28232 left); fds 14 % of 100000");
	assert_string_equal(
		runs_out(10080000, 5040000, SL_UNKNOWN, false),
		"RUNS OUT  of ports in 1h24m or more (at most 15491 of 28232 left); fds 14 % "
		"of 100000");
	/* An older version says no more than this. */
	assert_string_equal(
		runs_out(10080000, SL_UNKNOWN, SL_UNKNOWN, false),
		"RUNS OUT  of ports in about 2h48m (at most 15491 of 28232 left); fds 14 % "
		"of 100000");
}

/* Nothing is in CLOSE_WAIT, and yet this ends within the hour. */
static void test_what_runs_out_soon_is_not_healthy(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy();
	peers[0] = sample_rich().peers[0];
	peers[0].ports.earliest_ms = peers[0].ports.latest_ms = SL_UNKNOWN;
	s.peers = peers;
	s.peer_count = 1;
	s.limits.port_low = 32768;
	s.limits.port_high = 60999;
	static const struct {
		int64_t left, earliest_ms, latest_ms;
		bool is_healthy;
	} cases[] = {
		{28232, SL_UNKNOWN, SL_UNKNOWN, true},  {14116, SL_UNKNOWN, SL_UNKNOWN, true},
		{14115, SL_UNKNOWN, SL_UNKNOWN, false}, {20000, HOUR - 1, 2 * HOUR, false},
		{20000, HOUR, 2 * HOUR, true},          {20000, HOUR - 1, SL_UNKNOWN, true},
		{27000, HOUR - 1, 2 * HOUR, true}, /* a pool that fills */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		peers[0].ports_left = cases[i].left;
		peers[0].ports.earliest_ms = cases[i].earliest_ms;
		peers[0].ports.latest_ms = cases[i].latest_ms;
		render_text(&got, &s, SL_TEXT_FULL, false, 4096);
		if ((rendered_lines(got.text) == 1) != cases[i].is_healthy)
			fail_msg("row %zu", i);
	}
	s.peer_count = 0;
	s.limits.nofile_soft = 1024;
	s.limits.nofile_used = 513;
	render_text(&got, &s, SL_TEXT_FULL, false, 4096);
	assert_true(rendered_lines(got.text) > 1);
}

static void test_reserved_ports_are_not_there(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.limits.ports_reserved = 232;
	assert_non_null(strstr(rendered_line(&got, &s, "RUNS OUT"), " of 28000 left)"));
}

static void test_the_hard_limit_where_the_soft_one_is_near(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.limits.nofile_hard = 1048576;
	assert_null(strstr(rendered_line(&got, &s, "RUNS OUT"), "hard"));
	s.limits.nofile_used = 93000;
	s.limits.fds_exhausted_in_ms = 60000;
	s.limits.fds_earliest_ms = 40000;
	s.limits.fds_latest_ms = 120000;
	assert_string_equal(
		rendered_line(&got, &s, "RUNS OUT"),
		"RUNS OUT  of fds in 40.0s to 2min; at most 15491 of 28232 ports left; fds "
		"93 % of 100000");
	s.peer_count = 0;
	assert_string_equal(
		rendered_line(&got, &s, "RUNS OUT"),
		"RUNS OUT  of fds in 40.0s to 2min; fds 93 % of 100000, hard limit 1048576");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind_is_a_line),
		cmocka_unit_test(test_a_name_from_outside_gives_way),
		cmocka_unit_test(test_nothing_to_say_is_no_line),
		cmocka_unit_test(test_what_is_not_notable_leaves_a_process_healthy),
		cmocka_unit_test(test_many_rows_are_counted),
		cmocka_unit_test(test_time_has_a_spread),
		cmocka_unit_test(test_what_runs_out_soon_is_not_healthy),
		cmocka_unit_test(test_reserved_ports_are_not_there),
		cmocka_unit_test(test_the_hard_limit_where_the_soft_one_is_near),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
