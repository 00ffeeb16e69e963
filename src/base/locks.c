#include "base/locks.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/sys.h"

#include "base/poison.h"

#define SL_SPINS 10000

enum { SL_FREE, SL_HELD, SL_WAITED_FOR };

static _Atomic uint32_t words[SL_LOCK_COUNT];
static _Thread_local bool has_all; /* this thread is forking */

bool sl_lock_try(enum sl_lock lock)
{
	uint32_t expected = SL_FREE;
	return atomic_compare_exchange_strong(&words[lock], &expected, SL_HELD);
}

void sl_lock_take(enum sl_lock lock)
{
	if (has_all || sl_lock_try(lock))
		return;
	while (atomic_exchange(&words[lock], SL_WAITED_FOR) != SL_FREE)
		sl_sys_futex_wait(&words[lock], SL_WAITED_FOR, 0);
}

bool sl_lock_spin(enum sl_lock lock)
{
	for (int i = 0; i < SL_SPINS; i++)
		if (sl_lock_try(lock))
			return true;
	return false;
}

void sl_lock_release(enum sl_lock lock)
{
	if (has_all)
		return;
	if (atomic_exchange(&words[lock], SL_FREE) == SL_WAITED_FOR)
		sl_sys_futex_wake(&words[lock]);
}

void sl_locks_fork_prepare(void)
{
	for (int lock = 0; lock < SL_LOCK_COUNT; lock++)
		sl_lock_take((enum sl_lock)lock);
	has_all = true;
}

void sl_locks_fork_done(void)
{
	has_all = false;
	for (int lock = SL_LOCK_COUNT - 1; lock >= 0; lock--)
		sl_lock_release((enum sl_lock)lock);
}

void sl_locks_forked(void)
{
	for (int lock = 0; lock < SL_LOCK_COUNT && !has_all; lock++)
		atomic_store(&words[lock], SL_FREE);
}
