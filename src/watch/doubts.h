/* doubts.h - may a socket that is not recorded be that of a call which is yet to record it?
 *
 * A call that makes or copies a socket is back at once, unless its thread lost its processor on the way: it is waited for. An accept() may
 * wait for days: only what came from its listener can be its own. No doubt lasts: a call may never come back.
 *
 * Layer: watch. Locks: none: the worker only. Fork: no state worth keeping. errno: untouched.
 */
#ifndef SL_WATCH_DOUBTS_H
#define SL_WATCH_DOUBTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/openings.h"

#define SL_DOUBTS_MS 10000u /* the longest */

/* `seen`: what was under way when the socket had been met. True: it is not to be taken for one that nobody saw open, not yet. False: its record, if
 * a call of these was to make one, is there by now. */
bool sl_doubts_remain(const struct sl_openings *seen, int fd, enum sl_kind kind, uint64_t cookie,
                      uint64_t now_ms);

#endif
