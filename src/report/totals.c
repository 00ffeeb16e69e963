#include "report/totals.h"

#include <stdatomic.h>

#include "ledger/fdtable.h"
#include "reclaim/reclaim.h"
#include "watch/suspects.h"
#include "watch/sweep.h"

#include "base/poison.h"

#define SL_WORDS (sizeof(struct sl_totals) / sizeof(uint64_t))
#define SL_PLACES 2

/* The worker writes the place that nobody is told of, then tells it. `version` counts publications; 0: none yet. Who reads while two
 * of them happen reads again. */
static _Atomic uint64_t places[SL_PLACES][SL_WORDS];
static _Atomic uint64_t version;

void sl_totals_publish(uint64_t now_ms)
{
	struct sl_reclaim_counts counts;
	union {
		struct sl_totals totals;
		uint64_t words[SL_WORDS];
	} now = {.totals = {
			 .swept_at_ms = now_ms,
			 .open = sl_sweep_open(),
			 .close_wait = sl_suspects_close_wait(),
			 .stuck = sl_suspects_stuck(),
			 .retracted = sl_suspects_retracted(),
		 }};
	uint64_t next = atomic_load(&version) + 1;
	sl_reclaim_counts(&counts);
	now.totals.regretted = counts.regretted;
	/* As in a report: what was opened since the count is closed for this once. */
	now.totals.opened = sl_fdtable_opened(SL_KIND_TCP);
	if (now.totals.opened < now.totals.open)
		now.totals.opened = now.totals.open;
	now.totals.closed = now.totals.opened - now.totals.open;
	for (unsigned i = 0; i < SL_WORDS; i++)
		atomic_store(&places[next % SL_PLACES][i], now.words[i]);
	atomic_store(&version, next);
}

bool sl_totals_read(struct sl_totals *totals)
{
	union {
		struct sl_totals totals;
		uint64_t words[SL_WORDS];
	} seen;
	uint64_t at = atomic_load(&version), before;
	do {
		if (at == 0)
			return false;
		before = at;
		for (unsigned i = 0; i < SL_WORDS; i++)
			seen.words[i] = atomic_load(&places[before % SL_PLACES][i]);
		at = atomic_load(&version);
	} while (at != before);
	*totals = seen.totals;
	return true;
}

void sl_totals_forked(void)
{
	atomic_store(&version, 0);
}
