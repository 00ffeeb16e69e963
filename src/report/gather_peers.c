/* gather_peers.c - the connections of a survey, summed by peer. */
#include <netinet/tcp.h>
#include <string.h>

#include "base/sort.h"
#include "report/gather.h"
#include "watch/growth.h"
#include "watch/habits.h"

#include "base/poison.h"

/* Sums of one peer, by id; 0: connections whose peer is not known. */
struct sum {
	uint64_t open, close_wait, stuck, established;
	uint32_t peer;
	uint32_t first_idle; /* into the sorted idle times */
	uint32_t idles;
};

/* Idle time before the FIN, of one CLOSE_WAIT. */
struct idle {
	uint32_t peer;
	int64_t ms;
};

static uint32_t peer_id(const struct sl_survey_row *row)
{
	return row->record.peer ? row->record.peer : row->record.dest;
}

static bool has_peer(const struct sl_survey_row *row)
{
	return !row->is_duplicate && (peer_id(row) != 0 || row->is_suspect);
}

static void add(struct sum *sum, const struct sl_survey_row *row)
{
	sum->open++;
	sum->established += row->tcp.state == TCP_ESTABLISHED;
	sum->close_wait += row->suspicion.judgement.is_close_wait;
	sum->stuck += row->suspicion.judgement.is_stuck;
}

static int by_peer_then_ms(const void *a, const void *b)
{
	const struct idle *x = a, *y = b;
	if (x->peer != y->peer)
		return x->peer < y->peer ? -1 : 1;
	return x->ms < y->ms ? -1 : x->ms > y->ms;
}

static int worse(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;
	int order = sl_gather_worse((const uint64_t[]){x->stuck, x->close_wait, x->open},
	                            (const uint64_t[]){y->stuck, y->close_wait, y->open});
	return order ? order : x->peer < y->peer ? -1 : 1; /* the same in each report */
}

/* The idle times, sorted by peer and length; each sum is told where its own lie. NULL: no memory. */
static const int64_t *gather_idles(const struct sl_gathering *from, struct sum *sums)
{
	size_t room = from->survey->count + 1;
	struct idle *idles = sl_arena_alloc(from->arena, room * sizeof(*idles));
	int64_t *lengths_ms = sl_arena_alloc(from->arena, room * sizeof(*lengths_ms));
	uint32_t n = 0;
	if (!idles || !lengths_ms)
		return NULL;
	for (uint32_t i = 0; i < from->survey->count; i++) {
		const struct sl_survey_row *row = &from->survey->rows[i];
		if (!row->is_duplicate && row->suspicion.judgement.is_close_wait &&
		    row->suspicion.idle_before_fin_ms >= 0)
			idles[n++] = (struct idle){peer_id(row), row->suspicion.idle_before_fin_ms};
	}
	sl_sort(idles, n, sizeof(*idles), by_peer_then_ms);
	for (uint32_t i = n; i > 0; i--) {
		struct sum *sum = &sums[idles[i - 1].peer];
		sum->first_idle = i - 1;
		sum->idles++;
		lengths_ms[i - 1] = idles[i - 1].ms;
	}
	return lengths_ms;
}

/* Of those that lie there, or of the latest that did. */
static bool habit_of(const struct sum *sum, const int64_t *idles_ms, struct sl_habit *habit)
{
	bool is_known = sl_habits_of_peer(sum->peer, habit);
	if (sum->idles == 0 || (is_known && habit->count > sum->idles))
		return is_known;
	*habit = sl_habit_of(idles_ms + sum->first_idle, sum->idles);
	return true;
}

static void describe(const struct sl_gathering *from, const struct sum *sum,
                     const int64_t *idles_ms, struct sl_snapshot_peer *peer)
{
	const struct sl_peer *known = sl_peer_get(sum->peer);
	char text[64];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	*peer = (struct sl_snapshot_peer){
		.direction = known ? known->direction : SL_DIRECTION_UNKNOWN,
		.port = known ? known->at.port : SL_UNKNOWN,
		.open = sum->open,
		.close_wait = sum->close_wait,
		.stuck = sum->stuck,
		.established = sum->established,
		.growth_per_min = SL_UNKNOWN,
		.idle_before_fin_ms_p50 = SL_UNKNOWN,
		.idle_before_fin_ms_p10 = SL_UNKNOWN,
		.idle_before_fin_ms_p90 = SL_UNKNOWN,
		.id = sum->peer,
	};
	if (known) {
		sl_endpoint_print_address(&out, &known->at);
		peer->address = sl_arena_text(from->arena, text, out.length);
	}
	/* 0 stands for all peers together there. */
	if (sum->peer == 0 || !sl_growth_of_peer(sum->peer, from->now_ms, (uint32_t)sum->close_wait,
	                                         &peer->growth_per_min))
		peer->growth_per_min = SL_UNKNOWN;
	struct sl_habit habit;
	if (idles_ms && habit_of(sum, idles_ms, &habit)) {
		peer->idle_before_fin_ms_p50 = habit.p50_ms;
		peer->idle_before_fin_ms_p10 = habit.p10_ms;
		peer->idle_before_fin_ms_p90 = habit.p90_ms;
		peer->idle_before_fin_count = habit.count;
	}
}

void sl_gather_peers(const struct sl_gathering *from, struct sl_snapshot *snapshot)
{
	uint32_t ids = SL_PEER_OVERFLOW + 1, n = 0;
	struct sum *sums = sl_arena_alloc(from->arena, ids * sizeof(*sums));
	if (!sums)
		return;
	for (uint32_t i = 0; i < from->survey->count; i++)
		if (has_peer(&from->survey->rows[i]))
			add(&sums[peer_id(&from->survey->rows[i])], &from->survey->rows[i]);
	const int64_t *idles_ms = gather_idles(from, sums);
	for (uint32_t id = 0; id < ids; id++)
		if (sums[id].open || (id && id == from->pressed)) {
			sums[id].peer = id;
			sums[n++] = sums[id];
		}
	sl_sort(sums, n, sizeof(*sums), worse);
	struct sl_snapshot_peer *peers = sl_arena_alloc(from->arena, (n + 1) * sizeof(*peers));
	for (uint32_t i = 0; peers && i < n; i++)
		describe(from, &sums[i], idles_ms, &peers[i]);
	snapshot->peers = peers;
	snapshot->peer_count = peers ? n : 0;
}
