/* rules.h - only= and never=: may this connection be touched?
 *
 * Layer: reclaim. Locks: none: the worker only. Fork: no state. errno: untouched.
 */
#ifndef SL_RECLAIM_RULES_H
#define SL_RECLAIM_RULES_H

#include <stdbool.h>
#include <stdint.h>

/* Is the connection of this peer and fd covered by only= (an empty list covers all), and not by never=? A peer that is not
 * known is covered only where both lists are empty. */
bool sl_rules_cover(uint32_t peer, int fd);

#endif
