#include "watch/verdict.h"

#include "base/poison.h"

enum sl_site_verdict sl_verdict_of_site(uint64_t close_wait, uint64_t stuck)
{
	if (stuck >= SL_VERDICT_LEAK_MIN)
		return SL_SITE_LEAK;
	if (stuck > 0 || close_wait >= SL_VERDICT_LEAK_MIN)
		return SL_SITE_UNKNOWN;
	return SL_SITE_OK;
}

static enum sl_verdict verdict_from_site(enum sl_site_verdict site)
{
	switch (site) {
	case SL_SITE_OK:
		return SL_VERDICT_OK;
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
	return verdict > so_far ? verdict : so_far;
}
