/* The JSON report: well-formed, complete, the right values, through buffers of every size.
 * `test_json RICH [HEALTHY [RECLAIMED]]` writes the samples to these paths, for scripts/check-schema. */
#include "report/json.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/version.h"
#include "json_reader.h"
#include "rendered.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct rendered got;
static struct rendered other;
static struct json_reader reader;

static void read_back(const struct sl_snapshot *s)
{
	render_json(&got, s, 4096);
	if (!json_reader_read(&reader, got.text))
		fail_msg("%s at byte %td", reader.complaint, reader.at - got.text);
}

static void assert_value(const char *path, const char *raw)
{
	const char *value = json_reader_value(&reader, path);
	if (!value)
		fail_msg("%s is missing", path);
	else if (strcmp(value, raw))
		fail_msg("%s is %s, not %s", path, value, raw);
}

struct expected {
	const char *path;
	const char *raw;
};

static void assert_values(const struct expected *expected, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_value(expected[i].path, expected[i].raw);
}

#define ASSERT_VALUES(...)                                                       \
	do {                                                                     \
		const struct expected expected[] = {__VA_ARGS__};                \
		assert_values(expected, sizeof(expected) / sizeof(expected[0])); \
	} while (0)

/* ---- the reader itself must refuse what is wrong, or the rest proves nothing ---- */

static void test_reader_refuses_what_is_not_json(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"{",
		"{}}",
		"[1,]",
		"{\"a\":1,}",
		"{\"a\" 1}",
		"{a:1}",
		"[1 2]",
		"\"\n\"",
		"\"\\x\"",
		"\"\\u12g4\"",
		"01",
		"-",
		"1.5",
		"nul",
		"\"a",
		"[\"a\":1]",
		"{\"a\":1,\"a\":2}",
		"{\"a\":{},\"a\":[]}",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (json_reader_read(&reader, bad[i]))
			fail_msg("taken for JSON: %s", bad[i]);
	}
	assert_true(json_reader_read(&reader, " {\"a\":[{},-1,\"\\u00e9\"],\"b\":{\"c\":null}}\n"));
	assert_value("a[1]", "-1");
	assert_value("b.c", "null");
	assert_null(json_reader_value(&reader, "b.d"));
}

/* ---- the report ---- */

static void test_every_buffer_size_gives_the_same_bytes(void **state)
{
	(void)state;
	struct sl_snapshot samples[] = {sample_rich(), sample_healthy(), sample_reclaimed()};
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		render_json(&got, &samples[i], RENDERED_BYTES);
		for (size_t bytes = 1; bytes <= 300; bytes++) {
			render_json(&other, &samples[i], bytes);
			assert_string_equal(other.text, got.text);
			assert_true(other.flushes >= got.length / bytes);
		}
	}
}

static void test_head_and_process(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	read_back(&s);
	ASSERT_VALUES({"schema", "\"sockleak-snapshot/1\""}, {"version", "\"" SL_VERSION "\""},
	              {"verdict", "\"LEAK\""}, {"mode", "\"preload\""}, {"trigger", "\"signal\""},
	              {"pressure", "null"}, {"taken_at", "\"2026-11-22T06:03:07Z\""},
	              {"process.pid", "4242"},
	              {"process.exe", "\"/usr/lib/jvm/java-17-openjdk-amd64/bin/java\""},
	              {"process.name", "\"java LeakyClient\""}, {"process.argv[0]", "\"java\""},
	              {"process.argv[3]", "\"\""},
	              {"process.started_at", "\"2026-11-22T03:50:07Z\""},
	              {"process.uptime_ms", "7980000"}, {"process.hostname", "\"web-17\""},
	              {"process.runtime", "\"jvm\""});
	assert_int_equal(got.text[got.length - 1], '\n');
	s = sample_healthy();
	s.pressure = "EMFILE in socket";
	read_back(&s);
	ASSERT_VALUES({"verdict", "\"OK\""}, {"trigger", "\"interval\""},
	              {"pressure", "\"EMFILE in socket\""}, {"process.runtime", "\"native\""},
	              {"process.argv[0]", "\"upload\""});
	s.process.argv = NULL;
	s.process.hostname = NULL;
	read_back(&s);
	ASSERT_VALUES({"process.argv", "[]"}, {"process.hostname", "null"});
}

