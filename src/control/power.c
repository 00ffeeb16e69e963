#include "control/power.h"

#include <errno.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/locks.h"
#include "base/options.h"
#include "base/process.h"
#include "base/sys.h"
#include "control/signal.h"
#include "ledger/fdtable.h"
#include "reclaim/reclaim.h"
#include "watch/worker.h"

#include "base/poison.h"

#define SL_PARK_WAIT_MS 2000
#define SL_PARK_LOOK_NS 1000000u

_Atomic bool sl_power_is_on;
static bool has_started; /* constant after start; not in a child that is left out */
static bool is_rested; /* our threads were ended, and wait for sl_worker_resume(); under the lock */
static _Atomic bool parked; /* the worker's; read by a forked child's */

static void switch_off(void)
{
	atomic_store(&sl_power_is_on, false);
	is_rested = true;
	/* Until it is resumed no worker starts; one that a disk keeps busy ends as soon as it can. */
	if (sl_worker_rest() || !sl_worker_is_running())
		sl_reclaim_rest();
	sl_signal_release();
}

static void switch_on(void)
{
	atomic_store(&sl_power_is_on, true);
	sl_signal_resume();
	if (is_rested)
		sl_worker_resume(sl_fdtable_opened(SL_KIND_TCP) > 0);
	else
		sl_worker_want(0);
	is_rested = false;
}

void sl_power_start(void)
{
	atomic_store(&parked, false);
	is_rested = false;
	atomic_store(&sl_power_is_on, true);
	has_started = true;
}

void sl_power_end(void)
{
	atomic_store(&sl_power_is_on, false);
	has_started = false;
}

bool sl_power_is_started(void)
{
	return has_started;
}

bool sl_power_may_ask(void)
{
	return has_started && sl_process_is_ours() && !sl_process_is_sandboxed() &&
	       !sl_process_is_separate_thread();
}

int sl_power_switch(bool on)
{
	int saved_errno = errno;
	if (!sl_power_may_ask())
		return -1;
	uint64_t signals = sl_sys_block_signals();
	sl_lock_take(SL_LOCK_POWER);
	bool was_on = atomic_load(&sl_power_is_on);
	if (was_on != on)
		(on ? switch_on : switch_off)();
	sl_options.enabled = on;
	sl_lock_release(SL_LOCK_POWER);
	sl_sys_unblock_signals(signals);
	errno = saved_errno;
	return was_on;
}

int sl_power_order(bool on)
{
	if (!sl_power_may_ask() || !sl_lock_try(SL_LOCK_POWER))
		return -1;
	bool was_on = atomic_exchange(&sl_power_is_on, on);
	sl_options.enabled = on;
	sl_lock_release(SL_LOCK_POWER);
	return was_on;
}

static void park(void)
{
	static const _Atomic uint32_t never;
	uint64_t until_ms = sl_clock_ms() + SL_PARK_WAIT_MS;
	while (!sl_clerk_end() && sl_clock_ms() < until_ms)
		sl_sys_futex_wait(&never, 0, SL_PARK_LOOK_NS);
	sl_reclaim_rest();
	sl_signal_release();
	atomic_store(&parked, true);
}

bool sl_power_turn(void (*start)(void))
{
	bool is_on = atomic_load(&sl_power_is_on);
	if (is_on && atomic_load(&parked)) {
		atomic_store(&parked, false);
		sl_signal_resume();
		start();
	} else if (!is_on && !atomic_load(&parked)) {
		park();
	}
	return !is_on;
}

void sl_power_off_in_child(void)
{
	atomic_store(&sl_power_is_on, false);
	(void)sl_worker_rest();
	sl_reclaim_rest();
	sl_signal_release();
	sl_options.enabled = false;
	has_started = false;
}
