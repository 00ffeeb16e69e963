/* listeners.h - for how long connections have waited at each listener while the program accepted none.
 *
 * A sweep meets every listener, and its accept() calls leave their mark in the fd table. Where the kernel's list of sockets may be
 * read it knows more: since when the oldest waits, whoever shares the listener (sl_sockdiag_backlog()).
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child starts anew. errno: untouched.
 */
#ifndef SL_WATCH_LISTENERS_H
#define SL_WATCH_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/fdtable.h"

#define SL_LISTENERS_MAX 64

/* A sweep met this listener. */
void sl_listeners_meet(const struct sl_fd_record *record, uint64_t now_ms);

/* How long its backlog has not been empty, with nothing accepted; 0: no longer than since the last sweep. */
uint64_t sl_listeners_waited_ms(const struct sl_fd_record *record, uint64_t now_ms);

/* The listener at which connections have waited for longest, as of the last sweep. False: at none. */
bool sl_listeners_longest(uint64_t now_ms, int *fd, uint64_t *waited_ms);

void sl_listeners_forked(void);

#endif
