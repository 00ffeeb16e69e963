/* peers.h - the other ends of connections.
 *
 * Outbound, a peer is an address and a port. Inbound the peer's port says nothing, so it is the client's address and our
 * port. Addresses are kept as IPv6; IPv4 as v4-mapped (RFC 4291, 2.5.5.2), so that a connection through an IPv6 socket to an IPv4
 * peer is the same peer.
 *
 * Layer: ledger. Locks: none. Fork: the child keeps all. errno: untouched.
 * Async-signal-safe: everything here (memory perhaps by mmap: before the real call).
 */
#ifndef SL_LEDGER_PEERS_H
#define SL_LEDGER_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"
#include "ledger/intern.h"
#include "ledger/kinds.h"

struct sockaddr;

#define SL_PEERS_EACH 4096u /* of each direction: outbound ids first, then inbound */
#define SL_PEERS_MAX (2 * SL_PEERS_EACH)
#define SL_PEER_OVERFLOW SL_PEERS_MAX /* id of all that found no room, summed */

struct sl_endpoint {
	uint8_t address[16]; /* IPv6, or v4-mapped; network order */
	uint16_t port;       /* host order */
};

/* Constant once published. */
struct sl_peer {
	struct sl_interned head;
	enum sl_direction direction;
	struct sl_endpoint at; /* out: the peer; in: the client's address and our port */
};

/* From a socket address of n bytes. False: not IPv4 or IPv6, or too short. */
bool sl_endpoint_of(const struct sockaddr *address, unsigned n, struct sl_endpoint *endpoint);

/* "1.2.3.4" or "2001:db8::1" (RFC 5952). */
void sl_endpoint_print_address(struct sl_out *out, const struct sl_endpoint *endpoint);
/* "1.2.3.4:80" or "[2001:db8::1]:80". */
void sl_endpoint_print(struct sl_out *out, const struct sl_endpoint *endpoint);

/* The id of this peer, found or made; SL_PEER_OVERFLOW: no room. Never 0. */
uint32_t sl_peer_intern(enum sl_direction direction, const struct sl_endpoint *at);

/* NULL: none, or SL_PEER_OVERFLOW. */
const struct sl_peer *sl_peer_get(uint32_t id);
/* Ids run from 1 to this, with gaps. */
uint32_t sl_peer_last(void);

#endif
