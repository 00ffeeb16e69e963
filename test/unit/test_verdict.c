/* test_verdict.c - from evidence to one word. Histories, as a program makes them, are in test_evidence.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch/verdict.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MIN SL_VERDICT_LEAK_MIN
#define MANY SL_VERDICT_MANY

static void of_site(void **state)
{
	(void)state;
	const struct {
		struct sl_evidence evidence;
		enum sl_site_verdict verdict;
	} rows[] = {
		{{0}, SL_SITE_OK},
		{{.waiting = MIN - 1}, SL_SITE_OK},
		{{.waiting = MIN}, SL_SITE_UNKNOWN},
		{{.waiting = UINT64_MAX}, SL_SITE_UNKNOWN},
		{{.waiting = 1, .stuck = 1}, SL_SITE_UNKNOWN},
		/* Piled up: the same number is a leak, unless each took the place of one that the program closed. */
		{{.waiting = MIN, .stuck = MIN, .settled = MIN, .piled = MIN, .following = MIN},
	         SL_SITE_LEAK},
		{{.waiting = MIN, .stuck = MIN, .settled = MIN, .piled = MIN - 1, .following = MIN},
	         SL_SITE_UNKNOWN},
		{{.waiting = 30,
	          .stuck = 30,
	          .settled = 30,
	          .piled = 20,
	          .replaced = 11,
	          .following = 20},
	         SL_SITE_POOL},
		{{.waiting = 30,
	          .stuck = 30,
	          .settled = 30,
	          .piled = 20,
	          .replaced = 10,
	          .following = 20},
	         SL_SITE_LEAK},
		{{.waiting = 30,
	          .stuck = 30,
	          .settled = 30,
	          .piled = 20,
	          .replaced = 500,
	          .following = 20,
	          .records = SL_VERDICT_RECORDS},
	         SL_SITE_LEAK},
		/* Out of ports: what lies there, and is not known to be closed late, has used them up. */
		{{.waiting = 70, .stuck = MIN, .following = MIN, .is_pressing = true},
	         SL_SITE_LEAK},
		{{.waiting = 70, .stuck = MIN, .following = MIN}, SL_SITE_UNKNOWN},
		{{.waiting = 70, .stuck = MIN - 1, .following = MIN, .is_pressing = true},
	         SL_SITE_UNKNOWN},
		{{.waiting = 70, .stuck = MIN, .following = MIN - 1, .is_pressing = true},
	         SL_SITE_BURST},
		{{.waiting = 70,
	          .stuck = MIN,
	          .following = MIN,
	          .retracted = 3,
	          .is_pressing = true},
	         SL_SITE_SLOW},
		/* So many that it does not matter. */
		{{.waiting = MANY, .stuck = MANY, .settled = MANY}, SL_SITE_LEAK},
		{{.waiting = MANY, .stuck = MANY, .settled = MANY - 1}, SL_SITE_BURST},
		{{.waiting = MANY, .stuck = MANY, .settled = MANY, .retracted = MANY},
	         SL_SITE_SLOW},
		{{.waiting = MANY, .stuck = MANY, .settled = MANY, .reused = MANY}, SL_SITE_POOL},
		{{.waiting = 4 * MANY, .stuck = 4 * MANY, .settled = 4 * MANY, .reused = MANY * 4},
	         SL_SITE_LEAK},
		/* Opened together: a pool's have been used for a while. */
		{{.waiting = MIN, .stuck = MIN, .settled = MIN}, SL_SITE_BURST},
		{{.waiting = MIN, .stuck = MIN, .settled = MIN, .is_apart = true}, SL_SITE_UNKNOWN},
		{{.waiting = MIN, .stuck = MIN, .following = MIN}, SL_SITE_UNKNOWN},
		{{.waiting = MIN - 1, .stuck = MIN - 1}, SL_SITE_UNKNOWN},
		{{.waiting = 4, .stuck = 4, .reused = 3}, SL_SITE_POOL},
		{{.waiting = 4, .stuck = 4, .reused = 2}, SL_SITE_UNKNOWN},
		{{.waiting = 40, .stuck = 40, .reused = 40, .following = MIN}, SL_SITE_UNKNOWN},
		/* Closed on the way to new ones. */
		{{.waiting = 20, .stuck = 20, .settled = 20, .retracted = 20, .exchanged = 10},
	         SL_SITE_POOL},
		{{.waiting = 20, .stuck = 20, .settled = 20, .retracted = 20, .exchanged = 9},
	         SL_SITE_SLOW},
		{{.waiting = 20, .stuck = 20, .settled = 20, .retracted = 2, .exchanged = 2},
	         SL_SITE_BURST},
		{{.waiting = 20, .stuck = 20, .following = MIN, .retracted = 20, .exchanged = 20},
	         SL_SITE_SLOW},
		{{.waiting = 1, .stuck = 1, .retracted = 20, .exchanged = 20},
	         SL_SITE_SLOW}, /* one at a time */
		/* Closed late, usually. */
		{{.waiting = 20, .stuck = 20, .following = 20, .retracted = 3}, SL_SITE_SLOW},
		{{.waiting = 20, .stuck = 20, .following = 20, .retracted = 2}, SL_SITE_UNKNOWN},
		{{.waiting = 20, .stuck = 20, .settled = 4, .following = 20, .retracted = 3},
	         SL_SITE_UNKNOWN},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (sl_verdict_of_site(&rows[i].evidence) != rows[i].verdict)
			fail_msg("row %zu: %d, not %d", i, sl_verdict_of_site(&rows[i].evidence),
			         rows[i].verdict);
}

