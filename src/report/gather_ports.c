/* gather_ports.c - the local ports that are left to each outbound peer, the fds, and when both run out. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/sort.h"
#include "report/gather.h"
#include "watch/ports.h"
#include "watch/sockdiag.h"

#include "base/poison.h"

#define SL_MINUTE_MS 60000

/* Connections of this process to one peer from one local address. */
struct holding {
	uint32_t peer;
	struct sl_endpoint source; /* its port is 0 */
	uint32_t count;            /* at ports of the range */
};

struct holdings {
	struct holding *list; /* by peer */
	uint32_t count;
	int32_t ports; /* of the range, but for the reserved */
};

static int by_peer_and_source(const void *a, const void *b)
{
	const struct holding *x = a, *y = b;
	if (x->peer != y->peer)
		return x->peer < y->peer ? -1 : 1;
	return memcmp(x->source.address, y->source.address, sizeof(x->source.address));
}

static void merge(struct holdings *all)
{
	uint32_t kept = 0;
	sl_sort(all->list, all->count, sizeof(*all->list), by_peer_and_source);
	for (uint32_t i = 0; i < all->count; i++) {
		if (kept && by_peer_and_source(&all->list[kept - 1], &all->list[i]) == 0)
			all->list[kept - 1].count += all->list[i].count;
		else
			all->list[kept++] = all->list[i];
	}
	all->count = kept;
}

static bool is_of_range(const struct sl_limits *limits, const uint8_t *reserved, uint16_t port)
{
	return port >= limits->port_low && port <= limits->port_high &&
	       !(reserved[port / 8] >> (port % 8) & 1);
}

static void list_holdings(const struct sl_gathering *from, struct holdings *all)
{
	static uint8_t reserved[SL_PORT_BITS_BYTES];
	struct sl_endpoint local;
	sl_limits_reserved(reserved);
	all->list = sl_arena_alloc(from->arena, (from->survey->count + 1) * sizeof(*all->list));
	for (uint32_t i = 0; all->list && i < from->survey->count; i++) {
		const struct sl_survey_row *row = &from->survey->rows[i];
		uint32_t peer = row->record.peer ? row->record.peer : row->record.dest;
		if (row->is_duplicate || !peer || row->direction != SL_DIRECTION_OUT ||
		    row->tcp.state == TCP_CLOSE || !sl_kernel_local(row->record.fd, &local))
			continue;
		struct holding *one = &all->list[all->count++];
		one->peer = peer;
		one->source = local;
		one->source.port = 0;
		one->count = is_of_range(&from->limits, reserved, local.port);
	}
	if (all->list)
		merge(all);
}

static const struct holding *holdings_of(const struct holdings *all, uint32_t peer, uint32_t *n)
{
	uint32_t low = 0, high = all->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (all->list[middle].peer < peer)
			low = middle + 1;
		else
			high = middle;
	}
	for (*n = 0; low + *n < all->count && all->list[low + *n].peer == peer;)
		++*n;
	return all->list + low;
}

static uint32_t held_from(const struct holding *list, uint32_t n, const struct sl_endpoint *source)
{
	for (uint32_t i = 0; i < n; i++)
		if (memcmp(list[i].source.address, source->address, sizeof(source->address)) == 0)
			return list[i].count;
	return 0;
}

/* What is chosen for a peer: of the local addresses that this process uses the one with the fewest ports left; where it uses none, of
 * all. */
struct choice {
	struct sl_endpoint source;
	uint32_t held;
	struct sl_ports_use use;
	bool has_source, is_own, is_counted;
};

static void choose(struct choice *choice, const struct sl_endpoint *source, uint32_t held,
                   const struct sl_ports_use *use)
{
	bool is_own = held > 0;
	uint32_t busy = use && use->busy > held ? use->busy : held;
	uint32_t most = choice->use.busy > choice->held ? choice->use.busy : choice->held;
	if (choice->has_source && (choice->is_own != is_own ? choice->is_own : busy <= most))
		return;
	*choice = (struct choice){.source = *source,
	                          .held = held,
	                          .has_source = true,
	                          .is_own = is_own,
	                          .is_counted = use != NULL};
	if (use)
		choice->use = *use;
}

