/* gather_site_peers.c - where most connections of each site go. */
#include "report/gather.h"

#include "base/poison.h"

/* Of one site: who has, or may have, more than half of the rows (Boyer and Moore). Rows that are suspect, if any is. */
struct vote {
	uint32_t peer;
	uint32_t lead;
	uint32_t all, same;
	bool is_of_suspects;
};

static uint32_t peer_id(const struct sl_survey_row *row)
{
	return row->record.peer ? row->record.peer : row->record.dest;
}

static void count_for(struct vote *vote, const struct sl_survey_row *row)
{
	if (row->is_suspect && !vote->is_of_suspects)
		*vote = (struct vote){.is_of_suspects = true};
	if (row->is_suspect != vote->is_of_suspects)
		return;
	if (vote->lead == 0)
		vote->peer = peer_id(row);
	if (vote->peer == peer_id(row))
		vote->lead++;
	else
		vote->lead--;
}

static void check(struct vote *vote, const struct sl_survey_row *row)
{
	if (row->is_suspect != vote->is_of_suspects)
		return;
	vote->all++;
	vote->same += peer_id(row) == vote->peer;
}

static void each_row(const struct sl_gathering *from, struct vote *votes, uint32_t ids,
                     void (*take)(struct vote *vote, const struct sl_survey_row *row))
{
	for (uint32_t i = 0; i < from->survey->count; i++) {
		const struct sl_survey_row *row = &from->survey->rows[i];
		if (!row->is_duplicate && row->record.site < ids)
			take(&votes[row->record.site], row);
	}
}

static const char *name(struct sl_arena *arena, const struct sl_peer *peer)
{
	char text[64];
	struct sl_out out;
	if (peer->direction != SL_DIRECTION_IN)
		return sl_gather_endpoint(arena, &peer->at);
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_endpoint_print_address(&out, &peer->at); /* the port is our own */
	return sl_arena_text(arena, text, out.length);
}

void sl_gather_site_peers(const struct sl_gathering *from, struct sl_snapshot_site *sites,
                          uint32_t ids)
{
	struct vote *votes = sl_arena_alloc(from->arena, ids * sizeof(*votes));
	if (!votes)
		return;
	each_row(from, votes, ids, count_for);
	each_row(from, votes, ids, check);
	for (uint32_t id = 0; id < ids; id++) {
		const struct sl_peer *peer = sl_peer_get(votes[id].peer);
		if (peer && votes[id].same > votes[id].all / 2)
			sites[id].peer = name(from->arena, peer);
	}
}
