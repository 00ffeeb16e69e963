/* reap.h - end what is quiet, once, now: for the request `reap`.
 *
 * The ladder does it, by its own rules and no others, under options of a few seconds: action=shutdown unless more is allowed already,
 * deadline= the age that was asked for, max_rate= 1,000 at least, since somebody waits. Whatever the ladder spares is spared here.
 *
 * Layer: control. Locks: none: the worker only. Fork: the child has nothing under way, and the options as before
 * (sl_reap_abort()). errno: untouched.
 */
#ifndef SL_CONTROL_REAP_H
#define SL_CONTROL_REAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"

struct sl_reap {
	int64_t older_than_ms; /* < 0: deadline= as it is */
	const char *peer;      /* a rule of only=; "": all */
	bool is_inbound;       /* also those that the program has accepted */
	bool is_dry;           /* only say how many */
	uint32_t uid;          /* who asks */
};

/* True: it is under way, until sl_reap_turn() says that it is done. False: `answer` has why not. */
bool sl_reap_begin(const struct sl_reap *reap, struct sl_out *answer);

/* After a turn of the ladder: true: it is done, the options are as before, and `answer` has the JSON. */
bool sl_reap_turn(uint64_t now_ms, struct sl_out *answer);

/* Nobody else may change options meanwhile: they are put back as they were. */
bool sl_reap_is_under_way(void);

/* The worker ends, or is a forked child's: the options are as before. */
void sl_reap_abort(void);

#endif