/* Connections that the kernel's list does not have: it is that of another namespace. A few may have come and gone meanwhile. */
static bool is_missing_ours(const struct holding *list, uint32_t n, uint32_t peer)
{
	struct sl_ports_use use;
	uint64_t listed = 0, held = 0;
	for (uint32_t i = 0; i < n; i++)
		held += list[i].count;
	for (uint32_t at = 0; sl_ports_use_of(peer, at, &use); at++)
		listed += use.ports;
	return listed * 10 < held * 9;
}

static void foresee(const struct sl_gathering *from, struct sl_snapshot_peer *peer)
{
	struct sl_forecast forecast;
	int64_t left = peer->ports_left;
	if (sl_ports_foresee(peer->id, from->now_ms, (uint64_t)left, &forecast)) {
		if (forecast.in_ms != SL_SERIES_NEVER)
			peer->exhausted_in_ms = forecast.in_ms;
		if (forecast.earliest_ms != SL_SERIES_NEVER)
			peer->ports.earliest_ms = forecast.earliest_ms;
		if (forecast.latest_ms != SL_SERIES_NEVER)
			peer->ports.latest_ms = forecast.latest_ms;
	} else if (peer->growth_per_min != SL_UNKNOWN && peer->growth_per_min > 0) {
		peer->exhausted_in_ms = left * SL_MINUTE_MS / peer->growth_per_min;
		peer->ports.earliest_ms = peer->exhausted_in_ms / 2;
	}
}

static const char *address_text(struct sl_arena *arena, const struct sl_endpoint *endpoint)
{
	char text[64];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_endpoint_print_address(&out, endpoint);
	return sl_arena_text(arena, text, out.length);
}

static void describe(const struct sl_gathering *from, const struct holdings *all, bool is_asked,
                     struct sl_snapshot_peer *peer)
{
	struct choice choice = {0};
	struct sl_ports_use use;
	uint32_t n;
	const struct holding *own = holdings_of(all, peer->id, &n);
	bool is_counted =
		is_asked && sl_ports_was_asked(peer->id) && !is_missing_ours(own, n, peer->id);
	for (uint32_t at = 0; is_counted && sl_ports_use_of(peer->id, at, &use); at++)
		choose(&choice, &use.source, held_from(own, n, &use.source), &use);
	for (uint32_t i = 0; i < n; i++)
		choose(&choice, &own[i].source, own[i].count, NULL);
	int64_t busy = choice.use.busy > choice.held ? choice.use.busy : choice.held;
	int64_t range = all->ports - (is_counted ? (int64_t)sl_ports_taken() : 0);
	peer->ports.held = choice.held;
	peer->ports.sources = n;
	if (choice.has_source)
		peer->ports.source = address_text(from->arena, &choice.source);
	if (is_counted) {
		peer->ports.used = choice.use.ports > choice.held ? choice.use.ports : choice.held;
		peer->ports.time_wait = choice.use.time_wait;
	}
	peer->ports.is_exact = is_counted;
	peer->ports_left = range > busy ? range - busy : 0;
	foresee(from, peer);
}

static const char *why_not(struct sl_arena *arena, int error)
{
	char text[80];
	struct sl_out out;
	const char *word =
		error == -EAGAIN      ? "the thread that asks is busy, or not there"
		: error == -ETIMEDOUT ? "there are too many sockets to be counted in time"
		: error == -E2BIG     ? "there are too many sockets to be counted"
		: error == -ENODATA   ? "the port range is not known"
		: error == -EPERM || error == -EACCES                 ? "not permitted (sock_diag)"
		: error == -EAFNOSUPPORT || error == -EPROTONOSUPPORT ? "sock_diag is not available"
								      : NULL;
	if (word)
		return word;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_out_text(&out, "sock_diag: errno ");
	sl_out_signed(&out, -error);
	return sl_arena_text(arena, text, out.length);
}