static void count_option(void *context, const char *key, const char *value)
{
	char path[JSON_READER_PATH];
	struct sl_out out;
	char text[4 * SL_OPTION_TEXT_MAX];
	snprintf(path, sizeof(path), "options.%s", key);
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_out_json(&out, value);
	text[out.length] = '\0';
	assert_value(path, text);
	++*(unsigned *)context;
}

static void test_options_are_the_effective_set(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy();
	unsigned count = 0;
	read_back(&s);
	sl_options_each(&sl_options, count_option, &count);
	assert_true(count > 10);
	assert_value("options.deadline", "\"60s\"");
}

static void test_totals_and_limits(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.totals.regretted = 11;
	s.totals.rescued = 12;
	s.totals.dropped = 13;
	s.totals.held_back_bytes = 14;
	s.totals.probed = 21;
	s.totals.shutdown = 22;
	s.totals.neutralized = 23;
	s.totals.closed_by_us = 24;
	s.totals.app_reacted = UINT64_MAX;
	s.totals.ended_by_probe = 26;
	s.totals.ended_by_keepalive = 27;
	s.totals.absorbed = 28;
	s.sites_cut = 31;
	read_back(&s);
	ASSERT_VALUES(
		{"totals.opened", "16108"}, {"totals.closed", "1320"}, {"totals.open", "14788"},
		{"totals.close_wait", "12719"}, {"totals.stuck", "12622"},
		{"totals.retracted", "4"}, {"totals.regretted", "11"}, {"totals.rescued", "12"},
		{"totals.adopted", "55"}, {"totals.dropped", "13"}, {"totals.backlog", "42"},
		{"totals.dead", "30"}, {"totals.dead_stuck", "22"},
		{"totals.oldest_stuck_ms", "7110000"}, {"totals.began_after_ms", "485000"},
		{"totals.growth_per_min", "94"}, {"totals.held_back_bytes", "14"},
		{"totals.by_state.ESTABLISHED", "2037"}, {"totals.by_state.SYN_SENT", "0"},
		{"totals.by_state.SYN_RECV", "0"}, {"totals.by_state.FIN_WAIT1", "0"},
		{"totals.by_state.FIN_WAIT2", "0"}, {"totals.by_state.TIME_WAIT", "0"},
		{"totals.by_state.CLOSE", "30"}, {"totals.by_state.CLOSE_WAIT", "12719"},
		{"totals.by_state.LAST_ACK", "0"}, {"totals.by_state.LISTEN", "2"},
		{"totals.by_state.CLOSING", "0"}, {"totals.by_kind.tcp", "14788"},
		{"totals.by_kind.udp", "1"}, {"totals.by_kind.unix", "3"},
		{"totals.by_kind.netlink", "0"}, {"totals.by_kind.other", "0"},
		{"totals.reclaimed.probed", "21"}, {"totals.reclaimed.shutdown", "22"},
		{"totals.reclaimed.neutralized", "23"}, {"totals.reclaimed.closed", "24"},
		{"totals.reclaimed.app_reacted", "18446744073709551615"},
		{"totals.reclaimed.ended_by_probe", "26"},
		{"totals.reclaimed.ended_by_keepalive", "27"}, {"totals.reclaimed.absorbed", "28"},
		{"limits.nofile_soft", "100000"}, {"limits.nofile_used", "14900"},
		{"limits.port_low", "32768"}, {"limits.port_high", "60999"},
		{"limits.fds_exhausted_in_ms", "52000000"}, {"sites_cut", "31"});
	assert_null(json_reader_value(&reader, "totals.by_state.unknown"));
	s.totals.by_state[0] = 2;
	s.totals.by_state[12] = 3;
	read_back(&s);
	assert_value("totals.by_state.unknown", "5");
}

