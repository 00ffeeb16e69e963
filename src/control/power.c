#include "control/power.h"

#include <errno.h>

#include "base/locks.h"
#include "base/options.h"
#include "base/process.h"
#include "base/sys.h"
#include "control/signal.h"
#include "ledger/fdtable.h"
#include "reclaim/reclaim.h"
#include "watch/worker.h"

#include "base/poison.h"

_Atomic bool sl_power_is_on;
static bool has_started; /* constant after start; not in a child that is left out */

static void switch_off(void)
{
	atomic_store(&sl_power_is_on, false);
	/* Until it is resumed no worker starts; one that a disk keeps busy ends as soon as it can. */
	if (sl_worker_rest() || !sl_worker_is_running())
		sl_reclaim_rest();
	sl_signal_release();
}

static void switch_on(void)
{
	atomic_store(&sl_power_is_on, true);
	sl_signal_resume();
	sl_worker_resume(sl_fdtable_opened(SL_KIND_TCP) > 0);
}

void sl_power_start(void)
{
	atomic_store(&sl_power_is_on, true);
	has_started = true;
}

int sl_power_switch(bool on)
{
	int saved_errno = errno;
	if (!has_started || !sl_process_is_ours() || sl_process_is_sandboxed() ||
	    sl_process_is_separate_thread())
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

void sl_power_off_in_child(void)
{
	atomic_store(&sl_power_is_on, false);
	(void)sl_worker_rest();
	sl_reclaim_rest();
	sl_signal_release();
	sl_options.enabled = false;
	has_started = false;
}
