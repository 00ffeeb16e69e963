#include "watch/growth.h"

#include <string.h>

#include "watch/history.h"
#include "watch/suspects.h"

#include "watch/table.h"

#include "base/poison.h"

struct peer_growth {
	uint32_t peer; /* the key; 0: all peers together */
	uint32_t close_wait;
	struct sl_history history;
	UT_hash_handle hh;
};

static struct peer_growth *peers; /* uthash */
static uint64_t sampled_at_ms;

static struct peer_growth *find(uint32_t peer)
{
	struct peer_growth *growth = NULL;
	HASH_FIND(hh, peers, &peer, sizeof(peer), growth);
	return growth;
}

static void count_one(uint32_t peer)
{
	struct peer_growth *growth = find(peer);
	if (!growth) {
		growth = sl_pool_alloc(&sl_worker_pool, sizeof(*growth));
		if (!growth)
			return; /* then this peer's growth is not known */
		memset(growth, 0, sizeof(*growth));
		growth->peer = peer;
		HASH_ADD(hh, peers, peer, sizeof(growth->peer), growth);
		if (!growth->hh.tbl) {
			sl_pool_free(&sl_worker_pool, growth, sizeof(*growth));
			return;
		}
	}
	growth->close_wait++;
}

static void count_suspect(uint32_t peer)
{
	count_one(peer);
	if (peer != 0)
		count_one(0);
}

void sl_growth_sample(uint64_t now_ms)
{
	struct peer_growth *growth, *next;
	if (peers && now_ms - sampled_at_ms < SL_HISTORY_GAP_MS)
		return;
	sampled_at_ms = now_ms;
	HASH_ITER(hh, peers, growth, next)
	{
		growth->close_wait = 0;
	}
	sl_suspects_each_close_wait(count_suspect);
	HASH_ITER(hh, peers, growth, next)
	{
		sl_history_add(&growth->history, now_ms, growth->close_wait);
	}
}

bool sl_growth_of_peer(uint32_t peer, uint64_t now_ms, uint32_t close_wait, int64_t *per_min)
{
	const struct peer_growth *growth = find(peer);
	return growth && sl_history_per_min(&growth->history, now_ms, close_wait, per_min);
}

void sl_growth_forked(void)
{
	peers = NULL;
	sampled_at_ms = 0;
}