static void test_the_action_in_force(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy();
	read_back(&s);
	ASSERT_VALUES({"reclaim.action", "\"report\""}, {"reclaim.stopped", "false"},
	              {"reclaim.dry_run", "false"});
	s.reclaim.asked = SL_ACTION_CLOSE; /* that stands in options */
	s.reclaim.is_stopped = true;
	read_back(&s);
	ASSERT_VALUES({"reclaim.action", "\"report\""}, {"reclaim.stopped", "true"});
	s = sample_reclaimed();
	s.reclaim.is_dry_run = true;
	read_back(&s);
	ASSERT_VALUES({"reclaim.action", "\"neutralize\""}, {"reclaim.stopped", "false"},
	              {"reclaim.dry_run", "true"});
}

static void test_what_is_not_known_is_null(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy();
	read_back(&s);
	ASSERT_VALUES({"totals.oldest_stuck_ms", "null"}, {"totals.began_after_ms", "null"},
	              {"totals.growth_per_min", "null"}, {"limits.nofile_soft", "null"},
	              {"limits.nofile_used", "null"}, {"limits.port_low", "null"},
	              {"limits.port_high", "null"}, {"limits.fds_exhausted_in_ms", "null"},
	              {"peers", "[]"}, {"sites", "[]"}, {"listeners", "[]"}, {"sites_cut", "0"});
	assert_null(strstr(got.text, "\"sockets\""));
	assert_null(strstr(got.text, "-9223372036854775808"));
}

static void test_peers(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	read_back(&s);
	ASSERT_VALUES({"peers[0].direction", "\"out\""}, {"peers[0].address", "\"172.21.191.100\""},
	              {"peers[0].port", "8080"}, {"peers[0].open", "12741"},
	              {"peers[0].close_wait", "11641"}, {"peers[0].stuck", "11600"},
	              {"peers[0].established", "1100"}, {"peers[0].growth_per_min", "97"},
	              {"peers[0].idle_before_fin_ms_p50", "15000"},
	              {"peers[0].ports_left", "15491"}, {"peers[0].exhausted_in_ms", "10080000"},
	              {"peers[1].growth_per_min", "-3"}, {"peers[2].growth_per_min", "0"},
	              {"peers[2].address", "\"2001:db8::17\""},
	              {"peers[2].exhausted_in_ms", "null"}, {"peers[3].direction", "\"in\""},
	              {"peers[3].ports_left", "null"}, {"peers[3].growth_per_min", "null"},
	              {"peers[4].address", "null"}, {"peers[4].port", "null"},
	              {"peers[4].idle_before_fin_ms_p50", "null"});
	assert_null(json_reader_value(&reader, "peers[5].port"));
}

