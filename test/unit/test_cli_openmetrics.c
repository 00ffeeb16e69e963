/* OpenMetrics text: families in one piece, labels escaped, no client addresses. test/e2e/test_openmetrics.py has
 * other people's parsers read it. */
#include "cli/format_openmetrics.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/metric_groups.h"
#include "cli/unit.h"
#include "formatted.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct formatted out;

static void render(const struct sl_openmetrics_source *sources, size_t n, unsigned top)
{
	formatted_start(&out);
	sl_format_openmetrics(out.to, sources, n, top);
	formatted_end(&out);
}

static void assert_has(const char *text)
{
	if (!strstr(out.text, text))
		fail_msg("lacks: %s", text);
}

#define JAVA "{program=\"java LeakyClient\",pid=\"4242\""

static void test_values(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_rich();
	const struct sl_openmetrics_source source = {.snapshot = &s};
	render(&source, 1, SL_OPENMETRICS_TOP);
	assert_has("# TYPE sockleak_stuck gauge\n");
	assert_has("\nsockleak_stuck" JAVA "} 12622\n");
	assert_has("\nsockleak_tcp_opened_total" JAVA "} 16108\n");
	assert_has("\nsockleak_tcp_sockets" JAVA ",state=\"CLOSE_WAIT\"} 12719\n");
	assert_has("\nsockleak_verdict" JAVA ",sockleak_verdict=\"LEAK\"} 1\n");
	assert_has("\nsockleak_verdict" JAVA ",sockleak_verdict=\"OK\"} 0\n");
	assert_has("# UNIT sockleak_oldest_stuck_seconds seconds\n");
	assert_has("\nsockleak_oldest_stuck_seconds" JAVA "} 7110.000\n");
	assert_has("\nsockleak_peer_ports_left" JAVA ",peer=\"172.21.191.100:8080\"} 15491\n");
	assert_has("\nsockleak_ports" JAVA "} 28232\n");
	assert_has("\nsockleak_report_timestamp_seconds" JAVA "} 1795327387.123\n");
	assert_has("blame=\"LeakyClient.fetch(LeakyClient.java:11)\",kind=\"java\",direction="
	           "\"out\"} 11600\n");
	assert_string_equal(out.text + out.length - 6, "# EOF\n");
	assert_int_equal(formatted_count(&out, "# EOF"), 1);
	formatted_free(&out);
}

static void test_what_is_elsewhere_by_kind(void **state)
{
	(void)state;
	const struct sl_snapshot_elsewhere rows[] = {
		{.kind = SL_ELSEWHERE_NOT_ACCEPTED, .count = 129},
		{.kind = SL_ELSEWHERE_NOT_ACCEPTED, .count = 2},
		{.kind = SL_ELSEWHERE_CONNECTING, .count = 7},
	};
	struct sl_snapshot s = sample_rich();
	const struct sl_openmetrics_source source = {.snapshot = &s};
	s.elsewhere = rows;
	s.elsewhere_count = 3;
	render(&source, 1, SL_OPENMETRICS_TOP);
	assert_has("\nsockleak_elsewhere" JAVA ",kind=\"not-accepted\"} 131\n");
	assert_has("\nsockleak_elsewhere" JAVA ",kind=\"connecting\"} 7\n");
	assert_has("\nsockleak_elsewhere" JAVA ",kind=\"ports-taken\"} 0\n");
	formatted_free(&out);
}

static void test_the_unknown_has_no_sample(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_healthy();
	const struct sl_openmetrics_source source = {.snapshot = &s};
	render(&source, 1, SL_OPENMETRICS_TOP);
	assert_int_equal(formatted_count(&out, "\nsockleak_oldest_stuck_seconds{"), 0);
	assert_int_equal(formatted_count(&out, "\nsockleak_fds_limit{"), 0);
	assert_int_equal(formatted_count(&out, "\nsockleak_ports{"), 0);
	assert_int_equal(formatted_count(&out, "9223372036854775808"), 0);
	formatted_free(&out);
}

static void test_no_client_addresses(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_rich();
	const struct sl_openmetrics_source source = {.snapshot = &s};
	render(&source, 1, SL_OPENMETRICS_TOP);
	assert_null(strstr(out.text, "10.0.0.7"));
	assert_has("\nsockleak_inbound_open" JAVA ",port=\"8080\"} 22\n");
	formatted_free(&out);
}