static void of_process(void **state)
{
	(void)state;
	static const enum sl_verdict alone[SL_SITE_VERDICT_COUNT] = {
		[SL_SITE_OK] = SL_VERDICT_OK,     [SL_SITE_SLOW] = SL_VERDICT_OK,
		[SL_SITE_POOL] = SL_VERDICT_POOL, [SL_SITE_BURST] = SL_VERDICT_BURST,
		[SL_SITE_LEAK] = SL_VERDICT_LEAK, [SL_SITE_UNKNOWN] = SL_VERDICT_UNKNOWN,
	};
	for (int site = 0; site < SL_SITE_VERDICT_COUNT; site++) {
		enum sl_site_verdict of = (enum sl_site_verdict)site;
		assert_int_equal(sl_verdict_of_process(SL_VERDICT_OK, of), alone[site]);
		/* The worst site has spoken; but a leak is one wherever it is. */
		assert_int_equal(sl_verdict_of_process(SL_VERDICT_POOL, of),
		                 of == SL_SITE_LEAK ? SL_VERDICT_LEAK : SL_VERDICT_POOL);
		assert_int_equal(sl_verdict_of_process(SL_VERDICT_LEAK, of), SL_VERDICT_LEAK);
	}
	assert_int_equal(sl_verdict_of_process(SL_VERDICT_OK, SL_SITE_VERDICT_COUNT),
	                 SL_VERDICT_UNKNOWN);
}

static void from_outside(void **state)
{
	(void)state;
	assert_int_equal(sl_verdict_from_outside(0, 0), SL_VERDICT_OK);
	assert_int_equal(sl_verdict_from_outside(MIN - 1, 0), SL_VERDICT_OK);
	assert_int_equal(sl_verdict_from_outside(MIN, 0), SL_VERDICT_UNKNOWN);
	assert_int_equal(sl_verdict_from_outside(1, 1), SL_VERDICT_UNKNOWN);
	assert_int_equal(sl_verdict_from_outside(MANY, MANY - 1), SL_VERDICT_UNKNOWN);
	assert_int_equal(sl_verdict_from_outside(MANY, MANY), SL_VERDICT_LEAK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_site),
		cmocka_unit_test(of_process),
		cmocka_unit_test(from_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