static void test_sites(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	read_back(&s);
	ASSERT_VALUES(
		{"sites[0].id", "7"}, {"sites[0].kind", "\"java\""},
		{"sites[0].direction", "\"out\""}, {"sites[0].verdict", "\"leak\""},
		{"sites[0].blame", "\"LeakyClient.fetch(LeakyClient.java:11)\""},
		{"sites[0].blame_where", "\"LeakyClient.java:11\""}, {"sites[0].blame_frame", "5"},
		{"sites[0].opened", "13500"}, {"sites[0].closed", "759"},
		{"sites[0].open", "12741"}, {"sites[0].close_wait", "11641"},
		{"sites[0].stuck", "11600"}, {"sites[0].retracted", "4"},
		{"sites[0].regretted", "0"}, {"sites[0].oldest_close_wait_ms", "7110000"},
		{"sites[0].causes.eof-ignored", "0"}, {"sites[0].causes.never-looked", "11641"},
		{"sites[0].causes.unread-data", "0"}, {"sites[0].causes.dead-but-open", "0"},
		{"sites[0].threads[0]", "\"main\""}, {"sites[0].threads[1]", "\"pool-1-thread-1\""},
		{"sites[0].thread_count", "12"}, {"sites[0].frames_cut", "false"},
		{"sites[1].causes.eof-ignored", "950"}, {"sites[1].causes.unread-data", "100"},
		{"sites[1].causes.dead-but-open", "13"}, {"sites[1].frames_cut", "true"},
		{"sites[1].kind", "\"native\""}, {"sites[1].blame_where", "null"},
		{"sites[2].kind", "null"}, {"sites[2].direction", "null"},
		{"sites[2].blame", "null"}, {"sites[2].blame_frame", "null"},
		{"sites[2].frames", "[]"}, {"sites[2].threads", "[]"},
		{"sites[3].direction", "\"in\""}, {"sites[3].verdict", "\"ok\""},
		{"sites[4].oldest_close_wait_ms", "null"});
	s = sample_reclaimed();
	struct sl_snapshot_site *ended = (struct sl_snapshot_site *)&s.sites[1];
	ended->regretted = 2;
	read_back(&s);
	ASSERT_VALUES({"sites[0].reclaimed", "0"}, {"sites[1].reclaimed", "14000"},
	              {"sites[1].regretted", "2"}, {"sites[1].stuck", "0"},
	              {"sites[1].verdict", "\"leak\""});
	s = sample_rich();
	struct sl_snapshot_site site = s.sites[2];
	site.verdict = SL_SITE_UNKNOWN;
	s.sites = &site;
	s.site_count = 1;
	read_back(&s);
	assert_value("sites[0].verdict", "\"unknown\"");
	assert_null(json_reader_value(&reader, "sites[1].verdict"));
}

static void test_frames(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	read_back(&s);
	ASSERT_VALUES(
		{"sites[0].frames[5].text", "\"LeakyClient.fetch(LeakyClient.java:11)\""},
		{"sites[0].frames[5].role", "\"application\""},
		{"sites[0].frames[5].class", "\"LeakyClient\""},
		{"sites[0].frames[5].method", "\"fetch\""}, {"sites[0].frames[5].function", "null"},
		{"sites[0].frames[5].file", "\"LeakyClient.java\""},
		{"sites[0].frames[5].line", "11"}, {"sites[0].frames[5].module", "null"},
		{"sites[0].frames[5].build_id", "null"}, {"sites[0].frames[5].offset", "null"},
		{"sites[0].frames[0].role", "\"runtime\""}, {"sites[0].frames[0].line", "null"},
		{"sites[0].frames[0].file", "null"}, {"sites[0].frames[2].role", "\"library\""},
		{"sites[1].frames[0].function", "\"connect\""},
		{"sites[1].frames[0].class", "null"},
		{"sites[1].frames[0].module", "\"/usr/lib/x86_64-linux-gnu/libc.so.6\""},
		{"sites[1].frames[0].build_id", "\"51657f818beb1ae70372216a99b7412b8a100a20\""},
		{"sites[1].frames[0].offset", "1104292"}, {"sites[1].frames[2].offset", "0"},
		{"sites[1].frames[2].text", "null"});
}