static void test_what_is_past_the_top_is_summed(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_rich();
	const struct sl_openmetrics_source source = {.snapshot = &s};
	render(&source, 1, 1);
	assert_int_equal(formatted_count(&out, "\nsockleak_peer_open{"), 2);
	assert_has("\nsockleak_peer_open" JAVA ",peer=\"others\"} 2023\n");
	assert_has("\nsockleak_site_open" JAVA
	           ",blame=\"others\",kind=\"others\",direction=\"others\"} 2047\n");
	assert_int_equal(formatted_count(&out, "\nsockleak_peer_ports_left{"), 1);
	formatted_free(&out);
}

static void test_sites_of_one_line_are_one_series(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(20);
	const struct sl_openmetrics_source source = {.snapshot = &s};
	render(&source, 1, SL_OPENMETRICS_TOP);
	assert_int_equal(formatted_count(&out, "\nsockleak_site_stuck{"), 1);
	assert_has("direction=\"out\"} 232000\n");
	assert_int_equal(formatted_count(&out, "\nsockleak_peer_stuck{"), 1);
	formatted_free(&out);
}

static void test_families_of_many_processes_stand_together(void **state)
{
	(void)state;
	const struct sl_snapshot rich = sample_rich(), healthy = sample_healthy();
	const struct sl_openmetrics_source sources[] = {
		{.snapshot = &rich, .unit = "scribe.service"}, {.snapshot = &healthy}};
	render(sources, 2, SL_OPENMETRICS_TOP);
	assert_has("sockleak_stuck" JAVA ",unit=\"scribe.service\"} 12622\n"
	           "sockleak_stuck{program=\"upload\",pid=\"1234567\"} 0\n");
	assert_int_equal(formatted_count(&out, "# TYPE sockleak_stuck "), 1);
	formatted_free(&out);
}

static void test_pid_of_the_host(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_healthy();
	const struct sl_openmetrics_source source = {.snapshot = &s, .pid = 77};
	render(&source, 1, SL_OPENMETRICS_TOP);
	assert_has("\nsockleak_stuck{program=\"upload\",pid=\"77\"} 0\n");
	formatted_free(&out);
}

static void test_units(void **state)
{
	(void)state;
	static const char *const groups[][2] = {
		{"0::/system.slice/app.service\n", "app.service"},
		{"0::/system.slice/app.service/worker\n", "app.service"},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n",
	         "x.service"},
		{"12:cpu:/a.service\n1:name=systemd:/system.slice/b.service\n0::/\n", "b.service"},
		{"0::/system.slice/docker-1234.scope", "docker-1234.scope"},
		{"0::/\n", NULL},
		{"0::/init.slice/.service\n", NULL},
		{"", NULL},
	};
	char unit[SL_UNIT_BYTES];
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		assert_int_equal(sl_unit_of_groups(groups[i][0], unit), groups[i][1] != NULL);
		if (groups[i][1])
			assert_string_equal(unit, groups[i][1]);
	}
}

static void test_no_process(void **state)
{
	(void)state;
	render(NULL, 0, SL_OPENMETRICS_TOP);
	assert_string_equal(out.text + out.length - 6, "# EOF\n");
	formatted_free(&out);
}

static void test_labels_are_escaped(void **state)
{
	(void)state;
	char *label = sl_metric_label("a", "x\"y\\z\n\xff");
	assert_string_equal(label, "a=\"x\\\"y\\\\z\\\\x0a\\\\xff\"");
	free(label);
	label = sl_metric_label("a", NULL);
	assert_string_equal(label, "a=\"?\"");
	free(label);
}

static void test_negative_durations(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy();
	s.limits.fds_exhausted_in_ms = -1;
	const struct sl_openmetrics_source source = {.snapshot = &s};
	render(&source, 1, SL_OPENMETRICS_TOP);
	assert_has("\nsockleak_fds_exhausted_seconds{program=\"upload\",pid=\"1234567\"} -0.001\n");
	formatted_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_what_is_elsewhere_by_kind),
		cmocka_unit_test(test_the_unknown_has_no_sample),
		cmocka_unit_test(test_no_client_addresses),
		cmocka_unit_test(test_what_is_past_the_top_is_summed),
		cmocka_unit_test(test_sites_of_one_line_are_one_series),
		cmocka_unit_test(test_families_of_many_processes_stand_together),
		cmocka_unit_test(test_pid_of_the_host),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_no_process),
		cmocka_unit_test(test_labels_are_escaped),
		cmocka_unit_test(test_negative_durations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
