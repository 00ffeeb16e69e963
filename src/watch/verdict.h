/* verdict.h - from counts to one word: a pure function.
 *
 * Layer: watch. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 *
 * The rule, until histories are kept: a site with at least SL_VERDICT_LEAK_MIN stuck connections is a
 * leak; with fewer stuck ones, or with that many in CLOSE_WAIT that have not reached the deadline, it is
 * unknown; else ok. The process takes the worst of its sites, and a
 * report that is written because ports or fds have run out is never OK.
 */
#ifndef SL_WATCH_VERDICT_H
#define SL_WATCH_VERDICT_H

#include <stdint.h>

#define SL_VERDICT_LEAK_MIN 10

enum sl_verdict {
	SL_VERDICT_OK,
	SL_VERDICT_UNKNOWN,
	SL_VERDICT_LEAK,
	SL_VERDICT_COUNT,
};

enum sl_site_verdict {
	SL_SITE_OK,
	SL_SITE_UNKNOWN,
	SL_SITE_LEAK,
	SL_SITE_VERDICT_COUNT,
};

enum sl_site_verdict sl_verdict_of_site(uint64_t close_wait, uint64_t stuck);

/* The process: the worst of its sites. */
enum sl_verdict sl_verdict_of_process(enum sl_verdict so_far, enum sl_site_verdict site);

#endif
