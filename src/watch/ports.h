/* ports.h - local ports in use for each outbound peer, and how that changes: those of this process, and those of everybody in its
 * network namespace.
 *
 * A connect() is given a local port that its local address does not use for the same destination yet, and that no listener and no bound
 * socket has (__inet_hash_connect() in net/ipv4/inet_hashtables.c). Whoever has it, and in whatever state, TIME_WAIT too: so what is
 * left is known only where the sockets of the whole namespace were counted (sockdiag.h).
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child starts anew. errno: untouched.
 */
#ifndef SL_WATCH_PORTS_H
#define SL_WATCH_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/peers.h"
#include "watch/limits.h"
#include "watch/series.h"

/* ---- those of this process, from the fd table alone ---- */

/* Count them; by peer id. One with two descriptors counts twice: rather early than late. Valid until the next call. */
const uint32_t *sl_ports_count_held(void);

/* After a sweep: keep samples, where it is time. */
void sl_ports_sample(uint64_t now_ms, int64_t fds);

/* ---- those of the namespace ---- */

/* Ask about these outbound peers; the first SL_SOCKDIAG_DESTS are taken. 0, or what stood in the way, as of sl_sockdiag_ask(); then
 * nothing is known of any. */
int sl_ports_ask(const struct sl_limits *limits, const uint32_t *peers, uint32_t n,
                 uint64_t limit_ms, uint64_t now_ms);

/* One local address, and a peer. */
struct sl_ports_use {
	struct sl_endpoint source; /* its port is 0 */
	uint32_t ports;            /* in whatever state */
	uint32_t time_wait;        /* of those */
	uint32_t busy;             /* of those: that no connect() is given */
};

/* The uses of a peer as they were asked for last: `at` counts from 0. False: no more, or not asked about. */
bool sl_ports_use_of(uint32_t peer, uint32_t at, struct sl_ports_use *use);
/* The most of them that no connect() is given from one local address; 0: none, or not asked about. */
uint32_t sl_ports_busy(uint32_t peer);
bool sl_ports_was_asked(uint32_t peer);
/* Ports that are given to nobody: of listeners and bound sockets. */
uint32_t sl_ports_taken(void);
/* What the last asking took. */
uint64_t sl_ports_spent_us(void);

/* Is a port in TIME_WAIT for more than a second given to a new connection between these two? `tcp_tw_reuse` as in limits.h. Pure. */
bool sl_ports_is_reused(int32_t tcp_tw_reuse, const struct sl_endpoint *source,
                        const struct sl_endpoint *dest);

/* ---- when they run out ---- */

/* Of a peer, with `left` of them now, by the samples of the namespace where there are enough of them, else of this process. */
bool sl_ports_foresee(uint32_t peer, uint64_t now_ms, uint64_t left, struct sl_forecast *forecast);
bool sl_ports_foresee_fds(uint64_t now_ms, uint32_t fds, uint64_t left,
                          struct sl_forecast *forecast);

void sl_ports_forked(void);

#endif
