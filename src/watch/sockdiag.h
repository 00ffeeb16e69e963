/* sockdiag.h - who has which ports in this network namespace: the kernel's list of TCP sockets (sock_diag(7)).
 *
 * Read by the clerk, in whose fd table the netlink socket lies: it is never among the program's. Bounded in time and in size; where
 * it may not be read, or not to its end, nothing is known, which is not the same as none.
 *
 * The list has the sockets of every process of the namespace, and those in TIME_WAIT, which are nobody's. What is in state CLOSE is
 * in no list, unless it is bound (from Linux 6.8).
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child asks anew. errno: untouched.
 */
#ifndef SL_WATCH_SOCKDIAG_H
#define SL_WATCH_SOCKDIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/peers.h"

#define SL_SOCKDIAG_DESTS 256u /* destinations in one question */
#define SL_SOCKDIAG_PAIRS 512u /* of them and local addresses, in one answer */
#define SL_SOCKDIAG_PORTS 65536u
#define SL_SOCKDIAG_HASH 1024u /* a power of two, and more than there are of either */

struct sl_sockdiag_question {
	uint16_t low, high; /* local ports that count */
	uint8_t reserved[SL_SOCKDIAG_PORTS /
	                 8]; /* a bit for each port that does not, though it lies between them */
	struct sl_endpoint dests[SL_SOCKDIAG_DESTS]; /* no two alike */
	uint32_t count;
};

/* Local ports of one local address that are taken for one destination. */
struct sl_sockdiag_pair {
	struct sl_endpoint source; /* its port is 0 */
	uint32_t dest;             /* index into the question's */
	uint32_t ports;            /* in whatever state, TIME_WAIT too */
	uint32_t time_wait;
	uint32_t time_wait_aged; /* of those, for longer than a second: see tcp_tw_reuse */
};

struct sl_sockdiag_answer {
	struct sl_sockdiag_pair pairs[SL_SOCKDIAG_PAIRS];
	uint32_t count;
	uint32_t
		taken; /* ports that a listener or a bound socket has: no connect() to anybody is given those */
	uint32_t sockets;  /* looked at */
	uint64_t spent_us; /* in the asking */
};

/* The question to be filled in; what is in it stays until then. NULL: there is no clerk, it is busy, or there is no memory.
 * Context: the worker. */
struct sl_sockdiag_question *sl_sockdiag_question(void);
/* Ask it, and give up after limit_ms: a report may take its time, but who waits for a rescue may not wait for long. *answer is the
 * clerk's: good until the next question is filled in. Context: the worker. Blocks: up to limit_ms, and a little longer. Returns 0,
 * or what stood in the way: -EAGAIN: the clerk is busy; -ETIMEDOUT, -E2BIG: there are too many sockets; else the kernel's. */
#define SL_SOCKDIAG_REPORT_MS 200
#define SL_SOCKDIAG_GLANCE_MS 100
int sl_sockdiag_ask(uint64_t limit_ms, const struct sl_sockdiag_answer **answer);

/* How long the longest waiting connection to this local port, which nobody has accepted, has waited for the program at least: since it
 * was made, or its client was last heard of. The same returns; -ENOENT: there is none. */
int sl_sockdiag_backlog(uint16_t port, uint64_t *waited_ms);

/* ---- the parts that read no socket: pure ---- */

struct sl_sockdiag_tally {
	const struct sl_sockdiag_question *question; /* NULL: a backlog is asked about */
	struct sl_sockdiag_answer *answer;
	uint8_t taken[SL_SOCKDIAG_PORTS / 8]; /* ports counted there already */
	uint16_t dests[SL_SOCKDIAG_HASH];     /* index + 1; 0: free */
	uint16_t pairs[SL_SOCKDIAG_HASH];
	uint32_t sockets;
	uint64_t waited_ms; /* of the backlog */
	bool has_waiting;
};
/* Take a message of n bytes, as the kernel sends them. 0: go on; 1: that was the last; or -errno. */
int sl_sockdiag_take(struct sl_sockdiag_tally *tally, const void *bytes, uint64_t n);
/* Begin to tally for this question, which stays where it is. */
void sl_sockdiag_tally(struct sl_sockdiag_tally *tally, const struct sl_sockdiag_question *question,
                       struct sl_sockdiag_answer *answer);

#endif
