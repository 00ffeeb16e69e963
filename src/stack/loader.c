#include "stack/loader.h"

#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/sys.h"

#include "base/poison.h"

/* Unsure: in a forked child, until the worker has been in. */
enum { SL_GATE_OPEN, SL_GATE_HELD, SL_GATE_UNSURE, SL_GATE_CLOSED };

static _Atomic uint32_t gate;   /* futex word */
static _Atomic uint32_t inside; /* futex word: threads that are */

/* This thread is among them: still, where it was left behind by a jump out of a handler. It comes in once. */
static __thread bool is_inside;

/* Wait while *word is `value`, or not `value` where is_until; bounded. */
static void wait_on(const _Atomic uint32_t *word, uint32_t value, bool is_until, uint64_t wait_ms)
{
	uint64_t until_ms = sl_clock_ms() + wait_ms;
	uint32_t seen;
	for (uint64_t now = sl_clock_ms();
	     ((seen = atomic_load(word)) == value) != is_until && now < until_ms;
	     now = sl_clock_ms())
		sl_sys_futex_wait(word, seen, (until_ms - now) * 1000000u);
}

bool sl_loader_enter(void)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		if (!is_inside)
			atomic_fetch_add(&inside, 1);
		is_inside = true;
		uint32_t now = atomic_load(&gate);
		if (now == SL_GATE_OPEN)
			return true;
		sl_loader_leave();
		if (now != SL_GATE_HELD)
			return false;
		wait_on(&gate, SL_GATE_HELD, false, SL_LOADER_FORK_MS);
	}
	return false;
}

void sl_loader_leave(void)
{
	if (!is_inside)
		return; /* a handler has forked meanwhile, and this is the child */
	is_inside = false;
	if (atomic_fetch_sub(&inside, 1) == 1 && atomic_load(&gate) == SL_GATE_HELD)
		sl_sys_futex_wake(&inside);
}

void sl_loader_hold(uint64_t wait_ms)
{
	uint32_t open = SL_GATE_OPEN;
	atomic_compare_exchange_strong(&gate, &open, SL_GATE_HELD);
	wait_on(&inside, 0, true, wait_ms);
}

void sl_loader_release(void)
{
	uint32_t held = SL_GATE_HELD;
	if (atomic_compare_exchange_strong(&gate, &held, SL_GATE_OPEN))
		sl_sys_futex_wake(&gate);
}

void sl_loader_close(void)
{
	atomic_store(&gate, SL_GATE_CLOSED);
}

void sl_loader_forked(void)
{
	bool was_inside = atomic_exchange(&inside, 0) != 0;
	is_inside = false;
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
