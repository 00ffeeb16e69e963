/* keepalive.h - keepalive=: SO_KEEPALIVE with our times on every TCP socket that the program has not set its own on.
 *
 * It ends half-open connections, and those CLOSE_WAITs whose peer has forgotten them. Set by the worker, after the sweep that
 * meets the socket first. What getsockopt() tells the program is what is in force.
 *
 * A peer that does not answer is taken for dead after twice keepalive= at most: TCP_KEEPIDLE is that, TCP_KEEPINTVL a fifth
 * of it, one second at least, TCP_KEEPCNT 5 (tcp(7)).
 *
 * Layer: reclaim. Locks: as act.h. Fork: the child keeps what is set. errno: untouched.
 */
#ifndef SL_RECLAIM_KEEPALIVE_H
#define SL_RECLAIM_KEEPALIVE_H

#include "ledger/fdtable.h"

/* Worker, after a sweep: set it on those that have it not. */
void sl_keepalive_turn(void);

/* From a hook, before the program sets keepalive itself: what we set is taken back, and we never set it again.
 * Async-signal-safe; makes system calls where ours was set. */
void sl_keepalive_yield(const struct sl_fd_record *record);

#endif
