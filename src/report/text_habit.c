/* text_habit.c - see text_habit.h. */
#include "report/text_habit.h"

#include "base/poison.h"

#define SL_AT_ONCE_MS 100 /* with its answer: Connection: close, or HTTP/1.0 */
#define SL_SPREAD_MS 1000 /* less is the accuracy of a server's timer */
#define SL_SPREAD_PARTS 5 /* of the middle: what is closer together is one habit */

bool sl_text_habit_is_at_once(const struct sl_snapshot_peer *peer)
{
	return peer->direction != SL_DIRECTION_IN && peer->idle_before_fin_count > 1 &&
	       peer->idle_before_fin_ms_p90 != SL_UNKNOWN &&
	       peer->idle_before_fin_ms_p90 < SL_AT_ONCE_MS;
}

static bool is_spread(const struct sl_snapshot_peer *peer)
{
	int64_t spread_ms = peer->idle_before_fin_ms_p90 - peer->idle_before_fin_ms_p10;
	return peer->idle_before_fin_ms_p10 != SL_UNKNOWN &&
	       peer->idle_before_fin_ms_p90 != SL_UNKNOWN && spread_ms > SL_SPREAD_MS &&
	       spread_ms > peer->idle_before_fin_ms_p50 / SL_SPREAD_PARTS;
}

void sl_text_habit(struct sl_text_line *line, const struct sl_snapshot_peer *peer)
{
	bool is_in = peer->direction == SL_DIRECTION_IN && peer->address;
	if (peer->idle_before_fin_ms_p50 == SL_UNKNOWN || peer->idle_before_fin_ms_p50 < 0)
		return;
	sl_out_text(&line->out, is_in ? ", which close " : ", which closes ");
	if (sl_text_habit_is_at_once(peer)) {
		sl_out_text(&line->out, "at once after each answer");
		return;
	}
	sl_out_text(&line->out, "after ");
	if (is_spread(peer)) {
		sl_out_duration(&line->out, (uint64_t)peer->idle_before_fin_ms_p10);
		sl_out_text(&line->out, " to ");
		sl_out_duration(&line->out, (uint64_t)peer->idle_before_fin_ms_p90);
	} else {
		sl_out_duration(&line->out, (uint64_t)peer->idle_before_fin_ms_p50);
	}
	sl_out_text(&line->out, " idle");
}

void sl_text_habit_count(struct sl_text_line *line, const struct sl_snapshot_peer *peer)
{
	if (peer->idle_before_fin_ms_p50 == SL_UNKNOWN || peer->idle_before_fin_count < 2)
		return;
	sl_out_text(&line->out, is_spread(peer) ? " (8 in 10 of " : " (p50 of ");
	sl_out_unsigned(&line->out, peer->idle_before_fin_count);
	sl_out_char(&line->out, ')');
}

int64_t sl_text_habit_least_ms(const struct sl_snapshot_peer *peer)
{
	return is_spread(peer) ? peer->idle_before_fin_ms_p10 : peer->idle_before_fin_ms_p50;
}
