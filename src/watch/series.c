#include "watch/series.h"

#include <string.h>

#include "base/poison.h"

#define SL_LEAST_MS 1000u /* a slope over less says nothing */
#define SL_STEPS_MIN 4u   /* fewer do not show how unlike they are */
#define SL_REACH 50u      /* times the time seen: further there is no latest time */
#define SL_COARSE (1u << 22)
#define SL_SCALE 16 /* parts of one, in which deviations are summed */

/* Every second one goes; the newest stays. */
static void thin_out(struct sl_series *series)
{
	uint32_t kept = 0;
	for (uint32_t i = 1; i < series->count; i += 2) {
		series->at_ms[kept] = series->at_ms[i];
		series->value[kept] = series->value[i];
		kept++;
	}
	series->count = kept;
}

static void make_room(struct sl_series *series)
{
	if (series->gap_ms < SL_SERIES_GAP_MAX_MS) {
		thin_out(series);
		series->gap_ms *= 2;
		return;
	}
	series->count--;
	memmove(series->at_ms, series->at_ms + 1, series->count * sizeof(series->at_ms[0]));
	memmove(series->value, series->value + 1, series->count * sizeof(series->value[0]));
}

void sl_series_add(struct sl_series *series, uint64_t now_ms, uint32_t value)
{
	if (series->gap_ms == 0)
		series->gap_ms = SL_SERIES_GAP_MS;
	if (series->count > 0 && now_ms - series->at_ms[series->count - 1] < series->gap_ms)
		return;
	if (series->count == SL_SERIES_SAMPLES)
		make_room(series);
	series->at_ms[series->count] = now_ms;
	series->value[series->count++] = value;
}

static uint64_t root_of(uint64_t square)
{
	uint64_t root = 0;
	for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
		if ((root + bit) * (root + bit) <= square)
			root += bit;
	return root;
}

/* Deviations of large counts are summed in larger parts: no square of them overflows. */
static int64_t coarseness(const struct sl_series *series, uint32_t value)
{
	for (uint32_t i = 0; i < series->count; i++)
		value = series->value[i] > value ? series->value[i] : value;
	return 1 + value / SL_COARSE;
}

/* By how much the growth over all of it may be off, one deviation; in whole ones, at least one. *freedom: how many steps that is taken from,
 * less one. */
static int64_t deviation(const struct sl_series *series, uint64_t now_ms, uint32_t value,
                         uint32_t *freedom)
{
	uint64_t span_ms = now_ms - series->at_ms[0], squares = 0;
	int64_t growth = (int64_t)value - series->value[0];
	int64_t coarse = coarseness(series, value);
	uint32_t steps = 0;
	for (uint32_t i = 1; i <= series->count; i++) {
		uint64_t to_ms = i < series->count ? series->at_ms[i] : now_ms;
		int64_t to = i < series->count ? series->value[i] : value;
		int64_t ms = (int64_t)(to_ms - series->at_ms[i - 1]);
		int64_t off = (to - series->value[i - 1]) * SL_SCALE -
		              growth * SL_SCALE * ms / (int64_t)span_ms;
		off /= coarse;
		squares += (uint64_t)(off * off);
		steps += ms * 2 >=
		         (int64_t)SL_SERIES_GAP_MS; /* the last one may be as good as none */
	}
	*freedom = steps > 1 ? steps - 1 : 0;
	if (steps > 1)
		squares = squares * steps / (steps - 1);
	int64_t whole = (int64_t)root_of(squares) * coarse / SL_SCALE;
	return whole > 1 ? whole : 1;
}

/* Tenths of deviations within which 95 of 100 lie: Student's t. Few steps show little of how unlike they are. */
static int64_t tenths_of(uint32_t freedom)
{
	static const uint8_t tenths[] = {127, 127, 43, 32, 28, 26, 25, 24, 23};
	const uint32_t known = sizeof(tenths) / sizeof(tenths[0]);
	return freedom < known ? tenths[freedom] : freedom < 15 ? 22 : 21;
}

/* What is still to come strays as well, by its own time's part. */
static int64_t off_over(int64_t of_one, uint32_t freedom, uint64_t span_ms, uint64_t left_ms)
{
	uint64_t longer = root_of((span_ms + left_ms) * SL_SCALE * SL_SCALE / left_ms);
	return of_one * tenths_of(freedom) / 10 * (int64_t)longer / SL_SCALE;
}

/* left / (growth / span). */
static int64_t time_for(uint64_t left, uint64_t span_ms, int64_t growth)
{
	return growth > 0 ? (int64_t)(left * span_ms / (uint64_t)growth) : SL_SERIES_NEVER;
}

bool sl_series_foresee(const struct sl_series *series, uint64_t now_ms, uint32_t value,
                       uint64_t left, struct sl_forecast *forecast)
{
	*forecast = (struct sl_forecast){SL_SERIES_NEVER, SL_SERIES_NEVER, SL_SERIES_NEVER};
	if (series->count == 0 || now_ms - series->at_ms[0] < SL_LEAST_MS)
		return false;
	uint64_t span_ms = now_ms - series->at_ms[0];
	int64_t growth = (int64_t)value - series->value[0];
	if (growth <= 0)
		return true;
	forecast->in_ms = time_for(left, span_ms, growth);
	if (forecast->in_ms <= 0) {
		*forecast = (struct sl_forecast){0};
		return true;
	}
	uint32_t freedom;
	int64_t of_one = deviation(series, now_ms, value, &freedom);
	if (freedom + 1 < SL_STEPS_MIN) {
		forecast->earliest_ms = forecast->in_ms / 2;
		return true;
	}
	int64_t off = off_over(of_one, freedom, span_ms, (uint64_t)forecast->in_ms);
	forecast->earliest_ms = time_for(left, span_ms, growth + off);
	if ((uint64_t)forecast->in_ms <= SL_REACH * span_ms)
		forecast->latest_ms = time_for(left, span_ms, growth - off);
	return true;
}
