#include "watch/fates.h"

#include <string.h>

#include "base/options.h"
#include "base/sort.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "watch/adopt.h"

#include "watch/table.h"

#include "base/poison.h"

#define SL_APART_MS 1000u
#define SL_APART_PARTS 4u /* of a deadline, if that is less */

struct lane_entry {
	struct sl_lane lane;
	uint64_t key;
	UT_hash_handle hh;
};

/* A site that had suspects which ended. */
struct fate {
	uint32_t site; /* the key */
	uint64_t closed, exchanged;
	uint64_t opened; /* by the site, at the last sweep */
	uint64_t late;   /* delays ever; the ring holds the last SL_FATES_DELAYS */
	uint64_t delays_ms[SL_FATES_DELAYS];
	uint64_t
		median_ms; /* of them, when there were `median_of`: asked for at every look, changed by few */
	uint64_t median_of;
	UT_hash_handle hh;
};

static struct lane_entry *lanes; /* uthash */
static struct fate *fates;       /* uthash */

uint64_t sl_fates_apart_ms(void)
{
	uint64_t part_ms = (uint64_t)sl_options.deadline_ms / SL_APART_PARTS;
	return part_ms < SL_APART_MS ? part_ms : SL_APART_MS;
}

bool sl_fates_is_inbound(const struct sl_fd_record *record)
{
	if (!(record->flags & SL_FD_ADOPTED))
		return record->flags & SL_FD_IN;
	const struct sl_peer *peer = sl_peer_get(record->peer);
	return peer && peer->direction == SL_DIRECTION_IN;
}

bool sl_fates_is_behind(const struct sl_lane *lane, const struct sl_fd_record *record,
                        uint64_t fin_at_ms)
{
	uint64_t apart_ms = sl_fates_apart_ms();
	if (lane->peer == SL_PEER_OVERFLOW || (record->flags & SL_FD_UNDATED) ||
	    fin_at_ms == UINT64_MAX)
		return false;
	if (record->flags & SL_FD_ADOPTED)
		apart_ms += SL_ADOPT_GAP_MS;
	return record->opened_at_ms > fin_at_ms + apart_ms;
}

static uint32_t lane_peer(const struct sl_fd_record *record)
{
	if (sl_fates_is_inbound(record))
		return 0;
	return record->peer ? record->peer : record->dest ? record->dest : SL_PEER_OVERFLOW;
}

static struct lane_entry *lane_find(const struct sl_fd_record *record)
{
	struct lane_entry *entry = NULL;
	uint64_t key = (uint64_t)record->site << 32 | lane_peer(record);
	HASH_FIND(hh, lanes, &key, sizeof(key), entry);
	return entry;
}

struct sl_lane *sl_lane_of(const struct sl_fd_record *record)
{
	struct lane_entry *entry = lane_find(record);
	uint32_t peer = lane_peer(record);
	uint64_t key = (uint64_t)record->site << 32 | peer;
	if (entry)
		return &entry->lane;
	entry = sl_pool_alloc(&sl_worker_pool, sizeof(*entry));
	if (!entry)
		return NULL;
	memset(entry, 0, sizeof(*entry));
	entry->key = key;
	entry->lane = (struct sl_lane){.site = record->site,
	                               .peer = peer,
	                               .ended_fin_at_ms = UINT64_MAX,
	                               .fin_at_ms = UINT64_MAX,
	                               .settled_fin_at_ms = UINT64_MAX};
	HASH_ADD(hh, lanes, key, sizeof(entry->key), entry);
	if (entry->hh.tbl)
		return &entry->lane;
	sl_pool_free(&sl_worker_pool, entry, sizeof(*entry));
	return NULL;
}

void sl_lanes_each(sl_lane_fn *each)
{
	struct lane_entry *entry, *next;
	HASH_ITER(hh, lanes, entry, next)
	{
		if (each(&entry->lane))
			continue;
		HASH_DEL(lanes, entry);
		sl_pool_free(&sl_worker_pool, entry, sizeof(*entry));
	}
}

