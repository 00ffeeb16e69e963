/* test_series.c - when a count reaches its limit, on recorded series, and how honest the answer is about its spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "watch/series.h"

#define START 500000000u
#define GAP SL_SERIES_GAP_MS
#define HOUR_MS 3600000
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct sl_series series;

static int set_up(void **state)
{
	(void)state;
	memset(&series, 0, sizeof(series));
	return 0;
}

/* One sample each gap; the last of them is "now". */
static struct sl_forecast foresee(const uint32_t *values, uint32_t n, uint64_t left)
{
	struct sl_forecast forecast;
	for (uint32_t i = 0; i + 1 < n; i++)
		sl_series_add(&series, START + (uint64_t)i * GAP, values[i]);
	assert_true(sl_series_foresee(&series, START + (uint64_t)(n - 1) * GAP, values[n - 1], left,
	                              &forecast));
	return forecast;
}

#define FORESEE(left, ...) \
	foresee((const uint32_t[]){__VA_ARGS__}, COUNT_OF(((const uint32_t[]){__VA_ARGS__})), left)

static void nothing_is_known_at_first(void **state)
{
	(void)state;
	struct sl_forecast forecast;
	assert_false(sl_series_foresee(&series, START, 5, 100, &forecast));
	sl_series_add(&series, START, 5);
	assert_false(sl_series_foresee(&series, START + 999, 50, 100, &forecast));
	assert_true(sl_series_foresee(&series, START + 1000, 15, 100, &forecast));
	assert_int_equal(forecast.in_ms, 10000);
}

static void a_young_one_has_no_latest(void **state)
{
	(void)state;
	/* 10 in 10 s, 600 left: 10 minutes, or half of that, or who knows. */
	struct sl_forecast forecast = FORESEE(600, 100, 110);
	assert_int_equal(forecast.in_ms, 600000);
	assert_int_equal(forecast.earliest_ms, 300000);
	assert_int_equal(forecast.latest_ms, SL_SERIES_NEVER);
}

static void a_steady_leak_is_foreseen_closely(void **state)
{
	(void)state;
	struct sl_forecast forecast =
		FORESEE(4400, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200);
	assert_int_equal(forecast.in_ms, 440000);
	assert_in_range(forecast.earliest_ms, 438000, 440000);
	assert_in_range(forecast.latest_ms, 440000, 442000);
}

static void a_bursty_leak_has_a_spread(void **state)
{
	(void)state;
	/* 1,100 in 110 s as well, in three bursts. */
	struct sl_forecast forecast =
		FORESEE(4400, 100, 100, 500, 500, 500, 500, 800, 800, 800, 800, 1200, 1200);
	assert_int_equal(forecast.in_ms, 440000);
	assert_in_range(forecast.earliest_ms, 180000, 300000);
	assert_int_equal(forecast.latest_ms, SL_SERIES_NEVER);
}

static void chance_gives_a_range(void **state)
{
	(void)state;
	/* Recorded: connections that come by chance, about 20 in each 10 s. */
	struct sl_forecast forecast =
		FORESEE(2000, 0, 23, 40, 66, 81, 99, 124, 139, 161, 187, 203, 219, 240);
	assert_int_equal(forecast.in_ms, 1000000);
	assert_in_range(forecast.earliest_ms, 870000, 920000);
	assert_in_range(forecast.latest_ms, 1090000, 1200000);
}

static void noise_around_a_level_is_no_trend(void **state)
{
	(void)state;
	/* A busy pool: up and down, by chance a little higher at the end. */
	struct sl_forecast forecast =
		FORESEE(1000, 200, 260, 190, 240, 205, 255, 198, 247, 210, 238, 204, 215);
	assert_true(forecast.in_ms > 0 && forecast.in_ms < SL_SERIES_NEVER);
	assert_true(forecast.earliest_ms < forecast.in_ms);
	assert_int_equal(forecast.latest_ms, SL_SERIES_NEVER);
}

static void what_shrinks_or_stands_never_gets_there(void **state)
{
	(void)state;
	struct sl_forecast forecast = FORESEE(1000, 500, 480, 460, 440, 420, 400);
	assert_int_equal(forecast.in_ms, SL_SERIES_NEVER);
	assert_int_equal(forecast.earliest_ms, SL_SERIES_NEVER);
	memset(&series, 0, sizeof(series));
	forecast = FORESEE(1000, 70, 70, 70, 70, 70, 70);
	assert_int_equal(forecast.in_ms, SL_SERIES_NEVER);
	assert_int_equal(forecast.latest_ms, SL_SERIES_NEVER);
}

static void far_away_there_is_no_latest(void **state)
{
	(void)state;
	/* 1 in 10 s, and 28,000 to go: three days, from the look at one minute. */
	struct sl_forecast forecast = FORESEE(28000, 10, 11, 12, 13, 14, 15, 16);
	assert_int_equal(forecast.in_ms, 280000000);
	assert_int_equal(forecast.latest_ms, SL_SERIES_NEVER);
	assert_true(forecast.earliest_ms > 0);
}

