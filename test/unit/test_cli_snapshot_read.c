/* Snapshots read back: what is rendered from them is what the library rendered; what is no snapshot is refused in words. */
#include "cli/snapshot_read.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rendered.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct rendered first, second;
static struct sl_arena arena = SL_ARENA(1 << 20, 0);
static struct sl_snapshot_said said;

static void assert_comes_back_saying(const struct sl_snapshot *s, const char *note)
{
	struct sl_snapshot back;
	render_json(&first, s, 4096);
	if (sl_snapshot_read_memory(&arena, first.text, first.length, &back, &said))
		fail_msg("%s", said.error);
	assert_string_equal(said.note, note);
	render_json(&second, &back, 4096);
	assert_string_equal(first.text, second.text);
	sl_arena_free(&arena);
}

static void assert_comes_back(const struct sl_snapshot *s)
{
	assert_comes_back_saying(s, "");
}

static void test_samples_come_back(void **state)
{
	(void)state;
	struct sl_snapshot rich = sample_rich(), healthy = sample_healthy(),
			   reclaimed = sample_reclaimed(), many = sample_many(20);
	assert_comes_back(&rich);
	assert_comes_back(&healthy);
	assert_comes_back(&reclaimed);
	assert_comes_back(&many);
}

static void test_external_snapshot_comes_back(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	const struct sl_snapshot_option none = {0};
	s.mode = SL_MODE_EXTERNAL;
	s.no_sites = "the library is not in it";
	s.options = &none;
	s.option_count = 0;
	s.version = "0.9.12";
	assert_comes_back_saying(&s, "written by version 0.9.12, older than this command (1.0.0): "
	                             "what that did not tell is not known");
	assert_non_null(strstr(first.text, "\"sites\":null"));
	assert_non_null(strstr(first.text, "\"options\":{}"));
	assert_null(strstr(first.text, "\"site\":0"));
}

static void test_what_is_elsewhere_comes_back(void **state)
{
	(void)state;
	static struct sl_snapshot_elsewhere rows[SL_ELSEWHERE_COUNT];
	static struct sl_snapshot_peer peer;
	struct sl_snapshot s = sample_rich();
	for (int kind = 0; kind < SL_ELSEWHERE_COUNT; kind++)
		rows[kind] = (struct sl_snapshot_elsewhere){.kind = (enum sl_elsewhere_kind)kind,
		                                            .count = 5,
		                                            .oldest_ms = kind ? kind : SL_UNKNOWN,
		                                            .limit = 100,
		                                            .local = kind ? NULL : "0.0.0.0:80",
		                                            .peer = kind ? "10.0.0.1:80" : NULL,
		                                            .at_peer = kind ? 4 : 0,
		                                            .site = kind % 2 ? 7 : SL_UNKNOWN,
		                                            .at_site = kind % 2 ? 3 : 0,
		                                            .blame = "main (a.c:1)",
		                                            .is_stalled = kind == 0,
		                                            .is_notable = kind % 2};
	peer = s.peers[0];
	peer.ports = (struct sl_snapshot_ports){.source = "10.0.0.9",
	                                        .sources = 2,
	                                        .held = 12,
	                                        .used = 17,
	                                        .time_wait = 4,
	                                        .is_exact = true,
	                                        .earliest_ms = 1000,
	                                        .latest_ms = SL_UNKNOWN};
	s.peers = &peer;
	s.peer_count = 1;
	s.elsewhere = rows;
	s.elsewhere_count = SL_ELSEWHERE_COUNT;
	s.verdict = SL_VERDICT_NOT_ACCEPTING;
	s.limits.nofile_hard = 1048576;
	s.limits.fds_earliest_ms = 5;
	s.limits.fds_latest_ms = SL_UNKNOWN;
	s.limits.ports_reserved = 3;
	s.limits.ports_taken = SL_UNKNOWN;
	s.limits.ports_not_counted = "sock_diag: errno 93";
	assert_comes_back(&s);
	assert_non_null(strstr(first.text, "\"verdict\":\"NOT_ACCEPTING\""));
	assert_non_null(strstr(first.text, "\"advice\":\"the program is not calling accept()\""));
}

