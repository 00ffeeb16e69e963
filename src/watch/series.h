/* series.h - samples of one count over time, and when it will reach its limit, with how far that can be trusted: pure functions.
 *
 * The samples reach back further the longer there are any: when there is no more room every second one is given up, and the gap
 * between them doubles, up to SL_SERIES_GAP_MAX_MS; from then on the oldest goes.
 *
 * Layer: watch. Locks: none; the owner's. Fork: plain data. errno: untouched.
 */
#ifndef SL_WATCH_SERIES_H
#define SL_WATCH_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#define SL_SERIES_SAMPLES 24u
#define SL_SERIES_GAP_MS 10000u
#define SL_SERIES_GAP_MAX_MS 80000u

struct sl_series {
	uint64_t at_ms[SL_SERIES_SAMPLES]; /* the oldest first */
	uint32_t value[SL_SERIES_SAMPLES];
	uint32_t count;
	uint32_t gap_ms; /* 0: as at the start */
};

/* When the limit is reached. SL_SERIES_NEVER: not foreseen; of the latest: there is no telling. */
#define SL_SERIES_NEVER INT64_MAX
struct sl_forecast {
	int64_t in_ms; /* at the present slope */
	int64_t earliest_ms;
	int64_t latest_ms;
};

/* Keep a sample, unless the last one is younger than the gap. */
void sl_series_add(struct sl_series *series, uint64_t now_ms, uint32_t value);

/* When what is `value` now will have grown by `left`. False: the series is too young to say anything.
 *
 * The slope is that from the oldest sample to now. How sure it is, is told by how unlike the steps between the samples are: what
 * grows by steps that come by chance is off by their deviation times the root of their number, and so will be what is still to
 * come; the range is meant to hold in 95 of 100 cases. Where the slope might as well be none, where there are few samples, or where the time foreseen is long beside the time seen, there
 * is no latest time. */
bool sl_series_foresee(const struct sl_series *series, uint64_t now_ms, uint32_t value,
                       uint64_t left, struct sl_forecast *forecast);

#endif