static void test_sockets_and_listeners(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	read_back(&s);
	ASSERT_VALUES({"sockets[0].fd", "57"}, {"sockets[0].cookie", "\"18446744073709551615\""},
	              {"sockets[0].direction", "\"out\""}, {"sockets[0].state", "\"CLOSE_WAIT\""},
	              {"sockets[0].local", "\"172.21.0.9:40001\""},
	              {"sockets[0].peer", "\"172.21.191.100:8080\""}, {"sockets[0].site", "7"},
	              {"sockets[0].age_ms", "7125000"}, {"sockets[0].close_wait_ms", "7110000"},
	              {"sockets[0].quiet_ms", "7110000"}, {"sockets[0].cause", "\"never-looked\""},
	              {"sockets[0].unread_bytes", "31"}, {"sockets[0].unsent_bytes", "0"},
	              {"sockets[0].eof_seen", "false"}, {"sockets[0].eof_site", "null"},
	              {"sockets[0].shared", "true"}, {"sockets[0].rung", "null"},
	              {"sockets[0].intended", "true"}, {"sockets[1].intended", "false"},
	              {"sockets[1].name", "null"}, {"sites[0].intended", "0"},
	              {"sites[0].name", "null"}, {"sockets[1].cookie", "\"9007199254740993\""},
	              {"sockets[1].direction", "\"in\""}, {"sockets[1].eof_seen", "true"},
	              {"sockets[1].shared", "false"}, {"sockets[1].close_wait_ms", "null"},
	              {"sockets[1].quiet_ms", "null"}, {"sockets[1].cause", "null"},
	              {"sockets[1].unread_bytes", "null"}, {"sockets[1].thread", "null"},
	              {"sockets[2].direction", "null"}, {"sockets[2].state", "null"},
	              {"sockets[2].local", "null"}, {"sockets[2].peer", "null"},
	              {"sockets[2].quiet_ms", "0"}, {"listeners[0].local", "\"0.0.0.0:8080\""},
	              {"listeners[0].fd", "12"}, {"listeners[0].backlog", "40"},
	              {"listeners[0].limit", "50"}, {"listeners[1].backlog", "2"});
	s = sample_reclaimed();
	struct sl_snapshot_socket *ended = (struct sl_snapshot_socket *)&s.sockets[0];
	static const char *const rungs[SL_RUNG_COUNT] = {"null", "\"probe\"", "\"shutdown\"",
	                                                 "\"neutralize\"", "\"close\""};
	for (int rung = SL_RUNG_NONE; rung < SL_RUNG_COUNT; rung++) {
		ended->rung = (enum sl_rung)rung;
		read_back(&s);
		ASSERT_VALUES({"sockets[0].rung", rungs[rung]}, {"sockets[1].rung", "null"});
	}
	s.socket_count = 0; /* detail=1, and none open */
	read_back(&s);
	assert_value("sockets", "[]");
}

static void test_hostile_strings_stay_strings(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.process.hostname = s.pressure = s.process.argv[2];
	read_back(&s);
	const char *wanted = "\"evil\\u001b[2J\\\"quoted\\\\\\u000d\\u000aWHERE\\u0009\\u009b31m "
			     "\\u202e\xef\xbf\xbd\xef\xbf\xbd(\\u007f\"";
	ASSERT_VALUES({"pressure", wanted}, {"process.hostname", wanted},
	              {"process.argv[2]", wanted}, {"sites[0].threads[2]", wanted},
	              {"sockets[0].thread", wanted});
	for (const char *at = got.text; *at; at++)
		assert_true((unsigned char)*at >= 0x20 || *at == '\n');
}

static int write_sample(struct sl_snapshot s, const char *path)
{
	FILE *file = fopen(path, "w");
	if (!file) {
		perror(path);
		return 1;
	}
	render_json(&got, &s, 512);
	fwrite(got.text, 1, got.length, file);
	return fclose(file) != 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return write_sample(sample_rich(), argv[1]) ||
		       (argc > 2 && write_sample(sample_healthy(), argv[2])) ||
		       (argc > 3 && write_sample(sample_reclaimed(), argv[3]));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_refuses_what_is_not_json),
		cmocka_unit_test(test_every_buffer_size_gives_the_same_bytes),
		cmocka_unit_test(test_head_and_process),
		cmocka_unit_test(test_options_are_the_effective_set),
		cmocka_unit_test(test_totals_and_limits),
		cmocka_unit_test(test_the_action_in_force),
		cmocka_unit_test(test_what_is_not_known_is_null),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_sockets_and_listeners),
		cmocka_unit_test(test_hostile_strings_stay_strings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
