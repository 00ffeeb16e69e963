#include "attach.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/process.h"
#include "base/sys.h"
#include "control/live.h"
#include "control/orders.h"
#include "control/power.h"
#include "control/signal.h"
#include "hooks/entry.h"
#include "hooks/got.h"
#include "hooks/real.h"
#include "ledger/fdtable.h"
#include "report/json_write.h"
#include "stack/native.h"
#include "start.h"
#include "watch/adopt.h"
#include "watch/worker.h"

#include "base/poison.h"

enum { SL_FIRST, SL_LATE, SL_MOVING, SL_ATTACHED, SL_DETACHED };

static _Atomic int state; /* first: preloaded */
static bool has_started;  /* written while moving */

bool sl_attach_is_first(void (*here)(void))
{
	void *program = dlopen(NULL, RTLD_LAZY | RTLD_NOLOAD);
	/* Among the objects that were there when the program began? In a program that we are linked into the name is not to be found so. */
	void *found = program ? dlsym(program, SL_ATTACH_FUNCTION) : NULL;
	if (program)
		(void)dlclose(program);
	if (found == (void *)(uintptr_t)sockleak_attach ||
	    sl_real_is_program((void *)(uintptr_t)here))
		return true;
	atomic_store(&state, SL_LATE);
	return false;
}

/* The first thread may have ended by pthread_exit() long ago: of that nobody has told us. */
static void look_at_first_thread(void)
{
	char stat[512];
	int fd = sl_sys_open("/proc/self/stat", O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? 0 : sl_sys_read(fd, stat, sizeof(stat) - 1);
	if (fd >= 0)
		(void)sl_sys_close(fd);
	stat[n > 0 ? n : 0] = 0;
	const char *name_end = strrchr(stat, ')');
	if (name_end && strncmp(name_end, ") Z", 3) == 0) /* proc(5) */
		sl_worker_main_is_gone();
}

/* Connections that we ended, and that the program has not closed: only the doors keep their writes from SIGPIPE, and a close() from
 * somebody else's number. */
static uint32_t count_ended(void)
{
	return sl_fdtable_count_marked(SL_MARK_ENDED | SL_MARK_DEAD | SL_MARK_LATE);
}

static bool detach(bool is_forced, struct sl_out *answer)
{
	struct sl_json json = {.out = answer};
	uint32_t ended = count_ended();
	if (ended > 0 && !is_forced) {
		sl_out_unsigned(answer, ended);
		sl_out_text(
			answer,
			" connections that were ended here are open in the program: a write to one "
			"would raise SIGPIPE; 'sockleak off' goes on keeping that from it, "
			"force=1 does not");
		return false;
	}
	atomic_store(&state, SL_MOVING);
	struct sl_got_count count = sl_got_give_back();
	atomic_store(&sl_hooks_are_live, false);
	sl_adopt_begin_gap();
	sl_power_end();
	sl_json_open(&json, NULL, '{');
	sl_json_bool(&json, "detached", true);
	sl_json_unsigned(&json, "objects", count.objects);
	sl_json_unsigned(&json, "entries", count.entries);
	sl_json_unsigned(&json, "unwritable", count.unwritable);
	sl_json_unsigned(&json, "ended", ended);
	sl_json_close(&json, '}');
	sl_out_char(answer, '\n');
	atomic_store(&state, SL_DETACHED);
	return true;
}

static enum sl_attach_result start_first(const char *options)
{
	if (!sl_start_is_glibc() || !sl_real_start_late())
		return SL_ATTACH_FOREIGN_LIBC;
	if (sl_native_has_sanitizer())
		return SL_ATTACH_SANITIZER;
	sl_clock_start();
	sl_log_start();
	if (!sl_start_options(options))
		return SL_ATTACH_LEFT_OUT;
	sl_process_attached();
	sl_orders_prepare(detach);
	sl_start_all(getenv("XDG_RUNTIME_DIR"));
	sl_process_note_threads(); /* perhaps, and before us */
	has_started = true;
	return SL_ATTACH_DONE;
}

static enum sl_attach_result start_again(const char *options)
{
	if (!sl_worker_is_gone())
		return SL_ATTACH_BUSY;
	if (sl_process_is_sandboxed())
		return SL_ATTACH_SANDBOXED;
	sl_log_start();
	if (!sl_start_options(options))
		return SL_ATTACH_LEFT_OUT;
	sl_start_again();
	return SL_ATTACH_DONE;
}

static enum sl_attach_result go_live(const struct sl_guard *g)
{
	atomic_store(&sl_hooks_are_live, true);
	if (sl_got_take().entries == 0) {
		atomic_store(&sl_hooks_are_live, false);
		(void)sl_got_give_back();
		sl_power_end();
		sl_signal_release();
		return SL_ATTACH_NO_DOOR;
	}
	look_at_first_thread();
	sl_worker_begin(g);
	return SL_ATTACH_DONE;
}

static enum sl_attach_result attach(const char *options)
{
	struct sl_guard g;
	enum sl_attach_result result = SL_ATTACH_BUSY;
	/* What we do here may lead through the doors. */
	if (sl_guard_enter(&g)) {
		result = has_started ? start_again(options) : start_first(options);
		if (result == SL_ATTACH_DONE)
			result = go_live(&g);
	}
	sl_guard_leave(&g);
	return result;
}

/* A forked child is attached as its parent was, and has no worker, so no control socket, before its first TCP socket. */
static void see_to_worker(void)
{
	struct sl_guard g;
	if (sl_guard_enter(&g) && sl_entry_is_watching())
		sl_worker_begin(&g);
	sl_guard_leave(&g);
}

int sockleak_attach(const char *options)
{
	int saved_errno = errno, before = atomic_load(&state);
	if (before == SL_FIRST)
		return SL_ATTACH_PRELOADED;
	if (before == SL_ATTACHED) {
		see_to_worker();
		errno = saved_errno;
		return SL_ATTACH_ALREADY;
	}
	if (before == SL_MOVING || !atomic_compare_exchange_strong(&state, &before, SL_MOVING))
		return SL_ATTACH_BUSY;
	enum sl_attach_result result = attach(options);
	atomic_store(&state, result == SL_ATTACH_DONE ? SL_ATTACHED : before);
	errno = saved_errno;
	return (int)result;
}

int Agent_OnAttach(void *vm, char *options, void *reserved)
{
	(void)vm, (void)reserved;
	return sockleak_attach(options);
}
