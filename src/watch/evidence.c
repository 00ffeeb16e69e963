#include "watch/evidence.h"

#include <string.h>

#include "base/options.h"
#include "ledger/fdtable.h"
#include "ledger/sites.h"
#include "watch/fates.h"
#include "watch/history.h"
#include "watch/suspects.h"

#include "watch/table.h"

#include "base/poison.h"

/* From open to the last data: one exchange rarely takes that long, and reuse mostly does. */
#define SL_REUSE_MS 1000
#define SL_TAKE_INTERVALS 2u
#define SL_MINUTE_MS 60000
#define SL_BURST_MS 10000
#define SL_LN2_PERMILLE 693

struct site_state {
	struct sl_evidence evidence;
	uint64_t highest_settled;
	uint64_t first_opened_ms,
		last_opened_ms; /* of its suspects, in this pass; UINT64_MAX and 0: none */
	uint64_t settled_ms, settled_in_ms; /* for this pass; outbound and inbound */
	uint64_t ended, ended_piled;        /* of the evidence, what we ended and is gone */
	struct sl_history open, waiting, closed;
};

static struct site_state *sites[SL_SITES_MAX + 1];
static uint32_t open_now[SL_SITES_MAX + 1]; /* used within one sample */
static uint64_t sampled_at_ms;
static uint64_t taken_at_ms;

static void begin_site(uint32_t id, struct site_state *state)
{
	uint32_t records = state->evidence.records;
	memset(&state->evidence, 0, sizeof(state->evidence));
	state->evidence.records = records;
	state->evidence.retracted = sl_fates_late_by(id);
	state->evidence.exchanged = sl_fates_exchanged_by(id);
	state->first_opened_ms = UINT64_MAX;
	state->last_opened_ms = 0;
	state->settled_ms = sl_evidence_settled_ms(id, false);
	state->settled_in_ms = sl_evidence_settled_ms(id, true);
	state->ended = state->ended_piled = 0;
}

/* NULL: no memory. */
static struct site_state *state_of(uint32_t site)
{
	if (site > SL_SITES_MAX)
		return NULL;
	if (!sites[site]) {
		sites[site] = sl_pool_alloc(&sl_worker_pool, sizeof(*sites[site]));
		if (!sites[site])
			return NULL;
		memset(sites[site], 0, sizeof(*sites[site]));
		begin_site(site, sites[site]);
	}
	return sites[site];
}

uint64_t sl_evidence_settled_ms(uint32_t site, bool is_inbound)
{
	uint64_t settled_ms = SL_VERDICT_SETTLED_DEADLINES * (uint64_t)sl_options.deadline_ms;
	uint64_t median_ms, late;
	/* A site that closes late by habit gets thrice its usual time. */
	if (sl_fates_delay(site, &median_ms, &late) && late >= SL_VERDICT_SLOW_MIN &&
	    SL_VERDICT_SETTLED_DEADLINES * median_ms > settled_ms)
		settled_ms = SL_VERDICT_SETTLED_DEADLINES * median_ms;
	/* The client may have half-closed and wait for an answer that takes long. */
	if (is_inbound && (uint64_t)sl_options.deadline_in_ms > settled_ms)
		settled_ms = (uint64_t)sl_options.deadline_in_ms;
	return settled_ms;
}

static bool is_ended(const struct sl_suspect_view *view)
{
	return view->rungs->is_reclaimed;
}

/* A half-close, and the program still sends: no suspect before that has stopped for a deadline. */
static bool is_in_use(const struct sl_suspect_view *view)
{
	return view->has_sent && !view->judgement.is_stuck && !is_ended(view);
}

static bool is_waiting(const struct sl_suspect_view *view)
{
	return !(view->record.flags & SL_FD_INTENDED) && !is_in_use(view) &&
	       (view->judgement.is_close_wait || view->judgement.is_dead || is_ended(view));
}

static bool is_settled(const struct site_state *state, const struct sl_suspect_view *view)
{
	if (!view->judgement.is_stuck && !is_ended(view))
		return false;
	return view->action_quiet_ms >=
	       (sl_fates_is_inbound(&view->record) ? state->settled_in_ms : state->settled_ms);
}

static void lower(uint64_t *least, uint64_t value)
{
	if (value < *least)
		*least = value;
}

