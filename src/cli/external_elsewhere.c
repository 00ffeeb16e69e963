/* external_elsewhere.c - what is not well with a process's connections and is no leak, from outside: no site, and fewer ages. */
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/diag.h"
#include "cli/external.h"
#include "watch/accepting.h"
#include "watch/elsewhere.h"

#define SL_LISTENERS_SHOWN 4u
#define SL_PEERS_SHOWN 3u
#define SL_SYNS_LOST_MIN 2 /* its age is not known: one may be on its way */

/* A connection of one kind. */
struct one {
	enum sl_elsewhere_kind kind;
	uint64_t age_ms; /* UINT64_MAX: not known */
	const struct sl_outside_socket *socket;
};

/* Connections that nobody has accepted: made, and nobody's. One listener; the kernel's list is gone through for each. */
struct queue {
	uint16_t port;
	bool has_any;
	uint64_t waited_ms;
};

static void note_waiting(void *context, const struct sl_diag_socket *socket)
{
	struct queue *queue = context;
	if (socket->inode != 0 || socket->local.port != queue->port || !socket->has_tcp)
		return;
	queue->has_any = true;
	if (socket->tcp.last_ack_recv_ms > queue->waited_ms)
		queue->waited_ms = socket->tcp.last_ack_recv_ms;
}

static bool look(const struct sl_outside_socket *socket, struct one *one)
{
	const struct sl_elsewhere_seen seen = {
		.tcp = &socket->tcp,
		.age_ms = UINT64_MAX,
		.was_connected = socket->has_peer,
	};
	*one = (struct one){.socket = socket};
	if (socket->is_listener ||
	    !sl_elsewhere_is(&seen, SL_EXTERNAL_DEADLINE_MS, &one->kind, &one->age_ms))
		return false;
	if (one->kind == SL_ELSEWHERE_CONNECTING)
		return socket->tcp.retransmits >= SL_SYNS_LOST_MIN;
	return one->kind != SL_ELSEWHERE_HALF_OPEN || !socket->has_keepalive;
}

static int by_kind_and_peer(const void *a, const void *b)
{
	const struct one *x = a, *y = b;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	int order = memcmp(x->socket->peer.address, y->socket->peer.address,
	                   sizeof(x->socket->peer.address));
	return order ? order : (int)x->socket->peer.port - (int)y->socket->peer.port;
}

static const char *peer_text(struct sl_arena *arena, const struct sl_outside_socket *socket)
{
	char text[80];
	struct sl_out out;
	if (!socket->has_peer && !socket->peer.port)
		return NULL;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	if (socket->direction == SL_DIRECTION_IN)
		sl_endpoint_print_address(&out, &socket->peer);
	else
		sl_endpoint_print(&out, &socket->peer);
	return sl_arena_text(arena, text, out.length);
}

static struct sl_snapshot_elsewhere *add_row(struct sl_snapshot *s,
                                             struct sl_snapshot_elsewhere *rows,
                                             enum sl_elsewhere_kind kind, uint64_t count)
{
	struct sl_snapshot_elsewhere *row = &rows[s->elsewhere_count++];
	*row = (struct sl_snapshot_elsewhere){.kind = kind,
	                                      .count = count,
	                                      .oldest_ms = SL_UNKNOWN,
	                                      .limit = SL_UNKNOWN,
	                                      .site = SL_UNKNOWN};
	return row;
}

/* The n of one kind, which are sorted by peer. */
static void sum(struct sl_arena *arena, const struct one *list, uint32_t n,
                struct sl_snapshot_elsewhere *rows, struct sl_snapshot *s)
{
	struct sl_snapshot_elsewhere *row = add_row(s, rows, list->kind, n);
	const struct one *most = list;
	for (uint32_t i = 0, first = 0; i < n; i++) {
		if (by_kind_and_peer(&list[first], &list[i]) != 0)
			first = i;
		if (i - first + 1 > row->at_peer) {
			row->at_peer = i - first + 1;
			most = &list[first];
		}
		if (list[i].age_ms != UINT64_MAX && (int64_t)list[i].age_ms > row->oldest_ms)
			row->oldest_ms = (int64_t)list[i].age_ms;
	}
	row->peer = peer_text(arena, most->socket);
	row->at_peer = row->peer ? row->at_peer : 0;
	row->is_notable = sl_elsewhere_is_notable(list->kind, n);
}

