/* rescue.h - a call of the program is about to fail because ports or fds have run out.
 *
 * The call's thread asks, the worker acts, the thread waits a bounded moment with no lock held, and tries the call once more.
 * For ports: quiet CLOSE_WAIT connections to that same destination (for a bind(): to any) are shut down, longest quiet first;
 * never one that the ladder might not shut down either. For fds: the soft limit is raised once (raise_nofile=), and what was
 * neutralized before is closed (action=close).
 *
 * Layer: reclaim. Locks: none. Fork: sl_rescue_forked(). errno: untouched.
 */
#ifndef SL_RECLAIM_RESCUE_H
#define SL_RECLAIM_RESCUE_H

#include <stdbool.h>
#include <stdint.h>

/* From a hook, after a connect() to this destination (peer id; 0: a bind() to any port) failed for want of ports. True: some are
 * free now. Other threads may take them first: then it is asked again, until the time is over that *until_ms says (0 at first: set
 * here). Blocks: SL_RESCUE_WAIT_MS at most in all, only while the worker is at it. Async-signal-safe. */
#define SL_RESCUE_WAIT_MS 200
bool sl_rescue_ports(uint32_t dest, uint64_t *until_ms);

/* The same for fds, where anything can be done about them. `error`: EMFILE or ENFILE. */
bool sl_rescue_fds(int error);

/* From a hook: the second try has succeeded, or not. */
void sl_rescue_tell(bool is_rescued);

/* Worker: did the last rescue of fds find any? */
bool sl_rescue_has_freed_fds(void);

/* Worker: answer those who wait. Returns true if a sweep was made for it. */
bool sl_rescue_turn(uint64_t now_ms);

/* Calls that succeeded after all. */
uint64_t sl_rescue_count(void);

void sl_rescue_forked(void);

#endif
