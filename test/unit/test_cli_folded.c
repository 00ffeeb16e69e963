/* Folded stacks: a line a site, outermost frame first, and no name that makes a line or a frame of its own. */
#include "cli/format_folded.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formatted.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct formatted out;

static void fold(const struct sl_snapshot *s, enum sl_measure measure)
{
	formatted_start(&out);
	sl_format_folded(out.to, s, measure);
	formatted_end(&out);
}

/* The sum of what stands behind the last space of each line. */
static unsigned long long sum(void)
{
	unsigned long long all = 0;
	char *rest = out.text;
	for (char *line; (line = strsep(&rest, "\n")) && *line;) {
		char *count = strrchr(line, ' ');
		char *end;
		assert_non_null(count);
		all += strtoull(count + 1, &end, 10);
		assert_true(end > count + 1 && *end == '\0');
	}
	return all;
}

static void test_stuck_by_default(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_rich();
	fold(&s, SL_MEASURE_AUTO);
	const char *first =
		"java LeakyClient;LeakyClient.main(LeakyClient.java:24);LeakyClient.fetch("
		"LeakyClient.java:11);org.apache.http";
	assert_memory_equal(out.text, first, strlen(first));
	assert_non_null(
		strstr(out.text, "java.net.PlainSocketImpl.socketCreate(Native Method) 11600\n"));
	assert_int_equal(formatted_count(&out, "\n"), 3); /* sites with none stuck have no line */
	assert_int_equal(sum(), s.totals.stuck);
	formatted_free(&out);
}

static void test_open_where_nothing_is_stuck(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_reclaimed();
	fold(&s, SL_MEASURE_AUTO);
	assert_int_equal(sum(), s.totals.open);
	formatted_free(&out);
	fold(&s, SL_MEASURE_STUCK);
	assert_int_equal(out.length, 0);
	formatted_free(&out);
}

static void test_each_measure_sums_to_its_total(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_rich();
	fold(&s, SL_MEASURE_CLOSE_WAIT);
	assert_int_equal(sum(), s.totals.close_wait);
	formatted_free(&out);
	fold(&s, SL_MEASURE_OPEN);
	assert_int_equal(sum(), s.totals.open);
	formatted_free(&out);
}

static void test_what_has_no_site_is_told(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.site_count = 1;
	fold(&s, SL_MEASURE_STUCK);
	assert_non_null(strstr(out.text, "java LeakyClient;[other sites] 1022\n"));
	formatted_free(&out);
	s.site_count = 0;
	s.no_sites = "the library is not in this process";
	fold(&s, SL_MEASURE_STUCK);
	assert_non_null(strstr(out.text, "java LeakyClient;[not known: seen from outside] "));
	formatted_free(&out);
}

static void test_cut_and_missing_stacks_are_told(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_rich();
	fold(&s, SL_MEASURE_STUCK);
	assert_non_null(strstr(out.text, "java LeakyClient;[outer frames cut];"));
	assert_non_null(strstr(
		out.text, "java LeakyClient;[no stack: adopted, or none could be walked] 22\n"));
	formatted_free(&out);
}

static void test_names_stay_in_their_frame(void **state)
{
	(void)state;
	static const struct sl_frame frame = {.text = "a;b c\nd 7\n\xff"};
	static const struct sl_frame *const frames[] = {&frame};
	const struct sl_snapshot_site site = {.open = 3, .frames = frames, .frame_count = 1};
	struct sl_snapshot s = sample_healthy();
	s.sites = &site;
	s.site_count = 1;
	s.totals.open = 3;
	s.process.name = NULL;
	fold(&s, SL_MEASURE_OPEN);
	assert_string_equal(out.text, "?;a:b c\\x0ad 7\\x0a\\xff 3\n");
	formatted_free(&out);
}

static void test_measures_by_word(void **state)
{
	(void)state;
	enum sl_measure measure;
	for (int i = 0; i <= SL_MEASURE_AUTO; i++) {
		assert_true(sl_measure_parse(sl_measure_word((enum sl_measure)i), &measure));
		assert_int_equal(measure, i);
	}
	assert_false(sl_measure_parse("opened", &measure));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stuck_by_default),
		cmocka_unit_test(test_open_where_nothing_is_stuck),
		cmocka_unit_test(test_each_measure_sums_to_its_total),
		cmocka_unit_test(test_what_has_no_site_is_told),
		cmocka_unit_test(test_cut_and_missing_stacks_are_told),
		cmocka_unit_test(test_names_stay_in_their_frame),
		cmocka_unit_test(test_measures_by_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