static struct fate *fate_find(uint32_t site)
{
	struct fate *fate = NULL;
	HASH_FIND(hh, fates, &site, sizeof(site), fate);
	return fate;
}

static uint64_t opened_by(uint32_t id)
{
	const struct sl_site *site = sl_site_get(id);
	return site ? atomic_load_explicit(&site->opened, memory_order_relaxed) : 0;
}

static struct fate *fate_of(uint32_t site)
{
	struct fate *fate = fate_find(site);
	if (fate)
		return fate;
	fate = sl_pool_alloc(&sl_worker_pool, sizeof(*fate));
	if (!fate)
		return NULL;
	memset(fate, 0, sizeof(*fate));
	fate->site = site;
	fate->opened = opened_by(site);
	HASH_ADD(hh, fates, site, sizeof(fate->site), fate);
	if (fate->hh.tbl)
		return fate;
	sl_pool_free(&sl_worker_pool, fate, sizeof(*fate));
	return NULL;
}

void sl_fates_retracted(const struct sl_fd_record *record, uint64_t delay_ms)
{
	struct sl_lane *lane = sl_lane_of(record);
	struct fate *fate = fate_of(record->site);
	if (lane)
		lane->replaced++;
	if (fate)
		fate->delays_ms[fate->late++ % SL_FATES_DELAYS] = delay_ms;
}

void sl_fates_met(const struct sl_fd_record *record)
{
	(void)fate_of(record->site);
}

void sl_fates_closed(const struct sl_fd_record *record, bool was_stuck)
{
	struct fate *fate = fate_of(record->site);
	if (!fate)
		return;
	fate->closed++;
	if (sl_fates_is_inbound(record) || opened_by(record->site) <= fate->opened)
		return;
	struct lane_entry *entry = lane_find(record);
	fate->exchanged += was_stuck;
	if (!was_stuck && entry)
		entry->lane.replaced++; /* stuck ones have been counted */
}

void sl_fates_swept(void)
{
	struct fate *fate, *next;
	HASH_ITER(hh, fates, fate, next)
	{
		fate->opened = opened_by(fate->site);
	}
}

void sl_fates_ended(const struct sl_fd_record *record, uint64_t fin_at_ms)
{
	struct sl_lane *lane = sl_lane_of(record);
	if (!lane)
		return;
	lane->ended++;
	lane->ended_piled += sl_fates_is_behind(lane, record, lane->ended_fin_at_ms);
	if (fin_at_ms < lane->ended_fin_at_ms)
		lane->ended_fin_at_ms = fin_at_ms;
}

static int by_length(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void take_median(struct fate *fate)
{
	uint64_t sorted_ms[SL_FATES_DELAYS];
	uint32_t n = fate->late < SL_FATES_DELAYS ? (uint32_t)fate->late : SL_FATES_DELAYS;
	memcpy(sorted_ms, fate->delays_ms, n * sizeof(*sorted_ms));
	sl_sort(sorted_ms, n, sizeof(*sorted_ms), by_length);
	fate->median_ms = sorted_ms[n / 2];
	fate->median_of = fate->late;
}

bool sl_fates_delay(uint32_t site, uint64_t *median_ms, uint64_t *count)
{
	struct fate *fate = fate_find(site);
	if (!fate || fate->late == 0)
		return false;
	if (fate->median_of != fate->late)
		take_median(fate);
	*median_ms = fate->median_ms;
	*count = fate->late;
	return true;
}

uint64_t sl_fates_late_by(uint32_t site)
{
	const struct fate *fate = fate_find(site);
	return fate ? fate->late : 0;
}

uint64_t sl_fates_closed_by(uint32_t site)
{
	const struct fate *fate = fate_find(site);
	return fate ? fate->closed : 0;
}

uint64_t sl_fates_exchanged_by(uint32_t site)
{
	const struct fate *fate = fate_find(site);
	return fate ? fate->exchanged : 0;
}

void sl_fates_forked(void)
{
	lanes = NULL;
	fates = NULL;
}