/* Ask about all outbound peers, the worst first. */
static bool ask(const struct sl_gathering *from, struct sl_snapshot *snapshot)
{
	uint32_t n = 0,
		 *ids = sl_arena_alloc(from->arena, (snapshot->peer_count + 2) * sizeof(*ids));
	if (!ids)
		return false;
	if (from->pressed)
		ids[n++] = from->pressed;
	for (uint32_t i = 0; i < snapshot->peer_count; i++)
		if (snapshot->peers[i].direction == SL_DIRECTION_OUT && snapshot->peers[i].id)
			ids[n++] = snapshot->peers[i].id;
	if (n == 0)
		return false;
	int error = sl_ports_ask(&from->limits, ids, n, SL_SOCKDIAG_REPORT_MS, from->now_ms);
	if (error)
		snapshot->limits.ports_not_counted = why_not(from->arena, error);
	else
		snapshot->limits.ports_taken = sl_ports_taken();
	return !error;
}

static void gather_fds(const struct sl_gathering *from, struct sl_snapshot *snapshot)
{
	struct sl_forecast forecast;
	int64_t soft = snapshot->limits.nofile_soft, used = snapshot->limits.nofile_used;
	snapshot->limits.fds_exhausted_in_ms = snapshot->limits.fds_earliest_ms =
		snapshot->limits.fds_latest_ms = SL_UNKNOWN;
	if (soft == SL_UNKNOWN || used == SL_UNKNOWN || soft < used ||
	    !sl_ports_foresee_fds(from->now_ms, (uint32_t)used, (uint64_t)(soft - used), &forecast))
		return;
	if (forecast.in_ms != SL_SERIES_NEVER)
		snapshot->limits.fds_exhausted_in_ms = forecast.in_ms;
	if (forecast.earliest_ms != SL_SERIES_NEVER)
		snapshot->limits.fds_earliest_ms = forecast.earliest_ms;
	if (forecast.latest_ms != SL_SERIES_NEVER)
		snapshot->limits.fds_latest_ms = forecast.latest_ms;
}

void sl_gather_ports(const struct sl_gathering *from, struct sl_snapshot *snapshot)
{
	struct holdings all = {0};
	bool has_range = from->limits.port_low >= 0;
	/* Made by sl_gather_peers() just now, in the same arena. */
	struct sl_snapshot_peer *peers = (struct sl_snapshot_peer *)snapshot->peers;
	gather_fds(from, snapshot);
	snapshot->limits.ports_reserved = has_range ? from->limits.ports_reserved : SL_UNKNOWN;
	snapshot->limits.ports_taken = SL_UNKNOWN;
	if (has_range) {
		all.ports = from->limits.port_high - from->limits.port_low + 1 -
		            from->limits.ports_reserved;
		list_holdings(from, &all);
	}
	bool is_asked = has_range && all.list && ask(from, snapshot);
	for (uint32_t i = 0; i < snapshot->peer_count; i++) {
		peers[i].ports_left = peers[i].exhausted_in_ms = SL_UNKNOWN;
		peers[i].ports = (struct sl_snapshot_ports){.sources = SL_UNKNOWN,
		                                            .held = SL_UNKNOWN,
		                                            .used = SL_UNKNOWN,
		                                            .time_wait = SL_UNKNOWN,
		                                            .earliest_ms = SL_UNKNOWN,
		                                            .latest_ms = SL_UNKNOWN};
		if (all.list && peers[i].direction == SL_DIRECTION_OUT && peers[i].address)
			describe(from, &all, is_asked, &peers[i]);
	}
}
