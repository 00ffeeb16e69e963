#include "report/gather.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/process.h"
#include "reclaim/reclaim.h"
#include "report/self.h"
#include "report/words.h"
#include "stack/java.h"
#include "stack/names.h"
#include "watch/adopt.h"
#include "watch/growth.h"
#include "watch/sweep.h"

#include "base/poison.h"

int sl_gather_worse(const uint64_t a[3], const uint64_t b[3])
{
	for (int i = 0; i < 3; i++)
		if (a[i] != b[i])
			return a[i] > b[i] ? -1 : 1;
	return 0;
}

const char *sl_gather_endpoint(struct sl_arena *arena, const struct sl_endpoint *endpoint)
{
	char text[64];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_endpoint_print(&out, endpoint);
	return sl_arena_text(arena, text, out.length);
}

#define SL_NEVER_MS (30u * 24 * 3600 * 1000) /* an age beyond this means that it never happened */

static void least(int64_t *age_ms, int64_t other_ms)
{
	if (*age_ms == SL_UNKNOWN || other_ms < *age_ms)
		*age_ms = other_ms;
}

int64_t sl_gather_last_use_ms(const struct sl_gathering *from, const struct sl_survey_row *row)
{
	int64_t age_ms = SL_UNKNOWN;
	uint64_t called_at_ms = row->record.last_io ? sl_sweep_tick_at_ms(row->record.last_io) : 0;
	if (called_at_ms)
		age_ms = from->now_ms > called_at_ms ? (int64_t)(from->now_ms - called_at_ms) : 0;
	if (row->tcp.state == TCP_LISTEN || !row->tcp.was_established)
		return age_ms;
	if (row->tcp.last_data_sent_ms < SL_NEVER_MS && row->tcp.bytes_sent > 0)
		least(&age_ms, row->tcp.last_data_sent_ms);
	if (row->tcp.last_data_recv_ms < SL_NEVER_MS)
		least(&age_ms, row->tcp.last_data_recv_ms);
	return age_ms;
}

static void count_row(const struct sl_survey_row *row, struct sl_snapshot *snapshot)
{
	const struct sl_judgement *judgement = &row->suspicion.judgement;
	snapshot->totals.open++;
	snapshot->totals.by_state[row->tcp.state & 15]++;
	if (row->tcp.state == TCP_LISTEN)
		snapshot->totals.backlog += row->tcp.backlog;
	if (!row->is_suspect)
		return;
	snapshot->totals.close_wait += judgement->is_close_wait;
	snapshot->totals.dead += judgement->is_dead;
	snapshot->totals.stuck += judgement->is_stuck;
	snapshot->totals.dead_stuck += judgement->is_stuck && judgement->is_dead;
	if (judgement->is_stuck && (int64_t)judgement->quiet_ms > snapshot->totals.oldest_stuck_ms)
		snapshot->totals.oldest_stuck_ms = (int64_t)judgement->quiet_ms;
}

/* From the process's start to the first FIN of those CLOSE_WAITs that are open now. */
static int64_t began_after_ms(const struct sl_gathering *from, const struct sl_snapshot *snapshot)
{
	uint64_t oldest_ms = 0;
	for (uint32_t i = 0; i < from->survey->count; i++) {
		const struct sl_judgement *judgement = &from->survey->rows[i].suspicion.judgement;
		if (judgement->is_close_wait && judgement->close_wait_ms >= oldest_ms)
			oldest_ms = judgement->close_wait_ms;
	}
	if (snapshot->totals.close_wait == 0 || oldest_ms > snapshot->process.uptime_ms)
		return SL_UNKNOWN;
	return (int64_t)(snapshot->process.uptime_ms - oldest_ms);
}

static void gather_totals(const struct sl_gathering *from, struct sl_snapshot *snapshot)
{
	snapshot->totals.oldest_stuck_ms = SL_UNKNOWN;
	for (uint32_t i = 0; i < from->survey->count; i++)
		if (!from->survey->rows[i].is_duplicate)
			count_row(&from->survey->rows[i], snapshot);
	memcpy(snapshot->totals.by_kind, from->survey->by_kind, sizeof(snapshot->totals.by_kind));
	snapshot->totals.by_kind[SL_KIND_TCP] = snapshot->totals.open;
	/* Read after the count: what was opened meanwhile counts as closed for this once, never as less than none. */
	snapshot->totals.opened = sl_fdtable_opened(SL_KIND_TCP);
	if (snapshot->totals.opened < snapshot->totals.open) /* recorded, and not counted yet */
		snapshot->totals.opened = snapshot->totals.open;
	snapshot->totals.closed = snapshot->totals.opened - snapshot->totals.open;
	snapshot->totals.adopted = sl_fdtable_adopted();
	snapshot->totals.dropped =
		sl_fdtable_dropped() + sl_suspects_dropped() + from->survey->is_cut;
	snapshot->totals.retracted = sl_suspects_retracted();
	snapshot->totals.began_after_ms = began_after_ms(from, snapshot);
	snapshot->totals.held_back_bytes = sl_log_held_back_bytes();
	if (!sl_growth_of_peer(0, from->now_ms, (uint32_t)snapshot->totals.close_wait,
	                       &snapshot->totals.growth_per_min))
		snapshot->totals.growth_per_min = SL_UNKNOWN;
}

