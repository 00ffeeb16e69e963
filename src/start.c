/* start.c - see start.h. */
#include "start.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/desk.h"
#include "base/locks.h"
#include "base/log.h"
#include "base/options.h"
#include "base/process.h"
#include "base/sys.h"
#include "control/live.h"
#include "control/orders.h"
#include "control/place.h"
#include "control/power.h"
#include "control/scope.h"
#include "control/server.h"
#include "control/signal.h"
#include "hooks/got.h"
#include "hooks/real.h"
#include "hooks/walker.h"
#include "ledger/fdtable.h"
#include "ledger/openings.h"
#include "ledger/sites.h"
#include "reclaim/reclaim.h"
#include "report/events.h"
#include "report/paths.h"
#include "report/self.h"
#include "report/sinks.h"
#include "report/triggers.h"
#include "stack/java.h"
#include "stack/loader.h"
#include "stack/native.h"
#include "stack/walk.h"
#include "watch/adopt.h"
#include "watch/evidence.h"
#include "watch/growth.h"
#include "watch/listeners.h"
#include "watch/ports.h"
#include "watch/suspects.h"
#include "watch/worker.h"

#include "watch/table.h"

#include "base/poison.h"

#define SL_PARKED_MS 3600000 /* between two looks, unless something is asked */
#define SL_LOOK_MS 50        /* while an object may be being loaded */

/* pthread_atfork(), as it is in the part of glibc that is linked into each object: the one thing of ours that musl lacks. Weak, so
 * that the object loads there too: a program, and first of all the shell of an image, must not die of it. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                      void *dso_handle) __attribute__((weak));
extern char __dso_handle __attribute__((visibility("hidden")));

bool sl_start_is_glibc(void)
{
	int saved_errno = errno;
	bool is_known = confstr(_CS_GNU_LIBC_VERSION, NULL, 0) > 0;
	errno = saved_errno;
	return is_known && __register_atfork;
}

static void complain(const char *line)
{
	sl_log(line, NULL);
}

static void print_help(void)
{
	char text[16384];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_options_print_help(&out);
	(void)sl_log_write(2, out.bytes, out.length, 1000);
}

/* The VM suspends its threads with SIGUSR2. */
static void refuse_usr2_in_a_jvm(void)
{
	char program[256];
	sl_self_program(program, sizeof(program));
	if (sl_options.signal != SIGUSR2 || strcmp(program, "java") != 0)
		return;
	sl_log("signal=USR2: the Java VM needs that signal itself; keeping auto", NULL);
	sl_options.signal = SL_AUTO;
}

static void worker_ready(void)
{
	if (!atomic_load(&sl_power_is_on))
		return;
	sl_walker_reserve();
	sl_reclaim_ready();
}

static void worker_start(void)
{
	sl_clerk_start();
	sl_sinks_start();
	sl_reclaim_ready(); /* again: it may have been switched off and on */
	sl_reclaim_start(sl_events_tell);
	sl_native_start();
	sl_java_look();
}

/* Switched off, only what may switch it on again. */
static void worker_begin(void)
{
	sl_adopt_end_gap();
	if (atomic_load(&sl_power_is_on))
		worker_start();
	sl_server_start();
}

static uint64_t worker_turn(unsigned wanted, const struct sl_pressure *pressure)
{
	sl_orders_take();
	bool is_parked = sl_power_turn(worker_start);
	if (is_parked) {
		(void)sl_orders_finish();
		uint64_t until_ms = sl_live_turn(sl_clock_ms());
		return until_ms < SL_PARKED_MS ? until_ms : SL_PARKED_MS;
	}
	sl_signal_say();
	bool is_loading = sl_got_look();
	uint64_t live_ms = sl_live_turn(sl_clock_ms());
	uint64_t sleep_ms = sl_triggers_turn(wanted, pressure);
	uint64_t order_ms = sl_orders_finish();
	sleep_ms = live_ms < sleep_ms ? live_ms : sleep_ms;
	sleep_ms = is_loading && sleep_ms > SL_LOOK_MS ? SL_LOOK_MS : sleep_ms;
	return order_ms < sleep_ms ? order_ms : sleep_ms;
}

/* There is no thread of ours any more: of what they knew only the ledger is left. Locks are not touched: a thread of the program may hold
 * one, in a call that began before. */
static void begin_anew(void)
{
	sl_worker_forked();
	sl_desk_forked();
	sl_reclaim_forked();
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	sl_growth_forked();
	sl_evidence_forked();
	sl_ports_forked();
	sl_listeners_forked();
	sl_server_forked();
	sl_signal_forked();
	sl_sinks_forked();
	sl_events_forked();
	sl_triggers_forked();
}

/* In a child that owns its memory. */
static void in_child(void)
{
	sl_locks_forked();
	begin_anew();
	sl_fdtable_forked();
	sl_openings_forked();
	sl_paths_forked();
	sl_loader_forked();
	sl_java_forget();
	if (sl_options.children == SL_CHILDREN_OFF)
		sl_power_off_in_child();
}

static __thread bool is_bare_fork __attribute__((tls_model("initial-exec")));
static uint64_t signals_before_fork;           /* of the forking thread, which holds all locks */
static _Thread_local unsigned forks_under_way; /* a fork handler of the program may fork */

/* A handler that ran while the locks are held could wait for one of them for ever. */
static void fork_prepare(void)
{
	/* The child of a sandbox is nothing to us, and takes no lock. */
	if (forks_under_way == 0)
		is_bare_fork = sl_process_is_sandboxed();
	if (is_bare_fork)
		return;
	if (forks_under_way++ > 0) {
		sl_process_count_fork();
		return;
	}
	uint64_t signals = sl_sys_block_signals();
	sl_locks_fork_prepare();
	sl_process_count_fork();
	signals_before_fork = signals;
	sl_loader_hold(SL_LOADER_FORK_MS);
}

static void fork_parent(void)
{
	if (is_bare_fork || --forks_under_way > 0)
		return;
	uint64_t signals = signals_before_fork;
	sl_loader_release();
	sl_locks_fork_done();
	sl_sys_unblock_signals(signals);
}

static void fork_child(void)
{
	if (is_bare_fork)
		return;
	if (--forks_under_way > 0) {
		sl_process_forked();
		return;
	}
	uint64_t signals = signals_before_fork;
	sl_locks_fork_done();
	sl_process_forked();
	sl_sys_unblock_signals(signals);
}

bool sl_start_options(const char *text)
{
	(void)sl_options_start(text, complain);
	if (!sl_options.enabled || !sl_scope_is_ours())
		return false;
	if (sl_options.help)
		print_help();
	refuse_usr2_in_a_jvm();
	return true;
}

void sl_start_all(const char *runtime_dir)
{
	static const struct sl_worker_duties duties = {.ready = worker_ready,
	                                               .is_amidst = sl_walk_is_amidst,
	                                               .start = worker_begin,
	                                               .turn = worker_turn,
	                                               .end = sl_server_end,
	                                               .threads = sl_server_threads};
	sl_native_open();
	sl_sites_start();
	sl_process_start(in_child);
	sl_worker_prepare(&duties);
	/* Once: a child that was forked in the midst of its parent's start may come here again. */
	static bool is_registered;
	if (!is_registered)
		(void)__register_atfork(fork_prepare, fork_parent, fork_child, &__dso_handle);
	is_registered = true;
	sl_signal_start(sl_real.sigaction);
	sl_place_start(runtime_dir);
	sl_power_start();
}

void sl_start_again(void)
{
	begin_anew();
	sl_live_forget();
	sl_native_open();
	sl_signal_start(sl_real.sigaction);
	sl_power_start();
}
