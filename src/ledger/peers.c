#include "ledger/peers.h"

#include <netinet/in.h>
#include <string.h>

#include "base/hash.h"
#include "ledger/sites.h"

#include "base/poison.h"

struct peer_key {
	enum sl_direction direction;
	const struct sl_endpoint *at;
};

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_v4(const struct sl_endpoint *endpoint)
{
	return memcmp(endpoint->address, v4_mapped, sizeof(v4_mapped)) == 0;
}

bool sl_endpoint_of(const struct sockaddr *address, unsigned n, struct sl_endpoint *endpoint)
{
	sa_family_t family;
	if (!address || n < sizeof(family))
		return false;
	/* The program's buffer need not be aligned. */
	memcpy(&family, address, sizeof(family));
	if (family == AF_INET && n >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in v4;
		memcpy(&v4, address, sizeof(v4));
		memcpy(endpoint->address, v4_mapped, sizeof(v4_mapped));
		memcpy(endpoint->address + 12, &v4.sin_addr, 4);
		endpoint->port = ntohs(v4.sin_port);
		return true;
	}
	/* The kernel takes an address without scope id: SIN6_LEN_RFC2133 in net/ipv6. */
	if (family == AF_INET6 && n >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		struct sockaddr_in6 v6;
		memcpy(&v6, address, offsetof(struct sockaddr_in6, sin6_scope_id));
		memcpy(endpoint->address, &v6.sin6_addr, 16);
		endpoint->port = ntohs(v6.sin6_port);
		return true;
	}
	return false;
}

static unsigned group_at(const struct sl_endpoint *endpoint, int group)
{
	return (unsigned)endpoint->address[2 * group] << 8 | endpoint->address[2 * group + 1];
}

/* The longest run of two zero groups or more, the first of equals (RFC 5952, 4.2). */
static void longest_zero_run(const struct sl_endpoint *endpoint, int *start, int *length)
{
	*start = -1;
	*length = 1;
	for (int group = 0; group < 8; group++) {
		int end = group;
		while (end < 8 && group_at(endpoint, end) == 0)
			end++;
		if (end - group > *length) {
			*start = group;
			*length = end - group;
		}
		if (end > group)
			group = end;
	}
}

static void print_v6(struct sl_out *out, const struct sl_endpoint *endpoint)
{
	int start, length;
	longest_zero_run(endpoint, &start, &length);
	for (int group = 0; group < 8; group++) {
		if (group == start) {
			sl_out_text(out, "::");
			group += length - 1;
			continue;
		}
		if (group > 0 && group != start + length)
			sl_out_char(out, ':');
		sl_out_hex(out, group_at(endpoint, group));
	}
}

void sl_endpoint_print_address(struct sl_out *out, const struct sl_endpoint *endpoint)
{
	if (!is_v4(endpoint)) {
		print_v6(out, endpoint);
		return;
	}
	for (int i = 12; i < 16; i++) {
		if (i > 12)
			sl_out_char(out, '.');
		sl_out_unsigned(out, endpoint->address[i]);
	}
}

void sl_endpoint_print(struct sl_out *out, const struct sl_endpoint *endpoint)
{
	bool v6 = !is_v4(endpoint);
	if (v6)
		sl_out_char(out, '[');
	sl_endpoint_print_address(out, endpoint);
	if (v6)
		sl_out_char(out, ']');
	sl_out_char(out, ':');
	sl_out_unsigned(out, endpoint->port);
}

static bool peer_equal(const struct sl_interned *item, const void *key)
{
	const struct sl_peer *peer = (const struct sl_peer *)item;
	const struct peer_key *k = key;
	return peer->direction == k->direction && peer->at.port == k->at->port &&
	       memcmp(peer->at.address, k->at->address, 16) == 0;
}

static struct sl_interned *peer_make(struct sl_arena *arena, const void *key)
{
	const struct peer_key *k = key;
	struct sl_peer *peer = sl_arena_alloc(arena, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->direction = k->direction;
	memcpy(peer->at.address, k->at->address, 16);
	peer->at.port = k->at->port;
	return &peer->head;
}

/* Apart: a server's clients, many over the years, must not use up the room of the few that it calls. */
SL_INTERN(outbound, SL_PEERS_EACH, &sl_ledger_arena, peer_equal, peer_make);
SL_INTERN(inbound, SL_PEERS_EACH, &sl_ledger_arena, peer_equal, peer_make);

uint32_t sl_peer_intern(enum sl_direction direction, const struct sl_endpoint *at)
{
	uint64_t words[3];
	bool is_inbound = direction == SL_DIRECTION_IN;
	memcpy(words, at->address, 16);
	words[2] = (uint64_t)at->port << 8 | (uint64_t)direction;
	struct peer_key key = {direction, at};
	const struct sl_interned *item =
		sl_intern(is_inbound ? &inbound : &outbound, sl_hash_words(words, 3), &key);
	if (!item)
		return SL_PEER_OVERFLOW;
	return is_inbound ? SL_PEERS_EACH + item->id : item->id;
}

const struct sl_peer *sl_peer_get(uint32_t id)
{
	if (id >= SL_PEER_OVERFLOW)
		return NULL;
	const struct sl_interned *item = id > SL_PEERS_EACH
	                                         ? sl_intern_get(&inbound, id - SL_PEERS_EACH)
	                                         : sl_intern_get(&outbound, id);
	return (const struct sl_peer *)item;
}

uint32_t sl_peer_last(void)
{
	uint32_t last = sl_intern_last(&inbound);
	return last ? SL_PEERS_EACH + last : sl_intern_last(&outbound);
}