static void gather_reclaimed(struct sl_snapshot *snapshot)
{
	struct sl_reclaim_counts counts;
	sl_reclaim_counts(&counts);
	snapshot->totals.probed = counts.probed;
	snapshot->totals.shutdown = counts.shutdown;
	snapshot->totals.neutralized = counts.neutralized;
	snapshot->totals.closed_by_us = counts.closed;
	snapshot->totals.app_reacted = counts.app_reacted;
	snapshot->totals.regretted = counts.regretted;
	snapshot->totals.rescued = counts.rescued;
	snapshot->totals.ended_by_probe = counts.ended_by_probe;
	snapshot->totals.ended_by_keepalive = counts.ended_by_keepalive;
	snapshot->totals.absorbed = counts.absorbed;
	snapshot->reclaim.action = sl_reclaim_action();
	snapshot->reclaim.asked = (enum sl_action)sl_options.action;
	snapshot->reclaim.is_stopped = sl_reclaim_is_stopped();
	snapshot->reclaim.is_dry_run = sl_options.dry_run != 0;
	snapshot->reclaim.has_control = sl_options.control == SL_CONTROL_ON;
}

static void gather_limits(const struct sl_gathering *from, int64_t fds,
                          struct sl_snapshot *snapshot)
{
	const struct sl_limits *limits = &from->limits;
	snapshot->limits.nofile_soft = limits->nofile_soft < 0 ? SL_UNKNOWN : limits->nofile_soft;
	snapshot->limits.nofile_hard = limits->nofile_hard < 0 ? SL_UNKNOWN : limits->nofile_hard;
	snapshot->limits.nofile_used = fds < 0 ? SL_UNKNOWN : fds;
	snapshot->limits.port_low = limits->port_low < 0 ? SL_UNKNOWN : limits->port_low;
	snapshot->limits.port_high = limits->port_high < 0 ? SL_UNKNOWN : limits->port_high;
}

static const char *describe_pressure(struct sl_arena *arena, const struct sl_pressure *pressure)
{
	char text[128];
	struct sl_out out;
	const struct sl_peer *dest = sl_peer_get(pressure->dest);
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_out_text(&out, sl_words_error(pressure->error));
	if (dest) {
		sl_out_text(&out, " connecting to ");
		sl_endpoint_print(&out, &dest->at);
	}
	return sl_arena_text(arena, text, out.length);
}

static bool are_limits_reached(const struct sl_snapshot *snapshot)
{
	if (snapshot->pressure_error)
		return true;
	for (uint32_t i = 0; i < snapshot->peer_count; i++)
		if (snapshot->peers[i].ports_left != SL_UNKNOWN &&
		    snapshot->peers[i].ports_left <= 0)
			return true;
	return snapshot->limits.nofile_soft > 0 && snapshot->limits.nofile_used != SL_UNKNOWN &&
	       snapshot->limits.nofile_used >= snapshot->limits.nofile_soft;
}

void sl_gather(struct sl_arena *arena, enum sl_trigger trigger, const struct sl_pressure *pressure,
               struct sl_snapshot *snapshot)
{
	uint64_t now_ms = sl_clock_ms();
	uint64_t deadline_ms = (uint64_t)sl_options.deadline_ms;
	struct sl_survey survey;
	memset(snapshot, 0, sizeof(*snapshot));
	int64_t fds = sl_adopt_scan(now_ms);
	sl_sweep_survey(deadline_ms, now_ms, arena, &survey);
	sl_names_native();
	struct sl_gathering from = {.arena = arena, .survey = &survey, .now_ms = now_ms};
	sl_limits_read(&from.limits);
	snapshot->trigger = trigger;
	snapshot->mode = sl_process_is_attached() ? SL_MODE_ATTACH : SL_MODE_PRELOAD;
	snapshot->deadline_ms = deadline_ms;
	snapshot->settled_ms = SL_VERDICT_SETTLED_DEADLINES * deadline_ms;
	snapshot->taken_wall_ms = sl_clock_wall_ms();
	snapshot->pressure_error = pressure->error;
	if (pressure->error)
		snapshot->pressure = describe_pressure(arena, pressure);
	sl_self_describe(arena, sl_java_is_present(), snapshot);
	gather_totals(&from, snapshot);
	gather_reclaimed(snapshot);
	gather_limits(&from, fds, snapshot);
	from.pressed = pressure->dest;
	sl_gather_peers(&from, snapshot);
	sl_gather_ports(&from, snapshot);
	from.is_pressing = are_limits_reached(snapshot);
	sl_gather_sites(&from, snapshot);
	if (pressure->error && snapshot->verdict == SL_VERDICT_OK)
		snapshot->verdict =
			SL_VERDICT_UNKNOWN; /* out of ports or fds: something is wrong */
	sl_gather_sockets(&from, snapshot);
	sl_gather_elsewhere(&from, snapshot);
}