static void add_connections(struct sl_arena *arena, const struct sl_outside *outside,
                            struct sl_snapshot_elsewhere *rows, struct sl_snapshot *s)
{
	struct one *list = calloc(outside->count + 1, sizeof(*list));
	uint32_t n = 0;
	for (uint32_t i = 0; list && i < outside->count; i++)
		n += look(&outside->sockets[i], &list[n]);
	if (n)
		qsort(list, n, sizeof(*list), by_kind_and_peer);
	for (uint32_t first = 0, end; first < n; first = end) {
		for (end = first + 1; end < n && list[end].kind == list[first].kind;)
			end++;
		sum(arena, list + first, end - first, rows, s);
	}
	free(list);
}

static void add_listener(int pid, const struct sl_outside *outside,
                         const struct sl_snapshot_listener *listener,
                         struct sl_snapshot_elsewhere *rows, struct sl_snapshot *s)
{
	struct queue queue = {0};
	for (uint32_t i = 0; i < outside->count; i++)
		if (outside->sockets[i].fd == listener->fd)
			queue.port = outside->sockets[i].local.port;
	const uint32_t states = 1u << TCP_ESTABLISHED | 1u << TCP_CLOSE_WAIT;
	bool is_known = sl_diag_each(pid, states, note_waiting, &queue) == 0 && queue.has_any;
	bool is_stalled =
		is_known && sl_accepting_is_stalled(listener->backlog, listener->limit,
	                                            queue.waited_ms, SL_EXTERNAL_DEADLINE_MS);
	s->verdict = sl_accepting_verdict(s->verdict, is_stalled);
	if (!is_stalled && !sl_accepting_is_full(listener->backlog, listener->limit))
		return;
	struct sl_snapshot_elsewhere *row =
		add_row(s, rows, SL_ELSEWHERE_NOT_ACCEPTED, listener->backlog);
	row->local = listener->local;
	row->limit = (int64_t)listener->limit;
	row->oldest_ms = is_known ? (int64_t)queue.waited_ms : SL_UNKNOWN;
	row->is_stalled = is_stalled;
	row->is_notable = true;
}

/* Peers to which others have a good part of the ports. */
static void add_ports_taken(struct sl_arena *arena, struct sl_snapshot_elsewhere *rows,
                            struct sl_snapshot *s)
{
	uint32_t shown = 0;
	if (s->limits.port_low == SL_UNKNOWN)
		return;
	int64_t range = s->limits.port_high - s->limits.port_low + 1 - s->limits.ports_reserved;
	for (uint32_t i = 0; i < s->peer_count && shown < SL_PEERS_SHOWN; i++) {
		const struct sl_snapshot_peer *peer = &s->peers[i];
		int64_t others =
			peer->ports.used == SL_UNKNOWN ? 0 : peer->ports.used - peer->ports.held;
		char name[96];
		if (!sl_elsewhere_has_others(others, range))
			continue;
		struct sl_snapshot_elsewhere *row =
			add_row(s, rows, SL_ELSEWHERE_PORTS_TAKEN, (uint64_t)others);
		bool is_v6 = strchr(peer->address, ':') != NULL;
		int n = snprintf(name, sizeof(name), "%s%s%s:%d", is_v6 ? "[" : "", peer->address,
		                 is_v6 ? "]" : "", (int)peer->port);
		row->peer = sl_arena_text(arena, name, (size_t)n);
		row->limit = range;
		row->at_peer = (uint64_t)peer->ports.time_wait;
		row->is_notable = peer->ports_left * 2 < range;
		shown++;
	}
}

void sl_external_elsewhere(struct sl_arena *arena, int pid, const struct sl_outside *outside,
                           struct sl_snapshot *snapshot)
{
	struct sl_snapshot_elsewhere *rows = sl_arena_alloc(
		arena, (SL_ELSEWHERE_COUNT + SL_LISTENERS_SHOWN + SL_PEERS_SHOWN) * sizeof(*rows));
	if (!rows)
		return;
	for (uint32_t i = 0; i < snapshot->listener_count && i < SL_LISTENERS_SHOWN; i++)
		add_listener(pid, outside, &snapshot->listeners[i], rows, snapshot);
	add_connections(arena, outside, rows, snapshot);
	add_ports_taken(arena, rows, snapshot);
	snapshot->elsewhere = rows;
}
