#include "watch/habits.h"

#include <string.h>

#include "base/sort.h"
#include "watch/kernel.h"

#include "watch/table.h"

#include "base/poison.h"

#define SL_NEVER_MS (30u * 24 * 3600 * 1000) /* an age beyond this means that it never happened */
#define SL_GOODBYE_BYTES 1024u
#define SL_GOODBYE_MS 100

struct peer_habit {
	uint32_t peer; /* the key */
	uint32_t noted;
	int64_t idle_ms[SL_HABIT_KEPT]; /* a ring */
	UT_hash_handle hh;
};

static struct peer_habit *peers; /* uthash */

int64_t sl_habit_idle_ms(const struct sl_kernel_tcp *tcp, uint32_t unread_bytes)
{
	/* Nothing came, or something behind what seemed the FIN. */
	if (tcp->last_data_recv_ms < tcp->last_ack_recv_ms || tcp->last_data_recv_ms >= SL_NEVER_MS)
		return -1;
	int64_t idle_ms = (int64_t)tcp->last_data_recv_ms - tcp->last_ack_recv_ms;
	bool is_goodbye = unread_bytes > 0 && unread_bytes <= SL_GOODBYE_BYTES &&
	                  idle_ms <= SL_GOODBYE_MS && tcp->bytes_sent > 0;
	if (is_goodbye && tcp->last_data_sent_ms > tcp->last_data_recv_ms &&
	    tcp->last_data_sent_ms < SL_NEVER_MS)
		idle_ms = (int64_t)tcp->last_data_sent_ms - tcp->last_ack_recv_ms;
	return idle_ms;
}

struct sl_habit sl_habit_of(const int64_t *sorted_ms, uint32_t n)
{
	return (struct sl_habit){
		.p10_ms = sorted_ms[(n - 1) / 10],
		.p50_ms = sorted_ms[n / 2],
		.p90_ms = sorted_ms[n - 1 - (n - 1) / 10],
		.count = n,
	};
}

static struct peer_habit *find(uint32_t peer)
{
	struct peer_habit *habit = NULL;
	HASH_FIND(hh, peers, &peer, sizeof(peer), habit);
	return habit;
}

void sl_habits_note(uint32_t peer, int64_t idle_ms)
{
	struct peer_habit *habit = find(peer);
	if (!peer)
		return;
	if (!habit) {
		habit = sl_pool_alloc(&sl_worker_pool, sizeof(*habit));
		if (!habit)
			return; /* then its habit is not known */
		memset(habit, 0, sizeof(*habit));
		habit->peer = peer;
		HASH_ADD(hh, peers, peer, sizeof(habit->peer), habit);
		if (!habit->hh.tbl) {
			sl_pool_free(&sl_worker_pool, habit, sizeof(*habit));
			return;
		}
	}
	habit->idle_ms[habit->noted++ % SL_HABIT_KEPT] = idle_ms;
}

static int by_length(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

bool sl_habits_of_peer(uint32_t peer, struct sl_habit *habit)
{
	int64_t sorted_ms[SL_HABIT_KEPT];
	const struct peer_habit *known = find(peer);
	if (!known)
		return false;
	uint32_t n = known->noted < SL_HABIT_KEPT ? known->noted : SL_HABIT_KEPT;
	memcpy(sorted_ms, known->idle_ms, n * sizeof(*sorted_ms));
	sl_sort(sorted_ms, n, sizeof(*sorted_ms), by_length);
	*habit = sl_habit_of(sorted_ms, n);
	return true;
}

void sl_habits_forked(void)
{
	peers = NULL;
}
