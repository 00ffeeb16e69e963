/* growth.h - how the CLOSE_WAITs of each peer grow.
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child starts anew. errno: untouched.
 */
#ifndef SL_WATCH_GROWTH_H
#define SL_WATCH_GROWTH_H

#include <stdbool.h>
#include <stdint.h>

/* After a sweep: keep a sample of each peer's CLOSE_WAITs, and of all together. */
void sl_growth_sample(uint64_t now_ms);

/* CLOSE_WAITs a minute of this peer (0: all together), with `close_wait` of them now. False: not known yet. */
bool sl_growth_of_peer(uint32_t peer, uint64_t now_ms, uint32_t close_wait, int64_t *per_min);

void sl_growth_forked(void);

#endif
