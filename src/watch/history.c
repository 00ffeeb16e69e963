#include "watch/history.h"

#include "base/poison.h"

void sl_history_add(struct sl_history *history, uint64_t now_ms, uint32_t value)
{
	uint32_t newest = (history->count + SL_HISTORY_SAMPLES - 1) % SL_HISTORY_SAMPLES;
	if (history->count > 0 && now_ms - history->at_ms[newest] < SL_HISTORY_GAP_MS)
		return;
	uint32_t next = history->count % SL_HISTORY_SAMPLES;
	history->at_ms[next] = now_ms;
	history->value[next] = value;
	history->count++;
}

bool sl_history_per_min(const struct sl_history *history, uint64_t now_ms, uint32_t value,
                        int64_t *per_min)
{
	if (history->count == 0)
		return false;
	uint32_t oldest =
		history->count < SL_HISTORY_SAMPLES ? 0 : history->count % SL_HISTORY_SAMPLES;
	uint64_t span_ms = now_ms - history->at_ms[oldest];
	if (span_ms < SL_HISTORY_LEAST_MS)
		return false;
	*per_min = ((int64_t)value - (int64_t)history->value[oldest]) * 60000 / (int64_t)span_ms;
	return true;
}

uint64_t sl_history_mean(const struct sl_history *history)
{
	uint32_t kept = history->count < SL_HISTORY_SAMPLES ? history->count : SL_HISTORY_SAMPLES;
	uint64_t sum = 0;
	for (uint32_t i = 0; i < kept; i++)
		sum += history->value[i];
	return kept ? sum / kept : 0;
}
