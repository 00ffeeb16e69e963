/* test_verdict.c - from counts to one word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch/verdict.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void of_site(void **state)
{
	(void)state;
	const struct {
		uint64_t close_wait, stuck;
		enum sl_site_verdict verdict;
	} rows[] = {
		{0, 0, SL_SITE_OK},
		{SL_VERDICT_LEAK_MIN - 1, 0, SL_SITE_OK},
		{SL_VERDICT_LEAK_MIN, 0, SL_SITE_UNKNOWN},
		{UINT64_MAX, 0, SL_SITE_UNKNOWN},
		{1, 1, SL_SITE_UNKNOWN},
		{0, 1, SL_SITE_UNKNOWN}, /* stuck may all be dead-but-open */
		{100, SL_VERDICT_LEAK_MIN - 1, SL_SITE_UNKNOWN},
		{SL_VERDICT_LEAK_MIN, SL_VERDICT_LEAK_MIN, SL_SITE_LEAK},
		{0, SL_VERDICT_LEAK_MIN, SL_SITE_LEAK},
		{UINT64_MAX, UINT64_MAX, SL_SITE_LEAK},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(sl_verdict_of_site(rows[i].close_wait, rows[i].stuck),
		                 rows[i].verdict);
}

static void of_process(void **state)
{
	(void)state;
	static const enum sl_verdict worst[SL_VERDICT_COUNT][SL_SITE_VERDICT_COUNT] = {
		[SL_VERDICT_OK] = {[SL_SITE_OK] = SL_VERDICT_OK,
	                           [SL_SITE_UNKNOWN] = SL_VERDICT_UNKNOWN,
	                           [SL_SITE_LEAK] = SL_VERDICT_LEAK},
		[SL_VERDICT_UNKNOWN] = {[SL_SITE_OK] = SL_VERDICT_UNKNOWN,
	                                [SL_SITE_UNKNOWN] = SL_VERDICT_UNKNOWN,
	                                [SL_SITE_LEAK] = SL_VERDICT_LEAK},
		[SL_VERDICT_LEAK] = {[SL_SITE_OK] = SL_VERDICT_LEAK,
	                             [SL_SITE_UNKNOWN] = SL_VERDICT_LEAK,
	                             [SL_SITE_LEAK] = SL_VERDICT_LEAK},
	};
	for (int so_far = 0; so_far < SL_VERDICT_COUNT; so_far++) {
		for (int site = 0; site < SL_SITE_VERDICT_COUNT; site++)
			assert_int_equal(sl_verdict_of_process((enum sl_verdict)so_far,
			                                       (enum sl_site_verdict)site),
			                 worst[so_far][site]);
	}
}

/* A word this version does not know is not "fine". */
static void of_process_unheard_of(void **state)
{
	(void)state;
	assert_int_equal(sl_verdict_of_process(SL_VERDICT_OK, SL_SITE_VERDICT_COUNT),
	                 SL_VERDICT_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_site),
		cmocka_unit_test(of_process),
		cmocka_unit_test(of_process_unheard_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
