/* external_ports.c - the local ports that are left to each outbound peer of a process without the library. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/diag.h"
#include "cli/external.h"
#include "cli/netns.h"
#include "watch/limits.h"
#include "watch/ports.h"

/* A port of the range, and who has it. */
struct taken_port {
	struct sl_endpoint dest;
	uint8_t source[16];
	bool is_time_wait, is_aged;
};

struct count {
	const struct sl_snapshot *s;
	const struct sl_outside *outside;
	int32_t tw_reuse;
	uint8_t reserved[SL_PORT_BITS_BYTES];
	uint8_t given_to_nobody[SL_PORT_BITS_BYTES]; /* by listeners and bound sockets */
	struct taken_port *list;
	size_t n, room;
	bool is_cut;
};

static bool take_bit(uint8_t *bits, unsigned at)
{
	bool was = bits[at / 8] >> (at % 8) & 1;
	bits[at / 8] |= (uint8_t)(1u << (at % 8));
	return was;
}

static void note(void *context, const struct sl_diag_socket *socket)
{
	struct count *count = context;
	unsigned port = socket->local.port;
	if (port < count->s->limits.port_low || port > count->s->limits.port_high ||
	    (count->reserved[port / 8] >> (port % 8) & 1))
		return;
	if (socket->state == TCP_LISTEN || socket->state == TCP_CLOSE) {
		(void)take_bit(count->given_to_nobody, port);
		return;
	}
	if (count->n == count->room) {
		size_t room = count->room ? count->room * 2 : 1024;
		struct taken_port *more = realloc(count->list, room * sizeof(*more));
		if (!more) {
			count->is_cut = true;
			return;
		}
		count->list = more;
		count->room = room;
	}
	struct taken_port *one = &count->list[count->n++];
	*one = (struct taken_port){.dest = socket->peer,
	                           .is_time_wait = socket->state == TCP_TIME_WAIT,
	                           .is_aged = socket->is_aged};
	memcpy(one->source, socket->local.address, sizeof(one->source));
}

static int by_dest(const void *a, const void *b)
{
	const struct taken_port *x = a, *y = b;
	int order = memcmp(x->dest.address, y->dest.address, sizeof(x->dest.address));
	if (order == 0)
		order = (int)x->dest.port - (int)y->dest.port;
	return order ? order : memcmp(x->source, y->source, sizeof(x->source));
}

/* The endpoint of a peer's row. False: it is not one. */
static bool endpoint_of(const struct sl_snapshot_peer *peer, struct sl_endpoint *endpoint)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
	                          .sin6_port = htons((uint16_t)peer->port)};
	if (!peer->address || peer->port < 0)
		return false;
	if (inet_pton(AF_INET, peer->address, &v4.sin_addr) == 1)
		return sl_endpoint_of((const struct sockaddr *)&v4, sizeof(v4), endpoint);
	return inet_pton(AF_INET6, peer->address, &v6.sin6_addr) == 1 &&
	       sl_endpoint_of((const struct sockaddr *)&v6, sizeof(v6), endpoint);
}

static bool is_dest(const struct taken_port *one, const struct sl_endpoint *dest)
{
	return one->dest.port == dest->port &&
	       memcmp(one->dest.address, dest->address, sizeof(dest->address)) == 0;
}