/* The text too, where no name holds bytes that JSON cannot: those are U+FFFD for good. */
static void test_text_is_the_same(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich(), again, once;
	render_json(&first, &s, 4096);
	assert_int_equal(sl_snapshot_read_memory(&arena, first.text, first.length, &once, &said),
	                 0);
	render_json(&first, &once, 4096);
	assert_int_equal(sl_snapshot_read_memory(&arena, first.text, first.length, &again, &said),
	                 0);
	render_text(&first, &once, SL_TEXT_FULL, false, 4096);
	render_text(&second, &again, SL_TEXT_FULL, false, 4096);
	assert_string_equal(first.text, second.text);

	struct sl_snapshot healthy = sample_healthy();
	render_text(&first, &healthy, SL_TEXT_FULL, true, 4096);
	render_json(&second, &healthy, 4096);
	assert_int_equal(sl_snapshot_read_memory(&arena, second.text, second.length, &again, &said),
	                 0);
	render_text(&second, &again, SL_TEXT_FULL, true, 4096);
	assert_string_equal(first.text, second.text);
	sl_arena_free(&arena);
}

/* Every beginning of a snapshot is refused, and said to be cut. */
static void test_half_written_is_refused(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy(), back;
	render_json(&first, &s, 4096);
	for (size_t n = 0; n < first.length - 2; n += 7) {
		assert_int_equal(sl_snapshot_read_memory(&arena, first.text, n, &back, &said),
		                 -EBADMSG);
		if (n % 5 == 0 && !strstr(said.error, "ends in the middle"))
			assert_non_null(strstr(said.error, "JSON"));
	}
	assert_int_equal(sl_snapshot_read_memory(&arena, first.text, 0, &back, &said), -EBADMSG);
	assert_non_null(strstr(said.error, "ends in the middle"));
	sl_arena_free(&arena);
}

/* The healthy sample with one piece of its text exchanged. */
static int read_changed(const char *from, const char *to)
{
	struct sl_snapshot s = sample_healthy(), back;
	render_json(&first, &s, 4096);
	char *at = strstr(first.text, from);
	if (!at)
		fail_msg("the sample has no %s", from);
	(void)snprintf(second.text, sizeof(second.text), "%.*s%s%s", (int)(at - first.text),
	               first.text, to, at + strlen(from));
	int error = sl_snapshot_read_memory(&arena, second.text, strlen(second.text), &back, &said);
	sl_arena_free(&arena);
	return error;
}

static void test_refusals_name_what_is_wrong(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to, *said;
	} cases[] = {
		{"sockleak-snapshot/1", "sockleak-snapshot/3", "sockleak-snapshot/3"},
		{"sockleak-snapshot/1", "sockleak-snapshot/", "this command reads"},
		{"sockleak-snapshot/1", "heap-dump/1", "no sockleak snapshot"},
		{"\"schema\"", "\"scheme\"", "no member \"schema\""},
		{"\"totals\":{", "\"totals\":[],\"x\":{", "totals: is no object"},
		{"\"totals\"", "\"total\"", "totals: is missing"},
		{"\"opened\":", "\"opened\":-1,\"x\":", "totals.opened: is below 0"},
		{"\"opened\":", "\"opened\":1e300,\"x\":", "totals.opened: is no whole number"},
		{"\"opened\":", "\"opened\":9007199254740993,\"x\":",
	         "totals.opened: is out of range"},
		{"\"taken_at\":\"", "\"taken_at\":\"yesterday", "taken_at"},
		{"\"pid\":", "\"pid\":-4,\"x\":", "process.pid"},
		{"\"peers\":[", "\"peers\":{},\"x\":[", "peers: is no array"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_changed(cases[i].from, cases[i].to), -EBADMSG);
		if (!strstr(said.error, cases[i].said))
			fail_msg("%s: said %s", cases[i].to, said.error);
	}
}

static void test_newer_is_read_and_said(void **state)
{
	(void)state;
	assert_int_equal(read_changed("sockleak-snapshot/1", "sockleak-snapshot/2"), 0);
	assert_non_null(strstr(said.note, "newer"));
	assert_int_equal(read_changed("\"version\":\"1", "\"version\":\"7"), 0);
	assert_non_null(strstr(said.note, "newer"));
	assert_int_equal(read_changed("\"verdict\":\"OK\"", "\"verdict\":\"POOL\",\"more\":{}"), 0);
	assert_string_equal(said.note, "");
}

static void test_files(void **state)
{
	(void)state;
	struct sl_snapshot back;
	assert_int_equal(sl_snapshot_read_file(&arena, "/nowhere/at/all", &back, &said), -ENOENT);
	assert_int_equal(sl_snapshot_read_file(&arena, "/", &back, &said), -EISDIR);
	assert_int_equal(sl_snapshot_read_file(&arena, "/dev/null", &back, &said), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples_come_back),
		cmocka_unit_test(test_external_snapshot_comes_back),
		cmocka_unit_test(test_what_is_elsewhere_comes_back),
		cmocka_unit_test(test_text_is_the_same),
		cmocka_unit_test(test_half_written_is_refused),
		cmocka_unit_test(test_refusals_name_what_is_wrong),
		cmocka_unit_test(test_newer_is_read_and_said),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
