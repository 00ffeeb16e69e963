/* elsewhere.h - which connections are not well, and are no leak of this program's: pure functions.
 *
 * Layer: watch. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_WATCH_ELSEWHERE_H
#define SL_WATCH_ELSEWHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "watch/kernel.h"

enum sl_elsewhere_kind {
	SL_ELSEWHERE_NOT_ACCEPTED, /* connections that the kernel made, and the program has not accepted */
	SL_ELSEWHERE_FIN_WAIT2, /* we have closed our half; the peer does not close its own */
	SL_ELSEWHERE_HALF_OPEN, /* ESTABLISHED, silent for long, and no keepalive would notice */
	SL_ELSEWHERE_NEVER_CONNECTED, /* socket(), and no connect() or listen() since */
	SL_ELSEWHERE_CONNECT_FAILED,  /* the connect() failed, and the socket was left */
	SL_ELSEWHERE_CONNECTING,      /* SYN_SENT, and no answer */
	SL_ELSEWHERE_PORTS_TAKEN, /* ports to a peer that others of this network namespace have */
	SL_ELSEWHERE_COUNT,
};

/* Silent for this many deadlines: half an hour with the standard one. */
#define SL_ELSEWHERE_SILENT_DEADLINES 30u
/* A SYN is answered, or its like is seen again, within a few seconds. */
#define SL_ELSEWHERE_CONNECTING_MS 10000u
/* Fewer are nothing that a healthy process would have to answer for. */
#define SL_ELSEWHERE_MANY 10u

struct sl_elsewhere_seen {
	const struct sl_kernel_tcp *tcp;
	uint64_t age_ms;    /* since it was opened, or first seen */
	bool has_tried;     /* connect() was called */
	bool was_connected; /* at any time */
};

/* Is this connection of one of the kinds? For how long, as far as is known. A SL_ELSEWHERE_HALF_OPEN is one only if it has no
 * keepalive, which costs a question of its own. */
bool sl_elsewhere_is(const struct sl_elsewhere_seen *seen, uint64_t deadline_ms,
                     enum sl_elsewhere_kind *kind, uint64_t *age_ms);

/* Do others have a good part of the ports to a destination? */
bool sl_elsewhere_has_others(int64_t others, int64_t range);

/* Are so many of them worth more than one line of a healthy process? */
bool sl_elsewhere_is_notable(enum sl_elsewhere_kind kind, uint64_t count);

#endif
