/* preload.c - the way in that LD_PRELOAD is: the constructor, in the thread that loads us, before main(). The worker waits for the
 * first TCP socket.
 *
 * A library that came later, by dlopen(), starts nothing here: see attach.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "attach.h"
#include "base/clock.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/options.h"
#include "base/process.h"
#include "control/place.h"
#include "hooks/entry.h"
#include "hooks/real.h"
#include "start.h"
#include "watch/adopt.h"
#include "watch/worker.h"

#include "base/poison.h"

#define SL_EXIT_WAIT_MS 5000

static void begin_worker(void)
{
	struct sl_guard g;
	(void)sl_guard_enter(&g);
	sl_worker_ensure(&g);
	sl_guard_leave(&g);
}

__attribute__((constructor)) static void start(void)
{
	if (!sl_attach_is_first(start))
		return;
	sl_real_start();
	if (getauxval(AT_SECURE) || !sl_start_is_glibc())
		return; /* set-user-ID: the environment is not the owner's */
	sl_clock_start();
	sl_log_start();
	if (!sl_start_options(getenv("SOCKLEAK_OPTIONS")))
		return;
	sl_start_all(getenv("XDG_RUNTIME_DIR"));
	atomic_store(&sl_hooks_are_live, true);
	if (sl_adopt_at_start(sl_clock_ms()) > 0)
		begin_worker();
}

static void write_exit_report(void)
{
	if (!sl_options.exit_report || !atomic_load(&sl_hooks_are_live) ||
	    sl_process_is_sandboxed())
		return;
	if (sl_worker_is_put_off())
		begin_worker();
	if (!sl_worker_is_running())
		return;
	sl_worker_want(SL_WANTED_BY_EXIT);
	sl_worker_wait(SL_WANTED_BY_EXIT, SL_EXIT_WAIT_MS);
}

__attribute__((destructor)) static void stop(void)
{
	write_exit_report();
	if (sl_process_is_ours() && !sl_process_is_sandboxed())
		sl_place_remove();
}
