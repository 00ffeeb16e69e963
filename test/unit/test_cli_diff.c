/* Two snapshots compared: what is the same site and peer, what grew, in which order, and what is said of the pair. */
#include "cli/diff.h"

#include <stdint.h>
#include <string.h>

#include "cli/diff_print.h"
#include "formatted.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct sl_diff diff;
static struct formatted out;

static void print_text(const struct sl_snapshot *before, const struct sl_snapshot *after)
{
	sl_diff_make(&diff, before, after);
	formatted_start(&out);
	sl_diff_print_text(out.to, &diff);
	formatted_end(&out);
	sl_diff_free(&diff);
}

static void assert_has(const char *text)
{
	if (!strstr(out.text, text))
		fail_msg("lacks: %s\n%s", text, out.text);
}

static const struct sl_frame frames[] = {{.text = "connect"}, {.text = "a"}, {.text = "b"}};
static const struct sl_frame *const stack_a[] = {&frames[0], &frames[1]};
static const struct sl_frame *const stack_b[] = {&frames[0], &frames[2]};

static struct sl_snapshot with_sites(const struct sl_snapshot_site *sites, uint32_t n)
{
	struct sl_snapshot s = sample_healthy();
	s.sites = sites;
	s.site_count = n;
	return s;
}

#define NATIVE(id_, stack_, stuck_, open_)                                                  \
	{                                                                                   \
		.id = (id_), .kind = SL_STACK_NATIVE, .frames = (stack_), .frame_count = 2, \
		.stuck = (stuck_), .open = (open_)                                          \
	}
#define BLAMED(id_, stack_, blame_, stuck_, open_)                                          \
	{                                                                                   \
		.id = (id_), .kind = SL_STACK_NATIVE, .frames = (stack_), .frame_count = 2, \
		.blame = (blame_), .stuck = (stuck_), .open = (open_)                       \
	}

static void test_sites_are_matched_without_their_numbers(void **state)
{
	(void)state;
	const struct sl_snapshot_site before[] = {NATIVE(1, stack_a, 5, 9),
	                                          NATIVE(2, stack_b, 1, 1)};
	const struct sl_snapshot_site after[] = {NATIVE(7, stack_b, 8, 8),
	                                         NATIVE(9, stack_a, 6, 9)};
	const struct sl_snapshot a = with_sites(before, 2), b = with_sites(after, 2);
	sl_diff_make(&diff, &a, &b);
	assert_int_equal(diff.sites.count, 2);
	assert_int_equal(diff.sites.rows[0].site->id, 7);
	assert_int_equal(diff.sites.rows[0].before.stuck, 1);
	assert_int_equal(diff.sites.rows[0].after.stuck, 8);
	assert_int_equal(diff.sites.rows[1].site->id, 9);
	assert_string_equal(sl_diff_word(&diff.sites.rows[1]), "grew");
	sl_diff_free(&diff);
}

static void test_a_line_of_code_is_one_row(void **state)
{
	(void)state;
	const struct sl_snapshot_site before[] = {BLAMED(1, stack_a, "f (f.c:1)", 2, 2)};
	const struct sl_snapshot_site after[] = {BLAMED(1, stack_a, "f (f.c:1)", 2, 2),
	                                         BLAMED(2, stack_b, "f (f.c:1)", 3, 3)};
	const struct sl_snapshot a = with_sites(before, 1), b = with_sites(after, 2);
	sl_diff_make(&diff, &a, &b);
	assert_int_equal(diff.sites.count, 1);
	assert_int_equal(diff.sites.rows[0].after.stuck, 5);
	assert_string_equal(sl_diff_word(&diff.sites.rows[0]), "grew");
	sl_diff_free(&diff);
}

static void test_kinds_are_not_mixed(void **state)
{
	(void)state;
	struct sl_snapshot_site native = BLAMED(1, stack_a, "f", 2, 2), java = native;
	java.kind = SL_STACK_JAVA;
	const struct sl_snapshot a = with_sites(&native, 1), b = with_sites(&java, 1);
	sl_diff_make(&diff, &a, &b);
	assert_int_equal(diff.sites.count, 2);
	assert_string_equal(sl_diff_word(&diff.sites.rows[0]), "new");
	assert_string_equal(sl_diff_word(&diff.sites.rows[1]), "gone");
	sl_diff_free(&diff);
}

static void test_words_and_order(void **state)
{
	(void)state;
	const struct sl_snapshot_site before[] = {
		BLAMED(1, stack_a, "same", 50, 50), BLAMED(2, stack_a, "gone", 3, 3),
		BLAMED(3, stack_a, "less", 9, 20), BLAMED(4, stack_a, "more open", 1, 1)};
	const struct sl_snapshot_site after[] = {
		BLAMED(1, stack_a, "same", 50, 50), BLAMED(3, stack_a, "less", 8, 90),
		BLAMED(4, stack_a, "more open", 1, 2), BLAMED(5, stack_a, "new", 4, 4)};
	static const char *const order[][2] = {{"new", "new"},
	                                       {"more open", "grew"},
	                                       {"same", "same"},
	                                       {"less", "shrank"},
	                                       {"gone", "gone"}};
	const struct sl_snapshot a = with_sites(before, 4), b = with_sites(after, 4);
	sl_diff_make(&diff, &a, &b);
	assert_int_equal(diff.sites.count, 5);
	for (uint32_t i = 0; i < 5; i++) {
		assert_string_equal(diff.sites.rows[i].site->blame, order[i][0]);
		assert_string_equal(sl_diff_word(&diff.sites.rows[i]), order[i][1]);
	}
	sl_diff_free(&diff);
	print_text(&a, &b);
	assert_has("SITES, the most growth first\n");
	assert_has("  1 did not change\n");
	assert_null(strstr(out.text, "same\n"));
	formatted_free(&out);
}

