/* external_peers.c - the connections of a process without the library, summed by peer. */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "cli/external.h"
#include "watch/judge.h"
#include "watch/habits.h"

/* One connection, under the peer that it counts for: inbound, the client's address and our port. */
struct one {
	const struct sl_outside_socket *socket;
	struct sl_endpoint at;
};

static int by_peer(const void *a, const void *b)
{
	const struct one *x = a, *y = b;
	if (x->socket->direction != y->socket->direction)
		return x->socket->direction < y->socket->direction ? -1 : 1;
	int order = memcmp(x->at.address, y->at.address, sizeof(x->at.address));
	return order ? order : (int)x->at.port - (int)y->at.port;
}

static int by_ms(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static bool is_stuck(const struct sl_outside_socket *socket)
{
	return socket->tcp.state == TCP_CLOSE_WAIT && !socket->unsent &&
	       sl_external_quiet_ms(socket) >= SL_EXTERNAL_DEADLINE_MS;
}

/* The n connections of one peer. `idles` has room for them. */
static void sum(struct sl_arena *arena, const struct one *list, uint32_t n, int64_t *idles,
                const struct sl_snapshot *s, struct sl_snapshot_peer *peer)
{
	char text[64];
	struct sl_out out;
	uint64_t holding = 0;
	uint32_t idle_count = 0;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_endpoint_print_address(&out, &list[0].at);
	*peer = (struct sl_snapshot_peer){
		.direction = list[0].socket->direction,
		.address = sl_arena_text(arena, text, out.length),
		.port = list[0].at.port,
		.open = n,
		.growth_per_min = SL_UNKNOWN,
		.idle_before_fin_ms_p50 = SL_UNKNOWN,
		.idle_before_fin_ms_p10 = SL_UNKNOWN,
		.idle_before_fin_ms_p90 = SL_UNKNOWN,
		.ports_left = SL_UNKNOWN,
		.exhausted_in_ms = SL_UNKNOWN,
		.ports = {.sources = SL_UNKNOWN,
	                  .held = SL_UNKNOWN,
	                  .used = SL_UNKNOWN,
	                  .time_wait = SL_UNKNOWN,
	                  .earliest_ms = SL_UNKNOWN,
	                  .latest_ms = SL_UNKNOWN},
	};
	for (uint32_t i = 0; i < n; i++) {
		const struct sl_kernel_tcp *tcp = &list[i].socket->tcp;
		peer->close_wait += tcp->state == TCP_CLOSE_WAIT;
		peer->established += tcp->state == TCP_ESTABLISHED;
		peer->stuck += is_stuck(list[i].socket);
		holding += tcp->state != TCP_CLOSE;
		if (tcp->state == TCP_CLOSE_WAIT && tcp->last_data_recv_ms >= tcp->last_ack_recv_ms)
			idles[idle_count++] =
				(int64_t)tcp->last_data_recv_ms - tcp->last_ack_recv_ms;
	}
	if (idle_count) {
		qsort(idles, idle_count, sizeof(*idles), by_ms);
		struct sl_habit habit = sl_habit_of(idles, idle_count);
		peer->idle_before_fin_ms_p50 = habit.p50_ms;
		peer->idle_before_fin_ms_p10 = habit.p10_ms;
		peer->idle_before_fin_ms_p90 = habit.p90_ms;
		peer->idle_before_fin_count = habit.count;
	}
	if (peer->direction == SL_DIRECTION_OUT && s->limits.port_low != SL_UNKNOWN) {
		int64_t range = s->limits.port_high - s->limits.port_low + 1;
		peer->ports_left = range > (int64_t)holding ? range - (int64_t)holding : 0;
		peer->ports.held = (int64_t)holding;
	}
}

static int by_badness(const void *a, const void *b)
{
	const struct sl_snapshot_peer *x = a, *y = b;
	if (x->stuck != y->stuck)
		return x->stuck > y->stuck ? -1 : 1;
	if (x->close_wait != y->close_wait)
		return x->close_wait > y->close_wait ? -1 : 1;
	return x->open > y->open ? -1 : x->open < y->open;
}

void sl_external_sum_peers(struct sl_arena *arena, const struct sl_outside *outside,
                           struct sl_snapshot *snapshot)
{
	struct one *list = calloc(outside->count + 1, sizeof(*list));
	int64_t *idles = calloc(outside->count + 1, sizeof(*idles));
	struct sl_snapshot_peer *peers =
		sl_arena_alloc(arena, (outside->count + 1) * sizeof(*peers));
	uint32_t n = 0;
	for (uint32_t i = 0; list && i < outside->count; i++) {
		const struct sl_outside_socket *socket = &outside->sockets[i];
		if (!socket->has_peer)
			continue;
		list[n] = (struct one){.socket = socket, .at = socket->peer};
		if (socket->direction == SL_DIRECTION_IN)
			list[n].at.port = socket->local.port;
		n++;
	}
	if (n)
		qsort(list, n, sizeof(*list), by_peer);
	for (uint32_t from = 0, to; list && idles && peers && from < n; from = to) {
		for (to = from + 1; to < n && by_peer(&list[from], &list[to]) == 0;)
			to++;
		sum(arena, list + from, to - from, idles, snapshot, &peers[snapshot->peer_count++]);
	}
	if (peers && snapshot->peer_count)
		qsort(peers, snapshot->peer_count, sizeof(*peers), by_badness);
	snapshot->peers = peers;
	free(list);
	free(idles);
}