/* The first pass: when the first of those that lie at each peer was closed by it. */
static void find_first(void *context, const struct sl_suspect_view *view)
{
	(void)context;
	struct site_state *state = state_of(view->record.site);
	struct sl_lane *lane = sl_lane_of(&view->record);
	if (!state || !lane || !is_waiting(view))
		return;
	lane->lying++;
	lower(&lane->fin_at_ms, view->fin_at_ms);
	if (!is_settled(state, view))
		return;
	lower(&lane->settled_fin_at_ms, view->fin_at_ms);
}

static bool is_reused(const struct sl_suspect_view *view)
{
	return view->idle_before_fin_ms >= 0 && !(view->record.flags & SL_FD_ADOPTED) &&
	       (int64_t)(view->fin_at_ms - view->record.opened_at_ms) - view->idle_before_fin_ms >=
	               SL_REUSE_MS;
}

/* Within a deadline, or as long as it takes to start a batch. */
static uint64_t burst_ms(void)
{
	uint64_t deadline_ms = (uint64_t)sl_options.deadline_ms;
	return deadline_ms > SL_BURST_MS ? deadline_ms : SL_BURST_MS;
}

/* The second: which were opened although others lay there. */
static void count(void *context, const struct sl_suspect_view *view)
{
	(void)context;
	struct site_state *state = state_of(view->record.site);
	const struct sl_lane *lane = sl_lane_of(&view->record);
	if (!state || !lane || !is_waiting(view))
		return;
	struct sl_evidence *e = &state->evidence;
	e->waiting++;
	lower(&state->first_opened_ms, view->record.opened_at_ms);
	if (view->record.opened_at_ms > state->last_opened_ms)
		state->last_opened_ms = view->record.opened_at_ms;
	e->is_apart = state->last_opened_ms - state->first_opened_ms > burst_ms();
	e->stuck += view->judgement.is_stuck || is_ended(view);
	e->reused += is_reused(view);
	e->following += sl_fates_is_behind(lane, &view->record, lane->fin_at_ms);
	if (!is_settled(state, view))
		return;
	e->settled++;
	e->piled += sl_fates_is_behind(lane, &view->record, lane->settled_fin_at_ms);
}

/* Where nothing lies any more, what was closed there tells nothing of what will. */
static bool begin_lane(struct sl_lane *lane)
{
	bool is_over = lane->lying == 0 && lane->ended == 0;
	lane->fin_at_ms = lane->settled_fin_at_ms = lane->ended_fin_at_ms;
	lane->lying = 0;
	return !is_over;
}

static bool add_lane(struct sl_lane *lane)
{
	struct site_state *state = state_of(lane->site);
	if (!state)
		return true;
	struct sl_evidence *e = &state->evidence;
	state->ended += lane->ended;
	state->ended_piled += lane->ended_piled;
	e->replaced += lane->lying || lane->ended ? lane->replaced : 0;
	return true;
}

static uint64_t less(uint64_t value, uint64_t by)
{
	return value > by ? value - by : 0;
}

/* Those that we ended and that are gone since; but for those that the program has closed as well by now. */
static void add_ended(uint32_t id, struct site_state *state)
{
	const struct sl_site *known = sl_site_get(id);
	struct sl_evidence *e = &state->evidence;
	uint64_t late = known ? atomic_load_explicit(&known->closed_late, memory_order_relaxed) : 0;
	uint64_t ended = less(state->ended, late), piled = less(state->ended_piled, late);
	e->waiting += ended;
	e->stuck += ended;
	e->settled += ended;
	e->piled += piled;
	e->following += piled;
	e->replaced += late < state->ended ? late : state->ended;
}

void sl_evidence_take(void)
{
	sl_lanes_each(begin_lane);
	for (uint32_t id = 0; id <= SL_SITES_MAX; id++)
		if (sites[id])
			begin_site(id, sites[id]);
	sl_suspects_each(find_first, NULL);
	sl_suspects_each(count, NULL);
	sl_lanes_each(add_lane);
	for (uint32_t id = 0; id <= SL_SITES_MAX; id++)
		if (sites[id])
			add_ended(id, sites[id]);
}