/* Index of the first that is no less; those of one destination and source are together. */
static size_t first_of(const struct count *count, const struct sl_endpoint *dest)
{
	const struct taken_port wanted = {.dest = *dest};
	size_t low = 0, high = count->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (by_dest(&count->list[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Ports that this process has there from this address. */
static int64_t held_from(const struct count *count, const struct sl_endpoint *dest,
                         const uint8_t source[16])
{
	int64_t held = 0;
	for (uint32_t i = 0; i < count->outside->count; i++) {
		const struct sl_outside_socket *socket = &count->outside->sockets[i];
		held += socket->direction == SL_DIRECTION_OUT && socket->tcp.state != TCP_CLOSE &&
		        socket->peer.port == dest->port &&
		        memcmp(socket->peer.address, dest->address, sizeof(dest->address)) == 0 &&
		        memcmp(socket->local.address, source, sizeof(socket->local.address)) == 0;
	}
	return held;
}

/* Of the local addresses that this process uses for the peer, that with the fewest ports left. */
static void describe(struct sl_arena *arena, const struct count *count, int64_t range,
                     struct sl_snapshot_peer *peer)
{
	struct sl_endpoint dest, source = {0};
	int64_t most = -1;
	if (peer->direction != SL_DIRECTION_OUT || !endpoint_of(peer, &dest))
		return;
	peer->ports.sources = peer->ports.used = peer->ports.time_wait = 0;
	for (size_t i = first_of(count, &dest); i < count->n && is_dest(&count->list[i], &dest);) {
		int64_t busy = 0, used = 0, time_wait = 0;
		size_t first = i;
		memcpy(source.address, count->list[first].source, sizeof(source.address));
		bool is_reused = sl_ports_is_reused(count->tw_reuse, &source, &dest);
		for (; i < count->n && by_dest(&count->list[i], &count->list[first]) == 0; i++) {
			used++;
			time_wait += count->list[i].is_time_wait;
			busy += !(count->list[i].is_aged && is_reused);
		}
		int64_t held = held_from(count, &dest, source.address);
		peer->ports.sources += held > 0;
		if (held == 0 || busy <= most)
			continue;
		char text[64];
		struct sl_out out;
		sl_out_init(&out, text, sizeof(text), NULL, NULL);
		sl_endpoint_print_address(&out, &source);
		most = busy;
		peer->ports.held = held;
		peer->ports.used = used;
		peer->ports.time_wait = time_wait;
		peer->ports.source = sl_arena_text(arena, text, out.length);
	}
	most = most > peer->ports.held ? most : peer->ports.held;
	peer->ports.used =
		peer->ports.used > peer->ports.held ? peer->ports.used : peer->ports.held;
	peer->ports.is_exact = true;
	peer->ports_left = range > most ? range - most : 0;
}

static char *read_setting(int pid, const char *path, char *text, int n)
{
	int home;
	if (sl_netns_enter(pid, &home) != 0)
		return NULL;
	FILE *file = fopen(path, "re");
	char *line = file ? fgets(text, n, file) : NULL;
	if (file)
		(void)fclose(file);
	sl_netns_leave(home);
	return line;
}

/* As the library's own (watch/limits.h). */
static int32_t read_reuse(int pid)
{
	long reuse[2], timestamps[2];
	if (sl_diag_setting(pid, "/proc/sys/net/ipv4/tcp_tw_reuse", reuse) < 1 ||
	    sl_diag_setting(pid, "/proc/sys/net/ipv4/tcp_timestamps", timestamps) < 1)
		return -1;
	return timestamps[0] ? (int32_t)reuse[0] : 0;
}

static int64_t count_bits(const uint8_t *bits)
{
	int64_t n = 0;
	for (unsigned i = 0; i < SL_PORT_BITS_BYTES; i++)
		n += __builtin_popcount(bits[i]);
	return n;
}

static bool has_outbound(const struct sl_snapshot *s)
{
	for (uint32_t i = 0; i < s->peer_count; i++)
		if (s->peers[i].direction == SL_DIRECTION_OUT)
			return true;
	return false;
}

void sl_external_count_ports(struct sl_arena *arena, int pid, const struct sl_outside *outside,
                             struct sl_snapshot *snapshot)
{
	struct count *count = calloc(1, sizeof(*count));
	/* Made by sl_external_sum_peers(), in the same arena. */
	struct sl_snapshot_peer *peers = (struct sl_snapshot_peer *)snapshot->peers;
	static char list[65536];
	snapshot->limits.ports_reserved = snapshot->limits.ports_taken = SL_UNKNOWN;
	if (!count || snapshot->limits.port_low == SL_UNKNOWN) {
		free(count);
		return;
	}
	count->s = snapshot;
	count->outside = outside;
	snapshot->limits.ports_reserved = 0;
	if (read_setting(pid, "/proc/sys/net/ipv4/ip_local_reserved_ports", list, sizeof(list))) {
		sl_limits_mark_reserved(list, count->reserved);
		snapshot->limits.ports_reserved =
			sl_limits_count_reserved(list, (int32_t)snapshot->limits.port_low,
		                                 (int32_t)snapshot->limits.port_high);
	}
	int64_t range = snapshot->limits.port_high - snapshot->limits.port_low + 1 -
	                snapshot->limits.ports_reserved;
	int error = has_outbound(snapshot) ? sl_diag_each(pid, SL_DIAG_ALL, note, count) : 0;
	if (error || count->is_cut) {
		snapshot->limits.ports_not_counted =
			error == -EPERM ? "its network namespace may not be entered"
					: "the kernel's list of sockets cannot be read";
	} else if (has_outbound(snapshot)) {
		count->tw_reuse = read_reuse(pid);
		snapshot->limits.ports_taken = count_bits(count->given_to_nobody);
		if (count->n)
			qsort(count->list, count->n, sizeof(*count->list), by_dest);
		for (uint32_t i = 0; i < snapshot->peer_count; i++)
			describe(arena, count, range - snapshot->limits.ports_taken, &peers[i]);
	}
	free(count->list);
	free(count);
}
