/* gather_elsewhere.c - what is not well with a survey's connections, and is no leak: judged by watch/elsewhere.h, summed by kind. */
#include <netinet/tcp.h>

#include "base/sort.h"
#include "base/sys.h"
#include "report/gather.h"
#include "watch/accepting.h"
#include "watch/elsewhere.h"
#include "watch/listeners.h"
#include "watch/sockdiag.h"

#include "base/poison.h"

#define SL_LISTENERS_SHOWN 4u
#define SL_PEERS_SHOWN 3u
#define SL_ROWS_MAX (SL_ELSEWHERE_COUNT + SL_LISTENERS_SHOWN + SL_PEERS_SHOWN)

/* One connection. */
struct one {
	enum sl_elsewhere_kind kind;
	uint32_t peer;
	uint32_t site;
	uint64_t age_ms;
};

struct list {
	struct sl_snapshot_elsewhere *rows;
	uint32_t count;
};

static struct sl_snapshot_elsewhere *add_row(struct list *to, enum sl_elsewhere_kind kind,
                                             uint64_t count)
{
	struct sl_snapshot_elsewhere *row = &to->rows[to->count++];
	*row = (struct sl_snapshot_elsewhere){.kind = kind,
	                                      .count = count,
	                                      .oldest_ms = SL_UNKNOWN,
	                                      .limit = SL_UNKNOWN,
	                                      .site = SL_UNKNOWN};
	return row;
}

static bool has_keepalive(int fd)
{
	int value = 0;
	unsigned n = sizeof(value);
	return sl_sys_getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &n) < 0 || value != 0;
}

static bool look(const struct sl_gathering *from, const struct sl_survey_row *row,
                 uint64_t deadline_ms, struct one *one)
{
	const uint32_t ours = SL_MARK_ENDED | SL_MARK_DEAD | SL_MARK_PROBED;
	const struct sl_elsewhere_seen seen = {
		.tcp = &row->tcp,
		.age_ms = from->now_ms > row->record.opened_at_ms
	                          ? from->now_ms - row->record.opened_at_ms
	                          : 0,
		.has_tried = row->record.flags & SL_FD_OUT,
		.was_connected = row->is_suspect || (row->record.flags & SL_FD_IN) ||
	                         row->tcp.was_established,
	};
	if (row->is_duplicate || (row->record.flags & SL_FD_INTENDED) ||
	    (row->record.marks & ours) ||
	    !sl_elsewhere_is(&seen, deadline_ms, &one->kind, &one->age_ms) ||
	    (one->kind == SL_ELSEWHERE_HALF_OPEN && has_keepalive(row->record.fd)))
		return false;
	one->peer = row->record.peer ? row->record.peer : row->record.dest;
	one->site = row->record.site;
	return true;
}

static int by_peer(const void *a, const void *b)
{
	const struct one *x = a, *y = b;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->peer < y->peer ? -1 : x->peer > y->peer;
}

static int by_site(const void *a, const void *b)
{
	const struct one *x = a, *y = b;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->site < y->site ? -1 : x->site > y->site;
}

/* The longest run of equals among these n, which are sorted; its first. */
static const struct one *most_of(const struct one *list, uint32_t n, sl_sort_fn *order,
                                 uint64_t *most)
{
	const struct one *best = list;
	*most = 0;
	for (uint32_t i = 0, first = 0; i < n; i++) {
		if (order(&list[first], &list[i]) != 0)
			first = i;
		if (i - first + 1 > *most) {
			*most = i - first + 1;
			best = &list[first];
		}
	}
	return best;
}

static const char *blame_of(const struct sl_snapshot *snapshot, uint32_t site)
{
	for (uint32_t i = 0; i < snapshot->site_count; i++)
		if (snapshot->sites[i].id == site)
			return snapshot->sites[i].blame;
	return NULL;
}

static const char *peer_text(struct sl_arena *arena, uint32_t id)
{
	const struct sl_peer *peer = sl_peer_get(id);
	char text[96];
	struct sl_out out;
	if (!peer)
		return NULL;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	if (peer->direction == SL_DIRECTION_IN)
		sl_endpoint_print_address(&out, &peer->at); /* a client: its port says nothing */
	else
		sl_endpoint_print(&out, &peer->at);
	return sl_arena_text(arena, text, out.length);
}

