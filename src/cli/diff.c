/* diff.c - see diff.h. */
#include "cli/diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "cli/heap.h"
#include "cli/measure.h"

/* The start of a process is computed from its age: it may be a little off. */
#define SAME_START_MS 2000

struct entry {
	struct sl_diff_row row;
	UT_hash_handle hh;
	char key[];
};

/* ---- keys ---- */

/* The caller frees it. */
static char *key_of_site(const struct sl_snapshot_site *site)
{
	char *key = NULL;
	size_t n;
	FILE *to = open_memstream(&key, &n);
	if (to) {
		fprintf(to, "%d", (int)site->kind);
		if (site->blame)
			fprintf(to, "\n%s", site->blame);
		for (uint32_t i = 0; !site->blame && i < site->frame_count; i++)
			fprintf(to, "\n%s", sl_measure_frame(site->frames[i]));
	}
	if (!to || fclose(to) != 0)
		return sl_heap_grow(NULL, SIZE_MAX); /* says so, and ends */
	return key;
}

static char *key_of_peer(const struct sl_snapshot_peer *peer)
{
	const char *address = peer->address ? peer->address : "";
	size_t n = strlen(address) + 64;
	char *key = sl_heap_grow(NULL, n);
	(void)snprintf(key, n, "%d %" PRId64 " %s", (int)peer->direction, peer->port, address);
	return key;
}

/* The row of this key, which is freed. */
static struct sl_diff_row *row_of(struct entry **table, char *key)
{
	struct entry *entry;
	const size_t n = strlen(key);
	HASH_FIND(hh, *table, key, n, entry);
	if (!entry) {
		entry = sl_heap_grow(NULL, sizeof(*entry) + n + 1);
		memset(entry, 0, sizeof(*entry));
		memcpy(entry->key, key, n + 1);
		HASH_ADD_KEYPTR(hh, *table, entry->key, n, entry);
	}
	free(key);
	return &entry->row;
}

/* ---- rows ---- */

static void add(struct sl_diff_row *row, bool is_after, uint64_t stuck, uint64_t close_wait,
                uint64_t open)
{
	struct sl_diff_counts *counts = is_after ? &row->after : &row->before;
	*(is_after ? &row->is : &row->was) = true;
	counts->stuck += (int64_t)stuck;
	counts->close_wait += (int64_t)close_wait;
	counts->open += (int64_t)open;
}

static void add_sites(struct entry **table, const struct sl_snapshot *s, bool is_after)
{
	for (uint32_t i = 0; i < s->site_count; i++) {
		const struct sl_snapshot_site *site = &s->sites[i];
		struct sl_diff_row *row = row_of(table, key_of_site(site));
		if (!row->site || (is_after && !row->is))
			row->site = site;
		add(row, is_after, site->stuck, site->close_wait, site->open);
	}
}

static void add_peers(struct entry **table, const struct sl_snapshot *s, bool is_after)
{
	for (uint32_t i = 0; i < s->peer_count; i++) {
		const struct sl_snapshot_peer *peer = &s->peers[i];
		struct sl_diff_row *row = row_of(table, key_of_peer(peer));
		if (!row->peer || (is_after && !row->is))
			row->peer = peer;
		add(row, is_after, peer->stuck, peer->close_wait, peer->open);
	}
}

static int descending(int64_t x, int64_t y)
{
	return x > y ? -1 : x < y;
}

static int by_growth(const void *a, const void *b)
{
	const struct sl_diff_row *x = a, *y = b;
	const int64_t growths[][2] = {
		{x->after.stuck - x->before.stuck, y->after.stuck - y->before.stuck},
		{x->after.close_wait - x->before.close_wait,
	         y->after.close_wait - y->before.close_wait},
		{x->after.open - x->before.open, y->after.open - y->before.open},
		{x->after.open, y->after.open},
	};
	for (size_t i = 0; i < sizeof(growths) / sizeof(growths[0]); i++)
		if (growths[i][0] != growths[i][1])
			return descending(growths[i][0], growths[i][1]);
	return 0;
}

/* Ends the table. */
static struct sl_diff_rows sorted(struct entry **table)
{
	struct sl_diff_rows rows = {0};
	struct entry *entry = *table;
	rows.rows = sl_heap_grow(NULL, HASH_COUNT(*table) * sizeof(*rows.rows));
	HASH_CLEAR(hh, *table);
	while (entry) {
		struct entry *next = entry->hh.next;
		rows.rows[rows.count++] = entry->row;
		free(entry);
		entry = next;
	}
	qsort(rows.rows, rows.count, sizeof(*rows.rows), by_growth);
	return rows;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_process(const struct sl_snapshot *a, const struct sl_snapshot *b)
{
	const int64_t apart =
		(int64_t)a->process.started_wall_ms - (int64_t)b->process.started_wall_ms;
	return a->process.pid == b->process.pid &&
	       is_same(a->process.hostname, b->process.hostname) && apart >= -SAME_START_MS &&
	       apart <= SAME_START_MS;
}

void sl_diff_make(struct sl_diff *diff, const struct sl_snapshot *before,
                  const struct sl_snapshot *after)
{
	struct entry *sites = NULL, *peers = NULL;
	*diff = (struct sl_diff){
		.before = before,
		.after = after,
		.is_same_process = is_same_process(before, after),
		.elapsed_ms = (int64_t)after->taken_wall_ms - (int64_t)before->taken_wall_ms,
	};
	add_sites(&sites, before, false);
	add_sites(&sites, after, true);
	add_peers(&peers, before, false);
	add_peers(&peers, after, true);
	diff->sites = sorted(&sites);
	diff->peers = sorted(&peers);
}

void sl_diff_free(struct sl_diff *diff)
{
	free(diff->sites.rows);
	free(diff->peers.rows);
	*diff = (struct sl_diff){0};
}

const char *sl_diff_word(const struct sl_diff_row *row)
{
	const int64_t growths[] = {
		row->after.stuck - row->before.stuck,
		row->after.close_wait - row->before.close_wait,
		row->after.open - row->before.open,
	};
	if (!row->was)
		return "new";
	if (!row->is)
		return "gone";
	for (size_t i = 0; i < sizeof(growths) / sizeof(growths[0]); i++)
		if (growths[i])
			return growths[i] > 0 ? "grew" : "shrank";
	return "same";
}
