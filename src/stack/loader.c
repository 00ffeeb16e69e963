#include "stack/loader.h"

#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_GATE_WAIT_MS 20

/* Unsure: in a forked child, until the worker has been in. */
enum { SL_GATE_OPEN, SL_GATE_FORKING, SL_GATE_UNSURE, SL_GATE_CLOSED };

static _Atomic uint32_t gate;   /* futex word */
static _Atomic uint32_t inside; /* futex word: threads that are */

/* Wait while *word is `value`, or not `value` where is_until; bounded. */
static void wait_on(const _Atomic uint32_t *word, uint32_t value, bool is_until)
{
	uint64_t until_ms = sl_clock_ms() + SL_GATE_WAIT_MS;
	uint32_t seen;
	for (uint64_t now = sl_clock_ms();
	     ((seen = atomic_load(word)) == value) != is_until && now < until_ms;
	     now = sl_clock_ms())
		sl_sys_futex_wait(word, seen, (until_ms - now) * 1000000u);
}

bool sl_loader_enter(void)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		atomic_fetch_add(&inside, 1);
		uint32_t now = atomic_load(&gate);
		if (now == SL_GATE_OPEN)
			return true;
		sl_loader_leave();
		if (now != SL_GATE_FORKING)
			return false;
		wait_on(&gate, SL_GATE_FORKING, false);
	}
	return false;
}

void sl_loader_leave(void)
{
	if (atomic_fetch_sub(&inside, 1) == 1 && atomic_load(&gate) == SL_GATE_FORKING)
		sl_sys_futex_wake(&inside);
}

void sl_loader_fork_prepare(void)
{
	uint32_t open = SL_GATE_OPEN;
	atomic_compare_exchange_strong(&gate, &open, SL_GATE_FORKING);
	wait_on(&inside, 0, true);
}

void sl_loader_fork_parent(void)
{
	uint32_t forking = SL_GATE_FORKING;
	if (atomic_compare_exchange_strong(&gate, &forking, SL_GATE_OPEN))
		sl_sys_futex_wake(&gate);
}

void sl_loader_forked(void)
{
	bool was_inside = atomic_exchange(&inside, 0) != 0;
	if (was_inside || atomic_load(&gate) == SL_GATE_CLOSED || !sl_process_may_make_threads())
		atomic_store(&gate, SL_GATE_CLOSED);
	else
		atomic_store(&gate, sl_process_has_threads() ? SL_GATE_UNSURE : SL_GATE_OPEN);
}

static int look_at_first(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)info, (void)size, (void)context;
	return 1;
}

void sl_loader_try(void)
{
	uint32_t unsure = SL_GATE_UNSURE;
	if (atomic_load(&gate) != SL_GATE_UNSURE)
		return;
	(void)dl_iterate_phdr(look_at_first, NULL);
	(void)atomic_compare_exchange_strong(&gate, &unsure, SL_GATE_OPEN);
}
