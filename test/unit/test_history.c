/* test_history.c - a few samples of a count, and its slope. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "watch/history.h"

#define START 5000000u
#define GAP SL_HISTORY_GAP_MS

static int64_t slope(const struct sl_history *history, uint64_t now_ms, uint32_t value)
{
	int64_t per_min = INT64_MIN;
	assert_true(sl_history_per_min(history, now_ms, value, &per_min));
	return per_min;
}

static void nothing_is_known_at_first(void **state)
{
	(void)state;
	struct sl_history history = {0};
	int64_t per_min = 4711;
	assert_false(sl_history_per_min(&history, START, 7, &per_min));
	sl_history_add(&history, START, 7);
	assert_false(sl_history_per_min(&history, START, 9, &per_min));
	assert_false(sl_history_per_min(&history, START + SL_HISTORY_LEAST_MS - 1, 9, &per_min));
	assert_int_equal(per_min, 4711);
	assert_int_equal(slope(&history, START + SL_HISTORY_LEAST_MS, 9), 120);
}

static void samples_keep_their_distance(void **state)
{
	(void)state;
	struct sl_history history = {0};
	sl_history_add(&history, START, 1);
	sl_history_add(&history, START + GAP - 1, 1000);
	assert_int_equal(history.count, 1);
	sl_history_add(&history, START + GAP, 3);
	assert_int_equal(history.count, 2);
	/* From the first sample; the one that came too soon says nothing. */
	assert_int_equal(slope(&history, START + GAP, 3), 2 * 60000 / (int)GAP);
}

static void slopes(void **state)
{
	(void)state;
	struct sl_history history = {0};
	sl_history_add(&history, START, 1000);
	assert_int_equal(slope(&history, START + 60000, 1000), 0);
	assert_int_equal(slope(&history, START + 60000, 1007), 7);
	assert_int_equal(slope(&history, START + 60000, 400), -600);
	assert_int_equal(slope(&history, START + 30000, 1007), 14);
	assert_int_equal(slope(&history, START + 3600000, 0), -16);
	memset(&history, 0, sizeof(history));
	sl_history_add(&history, 0, 0);
	assert_int_equal(slope(&history, 1000, UINT32_MAX), (int64_t)UINT32_MAX * 60);
	memset(&history, 0, sizeof(history));
	sl_history_add(&history, 0, UINT32_MAX);
	assert_int_equal(slope(&history, 1000, 0), -(int64_t)UINT32_MAX * 60);
}

/* Two minutes are kept: what was before that is forgotten. */
static void the_window_moves(void **state)
{
	(void)state;
	struct sl_history history = {0};
	uint32_t value = 0;
	uint64_t at_ms = START;
	for (unsigned i = 0; i < 3 * SL_HISTORY_SAMPLES + 5; i++, at_ms += GAP) {
		sl_history_add(&history, at_ms, value);
		/* 100 a gap at first, then nothing more. */
		value += i < SL_HISTORY_SAMPLES ? 100 : 0;
		if (i == SL_HISTORY_SAMPLES - 1)
			assert_int_equal(slope(&history, at_ms + GAP, value), 600);
	}
	assert_int_equal(slope(&history, at_ms, value), 0);
	/* The oldest kept sample is exactly that many gaps old. */
	assert_int_equal(slope(&history, at_ms, value + SL_HISTORY_SAMPLES), 60000 / (int)GAP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_at_first),
		cmocka_unit_test(samples_keep_their_distance),
		cmocka_unit_test(slopes),
		cmocka_unit_test(the_window_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
