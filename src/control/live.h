/* live.h - options that are changed while the program runs: for a time, or until it ends.
 *
 * Layer: control. Locks: none: the worker only, or, while there is none, the control thread. Fork: the child goes on with what its
 * parent had. errno: untouched.
 */
#ifndef SL_CONTROL_LIVE_H
#define SL_CONTROL_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"

struct sl_live_change {
	const char *pairs; /* "key=value key=value" */
	int64_t for_ms;    /* SL_FOR_* of request.h, or a duration */
	bool is_dry;       /* only say what would change */
	uint32_t uid;      /* who asks */
};

/* Actions that are switched on without a word on how long end by themselves. */
#define SL_LIVE_USUAL_MS (4LL * 3600 * 1000)

/* Change all of it, or nothing. True: `answer` has the JSON of what changed; each change is an event. False: it has why not, in
 * words. */
bool sl_live_set(const struct sl_live_change *change, struct sl_out *answer);

/* Switch on or off, as enabled= does; the same answer, the same event. Of `change` the pairs do not count. */
bool sl_live_power(bool on, const struct sl_live_change *change, struct sl_out *answer);

/* Take back what was for a time that is over, also where the library is switched off. Returns the ms until the next is;
 * UINT64_MAX: none. */
uint64_t sl_live_turn(uint64_t now_ms);

/* Nothing is to be taken back: the options were read anew. Context: while no worker runs. */
void sl_live_forget(void);

#endif