static void test_peers(void **state)
{
	(void)state;
	const struct sl_snapshot a = sample_rich();
	struct sl_snapshot_peer peers[6];
	struct sl_snapshot b = a;
	memcpy(peers, a.peers, 5 * sizeof(peers[0]));
	peers[0].stuck += 10;
	peers[5] = peers[3];
	peers[5].direction =
		SL_DIRECTION_OUT; /* another than the client of the same address and port */
	b.peers = peers;
	b.peer_count = 6;
	print_text(&a, &b);
	assert_has("grew  172.21.191.100:8080\n");
	assert_has("new   10.0.0.7:8080\n");
	assert_has("SITES: none of 5 changed\n");
	formatted_free(&out);
}

static void test_totals(void **state)
{
	(void)state;
	const struct sl_snapshot a = sample_rich();
	struct sl_snapshot b = a;
	b.taken_wall_ms += 30000;
	b.totals.stuck += 60;
	b.limits.nofile_used = SL_UNKNOWN;
	print_text(&a, &b);
	assert_has("30.0s later. The same process.\n");
	assert_has("  stuck           12622  12682     +60    +120.0\n");
	assert_has("  fds             14900      ?       ?          \n");
	assert_has("  open            14788  14788       =          \n");
	formatted_free(&out);
}

static void test_wrong_way_round_is_said(void **state)
{
	(void)state;
	const struct sl_snapshot a = sample_rich();
	struct sl_snapshot b = a;
	b.taken_wall_ms -= 60000;
	print_text(&a, &b);
	assert_has("WRONG WAY ROUND? The second was taken 1min before the first.\n");
	formatted_free(&out);
}

static void test_different_processes_are_said(void **state)
{
	(void)state;
	const struct sl_snapshot a = sample_rich();
	struct sl_snapshot b = a;
	b.process.started_wall_ms += 1500; /* computed from an age that is rounded */
	sl_diff_make(&diff, &a, &b);
	assert_true(diff.is_same_process);
	sl_diff_free(&diff);
	b.process.started_wall_ms += 10000;
	print_text(&a, &b);
	assert_has(" Different processes.\n");
	formatted_free(&out);
	b = a;
	b.process.hostname = NULL;
	sl_diff_make(&diff, &a, &b);
	assert_false(diff.is_same_process);
	sl_diff_free(&diff);
}

static void test_without_sites(void **state)
{
	(void)state;
	const struct sl_snapshot a = sample_rich();
	struct sl_snapshot b = a;
	b.no_sites = "the library is not\nin it";
	b.site_count = 0;
	print_text(&a, &b);
	assert_has("SITES: not known: the library is not\\x0ain it\n");
	formatted_free(&out);
}

static void test_json(void **state)
{
	(void)state;
	const struct sl_snapshot a = sample_rich();
	struct sl_snapshot b = a;
	b.totals.stuck -= 2;
	sl_diff_make(&diff, &a, &b);
	formatted_start(&out);
	sl_diff_print_json(out.to, &diff);
	formatted_end(&out);
	assert_has("{\"schema\":\"sockleak-diff/1\",\"same_process\":true,\"elapsed_ms\":0,");
	assert_has("\"stuck\":{\"before\":12622,\"after\":12620,\"growth\":-2}");
	assert_int_equal(formatted_count(&out, "\"change\":\"same\""),
	                 10); /* all of them are told */
	formatted_free(&out);
	sl_diff_free(&diff);
}

static void test_many_rows_are_a_number(void **state)
{
	(void)state;
	struct sl_snapshot_site sites[30];
	char blames[30][8];
	for (uint32_t i = 0; i < 30; i++) {
		(void)snprintf(blames[i], sizeof(blames[i]), "f%u", i);
		sites[i] = (struct sl_snapshot_site)BLAMED(i, stack_a, blames[i], 1, 1);
	}
	const struct sl_snapshot a = with_sites(NULL, 0), b = with_sites(sites, 30);
	print_text(&a, &b);
	assert_int_equal(formatted_count(&out, "  new  "), SL_DIFF_ROWS);
	assert_has("  and 10 more that changed: --json has all\n");
	formatted_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sites_are_matched_without_their_numbers),
		cmocka_unit_test(test_a_line_of_code_is_one_row),
		cmocka_unit_test(test_kinds_are_not_mixed),
		cmocka_unit_test(test_words_and_order),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_totals),
		cmocka_unit_test(test_wrong_way_round_is_said),
		cmocka_unit_test(test_different_processes_are_said),
		cmocka_unit_test(test_without_sites),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_many_rows_are_a_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