/* The n of one kind; they are sorted anew. */
static void sum(const struct sl_gathering *from, const struct sl_snapshot *snapshot,
                struct one *list, uint32_t n, struct list *to)
{
	struct sl_snapshot_elsewhere *row = add_row(to, list->kind, n);
	uint64_t oldest_ms = 0;
	for (uint32_t i = 0; i < n; i++)
		oldest_ms = list[i].age_ms > oldest_ms ? list[i].age_ms : oldest_ms;
	row->oldest_ms = (int64_t)oldest_ms;
	row->is_notable = sl_elsewhere_is_notable(row->kind, n);
	row->peer = peer_text(from->arena, most_of(list, n, by_peer, &row->at_peer)->peer);
	if (!row->peer)
		row->at_peer = 0;
	sl_sort(list, n, sizeof(*list), by_site);
	row->site = most_of(list, n, by_site, &row->at_site)->site;
	row->blame = blame_of(snapshot, (uint32_t)row->site);
}

static void gather_connections(const struct sl_gathering *from, const struct sl_snapshot *snapshot,
                               struct list *to)
{
	uint32_t n = 0;
	struct one *list = sl_arena_alloc(from->arena, (from->survey->count + 1) * sizeof(*list));
	for (uint32_t i = 0; list && i < from->survey->count; i++)
		n += look(from, &from->survey->rows[i], snapshot->deadline_ms, &list[n]);
	if (n)
		sl_sort(list, n, sizeof(*list), by_peer);
	for (uint32_t first = 0, end; first < n; first = end) {
		for (end = first + 1; end < n && list[end].kind == list[first].kind;)
			end++;
		sum(from, snapshot, list + first, end - first, to);
	}
}

/* By the kernel's list where it can be had; else by what the sweeps saw. */
static uint64_t waited_ms(const struct sl_gathering *from, const struct sl_fd_record *record)
{
	struct sl_endpoint local;
	uint64_t ms;
	if (sl_kernel_local(record->fd, &local) && sl_sockdiag_backlog(local.port, &ms) == 0)
		return ms;
	return sl_listeners_waited_ms(record, from->now_ms);
}

static void gather_listener(const struct sl_gathering *from, struct sl_snapshot *snapshot,
                            const struct sl_snapshot_listener *listener, struct list *to)
{
	struct sl_fd_record record;
	if (!sl_fdtable_get(listener->fd, &record))
		return;
	uint64_t ms = waited_ms(from, &record);
	bool is_stalled = sl_accepting_is_stalled(listener->backlog, listener->limit, ms,
	                                          snapshot->deadline_ms);
	snapshot->verdict = sl_accepting_verdict(snapshot->verdict, is_stalled);
	if (!is_stalled && !sl_accepting_is_full(listener->backlog, listener->limit))
		return;
	struct sl_snapshot_elsewhere *row =
		add_row(to, SL_ELSEWHERE_NOT_ACCEPTED, listener->backlog);
	row->oldest_ms = (int64_t)ms;
	row->limit = (int64_t)listener->limit;
	row->local = listener->local;
	row->site = record.site;
	row->at_site = 1;
	row->blame = blame_of(snapshot, record.site);
	row->is_stalled = is_stalled;
	row->is_notable = true;
}

/* Peers to which others have a good part of the ports. */
static void gather_ports_taken(const struct sl_gathering *from, const struct sl_snapshot *snapshot,
                               struct list *to)
{
	int64_t range = snapshot->limits.port_low == SL_UNKNOWN
	                        ? 0
	                        : snapshot->limits.port_high - snapshot->limits.port_low + 1 -
	                                  snapshot->limits.ports_reserved;
	uint32_t shown = 0;
	for (uint32_t i = 0; i < snapshot->peer_count && shown < SL_PEERS_SHOWN; i++) {
		const struct sl_snapshot_peer *peer = &snapshot->peers[i];
		int64_t others =
			peer->ports.used == SL_UNKNOWN ? 0 : peer->ports.used - peer->ports.held;
		if (peer->direction != SL_DIRECTION_OUT || !sl_elsewhere_has_others(others, range))
			continue;
		struct sl_snapshot_elsewhere *row =
			add_row(to, SL_ELSEWHERE_PORTS_TAKEN, (uint64_t)others);
		row->limit = range;
		row->peer = peer_text(from->arena, peer->id);
		row->at_peer = (uint64_t)peer->ports.time_wait;
		row->is_notable = peer->ports_left * 2 < range;
		shown++;
	}
}

void sl_gather_elsewhere(const struct sl_gathering *from, struct sl_snapshot *snapshot)
{
	struct list list = {.rows = sl_arena_alloc(from->arena, SL_ROWS_MAX * sizeof(*list.rows))};
	if (!list.rows)
		return;
	for (uint32_t i = 0; i < snapshot->listener_count && i < SL_LISTENERS_SHOWN; i++)
		gather_listener(from, snapshot, &snapshot->listeners[i], &list);
	gather_connections(from, snapshot, &list);
	gather_ports_taken(from, snapshot, &list);
	snapshot->elsewhere = list.rows;
	snapshot->elsewhere_count = list.count;
}