static void count_open(void)
{
	struct sl_fd_record record;
	memset(open_now, 0, sizeof(open_now));
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		if (record.kind == SL_KIND_TCP && record.site <= SL_SITES_MAX)
			open_now[record.site]++;
}

/* What lies there from one time of many does not pile up: only what was opened behind others makes a record. */
static void note_record(struct site_state *state)
{
	struct sl_evidence *e = &state->evidence;
	if (e->settled == 0) {
		e->records = 0;
		state->highest_settled = 0; /* what was there once is no measure for what comes */
	}
	if (e->settled <= state->highest_settled)
		return;
	state->highest_settled = e->settled;
	e->records += e->piled >= SL_VERDICT_LEAK_MIN;
}

void sl_evidence_sample(uint64_t now_ms)
{
	/* A short interval is asked for where answers are wanted soon. */
	uint64_t gap_ms = SL_TAKE_INTERVALS * sl_options_interval_ms(&sl_options);
	if (taken_at_ms == 0 || now_ms - taken_at_ms >= gap_ms) {
		taken_at_ms = now_ms;
		sl_evidence_take();
	}
	if (sampled_at_ms != 0 && now_ms - sampled_at_ms < SL_HISTORY_GAP_MS)
		return;
	sampled_at_ms = now_ms;
	count_open();
	for (uint32_t id = 0; id <= SL_SITES_MAX; id++) {
		struct site_state *state = sites[id];
		if (!state)
			continue;
		note_record(state);
		sl_history_add(&state->open, now_ms, open_now[id]);
		sl_history_add(&state->waiting, now_ms, (uint32_t)state->evidence.waiting);
		sl_history_add(&state->closed, now_ms, (uint32_t)sl_fates_closed_by(id));
	}
}

void sl_evidence_of_site(uint32_t site, struct sl_evidence *evidence)
{
	if (site <= SL_SITES_MAX && sites[site])
		*evidence = sites[site]->evidence;
	else
		memset(evidence, 0, sizeof(*evidence));
}

/* Half of them are gone after ln 2 of the mean life, and the mean life is how many there are by how many go in a time. */
static int64_t half_life_ms(const struct site_state *state, uint32_t site, uint64_t now_ms)
{
	int64_t closed_per_min;
	if (!sl_history_per_min(&state->closed, now_ms, (uint32_t)sl_fates_closed_by(site),
	                        &closed_per_min) ||
	    closed_per_min <= 0)
		return SL_TREND_UNKNOWN;
	uint64_t mean = sl_history_mean(&state->waiting);
	return (int64_t)mean * SL_MINUTE_MS / closed_per_min * SL_LN2_PERMILLE / 1000;
}

void sl_evidence_trend(uint32_t site, uint64_t now_ms, uint64_t open, struct sl_trend *trend)
{
	uint64_t late_ms;
	*trend = (struct sl_trend){SL_TREND_UNKNOWN, SL_TREND_UNKNOWN, SL_TREND_UNKNOWN,
	                           SL_TREND_UNKNOWN, 0};
	if (sl_fates_delay(site, &late_ms, &trend->late))
		trend->late_ms_p50 = (int64_t)late_ms;
	if (site > SL_SITES_MAX || !sites[site])
		return;
	const struct site_state *state = sites[site];
	(void)sl_history_per_min(&state->waiting, now_ms, (uint32_t)state->evidence.waiting,
	                         &trend->waiting_per_min);
	(void)sl_history_per_min(&state->open, now_ms, (uint32_t)open, &trend->open_per_min);
	trend->half_life_ms = half_life_ms(state, site, now_ms);
}

uint64_t sl_evidence_stuck_in_doubt(bool *has_leak)
{
	uint64_t stuck = 0;
	*has_leak = false;
	for (uint32_t id = 0; id <= SL_SITES_MAX; id++) {
		if (!sites[id])
			continue;
		enum sl_site_verdict verdict = sl_verdict_of_site(&sites[id]->evidence);
		*has_leak |= verdict == SL_SITE_LEAK;
		if (verdict >= SL_SITE_BURST)
			stuck += sites[id]->evidence.stuck;
	}
	return stuck;
}

void sl_evidence_forked(void)
{
	memset(sites, 0, sizeof(sites));
	sampled_at_ms = taken_at_ms = 0;
}
