/* history.h - a few samples of one count, and how fast it grows: pure functions.
 *
 * Layer: watch. Locks: none; the owner's. Fork: plain data. errno: untouched.
 */
#ifndef SL_WATCH_HISTORY_H
#define SL_WATCH_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define SL_HISTORY_SAMPLES 12u
#define SL_HISTORY_GAP_MS 10000u  /* at least this between two samples */
#define SL_HISTORY_LEAST_MS 1000u /* a slope over less says nothing */

struct sl_history {
	uint64_t at_ms[SL_HISTORY_SAMPLES];
	uint32_t value[SL_HISTORY_SAMPLES];
	uint32_t count; /* samples ever kept; the ring holds the last SL_HISTORY_SAMPLES */
};

/* Keep a sample, unless the last one is too young. */
void sl_history_add(struct sl_history *history, uint64_t now_ms, uint32_t value);

/* Growth a minute from the oldest kept sample to `value` now. False: not known. */
bool sl_history_per_min(const struct sl_history *history, uint64_t now_ms, uint32_t value,
                        int64_t *per_min);

/* The mean of the kept samples; 0: none. */
uint64_t sl_history_mean(const struct sl_history *history);

#endif