static void none_left_is_now(void **state)
{
	(void)state;
	struct sl_forecast forecast = FORESEE(0, 10, 20, 30, 40, 50, 60, 70);
	assert_int_equal(forecast.in_ms, 0);
	assert_int_equal(forecast.earliest_ms, 0);
	assert_int_equal(forecast.latest_ms, 0);
}

/* The longer it runs, the further back it looks, in the same room. */
static void it_reaches_back(void **state)
{
	(void)state;
	struct sl_forecast forecast;
	uint64_t now_ms = START;
	for (uint32_t i = 0; i < 3600; i++, now_ms += 1000)
		sl_series_add(&series, now_ms, i);
	assert_in_range(series.count, SL_SERIES_SAMPLES / 2, SL_SERIES_SAMPLES);
	assert_int_equal(series.gap_ms, SL_SERIES_GAP_MAX_MS);
	assert_in_range(now_ms - series.at_ms[0], 20 * 60000, 40 * 60000);
	for (uint32_t i = 1; i < series.count; i++)
		assert_true(series.at_ms[i] - series.at_ms[i - 1] >= GAP);
	assert_true(sl_series_foresee(&series, now_ms, 3600, 3600, &forecast));
	assert_in_range(forecast.in_ms, HOUR_MS - 5000, HOUR_MS + 5000);
	assert_in_range(forecast.latest_ms, HOUR_MS - 5000, HOUR_MS + 20000);
}

/* What was long ago does not count for ever: a leak that has stopped is not foreseen to go on. */
static void the_present_slope_counts(void **state)
{
	(void)state;
	struct sl_forecast forecast;
	uint64_t now_ms = START;
	for (uint32_t i = 0; i < 3600; i++, now_ms += 1000)
		sl_series_add(&series, now_ms, i);
	for (uint32_t i = 0; i < 3600; i++, now_ms += 1000)
		sl_series_add(&series, now_ms, 3600);
	assert_true(sl_series_foresee(&series, now_ms, 3600, 3600, &forecast));
	assert_int_equal(forecast.in_ms, SL_SERIES_NEVER);
}

/* One comes in each tenth of a second, with four chances in ten; the same numbers in each run. */
static bool comes(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 16) % 10 < 4;
}

/* The range is what it says: of 1,000 leaks that grow by chance, looked at after `seen_s`, it holds for more than nine in ten. */
static uint32_t holds_for(uint64_t seen_s, uint32_t left)
{
	uint32_t seed = 1, held = 0;
	for (int i = 0; i < 1000; i++) {
		struct sl_forecast forecast;
		uint32_t value = 0, from;
		uint64_t now_ms = START;
		memset(&series, 0, sizeof(series));
		for (; now_ms < START + seen_s * 1000; now_ms += 100) {
			sl_series_add(&series, now_ms, value);
			value += comes(&seed);
		}
		assert_true(sl_series_foresee(&series, now_ms, value, left, &forecast));
		uint64_t then_ms = now_ms;
		for (from = value; value < from + left; then_ms += 100)
			value += comes(&seed);
		int64_t came_in_ms = (int64_t)(then_ms - now_ms);
		held += came_in_ms >= forecast.earliest_ms && came_in_ms <= forecast.latest_ms;
	}
	return held;
}

static void the_range_holds(void **state)
{
	(void)state;
	assert_in_range(holds_for(55, 200), 900, 990);
	assert_in_range(holds_for(120, 100), 900, 990);
	assert_in_range(holds_for(600, 1000), 900, 990);
}

static void large_numbers_do_not_overflow(void **state)
{
	(void)state;
	struct sl_forecast forecast;
	for (uint32_t i = 0; i < 20; i++)
		sl_series_add(&series, START + (uint64_t)i * 80000, i % 2 ? 1073741816u : 5u);
	assert_true(
		sl_series_foresee(&series, START + 1700000, 1073741816u, 1073741816u, &forecast));
	assert_true(forecast.in_ms >= 1600000);
	assert_true(forecast.earliest_ms <= forecast.in_ms);
	assert_int_equal(forecast.latest_ms, SL_SERIES_NEVER);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_known_at_first),
		TEST(a_young_one_has_no_latest),
		TEST(a_steady_leak_is_foreseen_closely),
		TEST(a_bursty_leak_has_a_spread),
		TEST(chance_gives_a_range),
		TEST(noise_around_a_level_is_no_trend),
		TEST(what_shrinks_or_stands_never_gets_there),
		TEST(far_away_there_is_no_latest),
		TEST(none_left_is_now),
		TEST(it_reaches_back),
		TEST(the_present_slope_counts),
		TEST(the_range_holds),
		TEST(large_numbers_do_not_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
