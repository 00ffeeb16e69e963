#include "watch/verdict.h"

#include "base/poison.h"

/* Each one that a pool opens while others lie there takes the place of one that it has just found to be gone. */
static bool has_piled_up(const struct sl_evidence *e)
{
	return e->piled >= SL_VERDICT_LEAK_MIN &&
	       (e->piled >= e->replaced + SL_VERDICT_LEAK_MIN || e->records >= SL_VERDICT_RECORDS);
}

static bool is_of_a_pool(const struct sl_evidence *e)
{
	return 2 * e->reused > e->waiting;
}

/* A pool meets the dead ones when it needs one, and so closes them when it opens others. Who has one at a time, and closes it late, does
 * that as well. */
static bool are_exchanged(const struct sl_evidence *e)
{
	return e->waiting > 1 && e->retracted >= SL_VERDICT_SLOW_MIN &&
	       2 * e->exchanged >= e->retracted;
}

static bool are_too_many(const struct sl_evidence *e)
{
	uint64_t least = is_of_a_pool(e) ? 4 * SL_VERDICT_MANY : SL_VERDICT_MANY;
	return e->settled >= least && e->settled >= 2 * e->retracted;
}

/* Out of ports or fds there is no time to see what settles: whoever opened on beside dead ones, and is not known to close them late, has
 * used them up. */
static bool has_used_up(const struct sl_evidence *e)
{
	return e->is_pressing && e->stuck >= SL_VERDICT_LEAK_MIN &&
	       e->following >= SL_VERDICT_LEAK_MIN && e->retracted < SL_VERDICT_SLOW_MIN;
}

enum sl_site_verdict sl_verdict_of_site(const struct sl_evidence *e)
{
	if (has_piled_up(e) || are_too_many(e) || has_used_up(e))
		return SL_SITE_LEAK;
	if (e->stuck == 0)
		return e->waiting >= SL_VERDICT_LEAK_MIN ? SL_SITE_UNKNOWN : SL_SITE_OK;
	bool is_followed = e->following >= SL_VERDICT_LEAK_MIN;
	if (!is_followed && (is_of_a_pool(e) || are_exchanged(e)))
		return SL_SITE_POOL;
	if (e->piled > 0 && 2 * e->replaced >= e->piled)
		return SL_SITE_POOL;
	if (e->retracted >= SL_VERDICT_SLOW_MIN && e->retracted >= e->settled)
		return SL_SITE_SLOW;
	if (e->stuck >= SL_VERDICT_LEAK_MIN && !is_followed && !e->is_apart)
		return SL_SITE_BURST;
	return SL_SITE_UNKNOWN;
}

static enum sl_verdict verdict_from_site(enum sl_site_verdict site)
{
	switch (site) {
	case SL_SITE_OK:
	case SL_SITE_SLOW:
		return SL_VERDICT_OK;
	case SL_SITE_POOL:
		return SL_VERDICT_POOL;
	case SL_SITE_BURST:
		return SL_VERDICT_BURST;
	case SL_SITE_LEAK:
		return SL_VERDICT_LEAK;
	case SL_SITE_UNKNOWN:
	case SL_SITE_VERDICT_COUNT:
		break;
	}
	return SL_VERDICT_UNKNOWN;
}

enum sl_verdict sl_verdict_of_process(enum sl_verdict so_far, enum sl_site_verdict site)
{
	enum sl_verdict verdict = verdict_from_site(site);
	return so_far == SL_VERDICT_OK || verdict == SL_VERDICT_LEAK ? verdict : so_far;
}

enum sl_verdict sl_verdict_from_outside(uint64_t waiting, uint64_t stuck)
{
	if (stuck >= SL_VERDICT_MANY)
		return SL_VERDICT_LEAK;
	return stuck > 0 || waiting >= SL_VERDICT_LEAK_MIN ? SL_VERDICT_UNKNOWN : SL_VERDICT_OK;
}
