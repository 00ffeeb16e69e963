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
#include "reclaim/reclaim.h"
#include "report/json_write.h"
#include "stack/loader.h"
#include "stack/native.h"
#include "start.h"
#include "watch/adopt.h"
#include "watch/worker.h"

#include "base/poison.h"

enum phase { SL_FIRST, SL_LATE, SL_MOVING, SL_ATTACHED, SL_DETACHED };

/* A phase, and while it moves the pid of whose thread moves it, above: a child that is forked meanwhile has no such thread. */
static _Atomic uint64_t state; /* first: preloaded */
static bool has_started;       /* written while moving */
#define SL_PHASE_BITS 8

static enum phase phase_of(uint64_t word)
{
	return (enum phase)(word & ((1u << SL_PHASE_BITS) - 1));
}

static bool begin_move(enum phase from)
{
	uint64_t word = from;
	return atomic_compare_exchange_strong(
		&state, &word, (uint64_t)sl_sys_getpid() << SL_PHASE_BITS | SL_MOVING);
}

static void end_move(enum phase to)
{
	atomic_store(&state, to);
}

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
	end_move(SL_LATE);
	return false;
}

/* Connections that we ended, and that the program has not closed: only the doors keep their writes from SIGPIPE, and a close() from
 * somebody else's number. */
static uint32_t count_ended(void)
{
	return sl_fdtable_count_marked(SL_MARK_ENDED | SL_MARK_DEAD | SL_MARK_LATE);
}

static struct sl_got_count leave(void)
{
	struct sl_got_count count = sl_got_give_back();
	atomic_store(&sl_hooks_are_live, false);
	sl_adopt_begin_gap();
	sl_power_end();
	return count;
}

/* By the control socket; the worker, which retires behind the answer. */
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
	/* A fork in the midst of our own walk: we would wait for ever. */
	if (!sl_loader_enter()) {
		sl_out_text(answer, "a fork has left the lock of the loader in doubt here; "
		                    "'sockleak off' switches it off");
		return false;
	}
	sl_loader_leave();
	if (!begin_move(SL_ATTACHED)) {
		sl_out_text(answer, sl_attach_words(SL_ATTACH_BUSY));
		return false;
	}
	struct sl_got_count count = leave();
	sl_json_open(&json, NULL, '{');
	sl_json_bool(&json, "detached", true);
	sl_json_unsigned(&json, "objects", count.objects);
	sl_json_unsigned(&json, "entries", count.entries);
	sl_json_unsigned(&json, "unwritable", count.unwritable);
	sl_json_unsigned(&json, "ended", ended);
	sl_json_close(&json, '}');
	sl_out_char(answer, '\n');
	end_move(SL_DETACHED);
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
	sl_worker_main_may_be_gone(); /* by pthread_exit(), long ago: of that nobody has told us */
	sl_worker_begin(g);
	if (sl_worker_is_running() || !sl_worker_is_refused())
		return SL_ATTACH_DONE;
	/* Nobody would look, report or answer. */
	(void)leave();
	sl_signal_release();
	return SL_ATTACH_NO_THREAD;
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

/* Forked while another thread of its parent moved: a child that is live already is attached, any other is not. */
static enum phase settle(void)
{
	struct sl_guard g;
	enum phase to = SL_LATE;
	(void)sl_guard_enter(&g);
	if (has_started && atomic_load(&sl_hooks_are_live)) {
		(void)sl_got_take();
		to = SL_ATTACHED;
	} else if (has_started) {
		(void)leave();
		to = SL_DETACHED;
	}
	sl_guard_leave(&g);
	end_move(to);
	return to;
}

/* The phase now, where this memory is ours: where it is lent by vfork() it is somebody else's to move. */
static enum phase look(void)
{
	uint64_t word = atomic_load(&state);
	if (has_started && !sl_process_is_ours())
		return SL_MOVING;
	if (phase_of(word) != SL_MOVING || word >> SL_PHASE_BITS == (uint64_t)sl_sys_getpid())
		return phase_of(word);
	/* One thread settles it. */
	uint64_t own = (uint64_t)sl_sys_getpid() << SL_PHASE_BITS | SL_MOVING;
	return atomic_compare_exchange_strong(&state, &word, own) ? settle() : SL_MOVING;
}

/* Our threads first: then nothing is ended between the count and the end. */
static enum sl_attach_result leave_by_hand(bool is_forced)
{
	bool was_running = sl_worker_is_running();
	if (!sl_worker_rest() && sl_worker_is_running()) {
		sl_worker_resume(true);
		return SL_ATTACH_BUSY;
	}
	if (!is_forced && count_ended() > 0) {
		sl_worker_resume(was_running);
		return SL_ATTACH_ENDED;
	}
	(void)leave();
	sl_reclaim_rest();
	sl_signal_release();
	return SL_ATTACH_DONE;
}

static enum sl_attach_result detach_by_hand(bool is_forced)
{
	struct sl_guard g;
	enum sl_attach_result result = SL_ATTACH_BUSY;
	if (sl_process_is_sandboxed())
		return SL_ATTACH_SANDBOXED;
	if (!begin_move(SL_ATTACHED))
		return SL_ATTACH_BUSY;
	if (sl_guard_enter(&g))
		result = leave_by_hand(is_forced);
	sl_guard_leave(&g);
	end_move(result == SL_ATTACH_DONE ? SL_DETACHED : SL_ATTACHED);
	return result;
}

/* children=off: the child is dormant, with doors that only pass through, and nothing in it can be asked. */
static bool is_left_out(void)
{
	return !sl_power_is_started();
}

static enum sl_attach_result attach_from(enum phase before, const char *options)
{
	if (before == SL_FIRST)
		return SL_ATTACH_PRELOADED;
	if (before == SL_ATTACHED && is_left_out() && detach_by_hand(true) == SL_ATTACH_DONE)
		before = SL_DETACHED;
	if (before == SL_ATTACHED) {
		see_to_worker();
		return SL_ATTACH_ALREADY;
	}
	if (before == SL_MOVING || !begin_move(before))
		return SL_ATTACH_BUSY;
	enum sl_attach_result result = attach(options);
	end_move(result == SL_ATTACH_DONE ? SL_ATTACHED : has_started ? SL_DETACHED : before);
	return result;
}

int sockleak_attach(const char *options)
{
	int saved_errno = errno;
	enum sl_attach_result result = attach_from(look(), options);
	errno = saved_errno;
	return (int)result;
}

int sockleak_detach(const char *words)
{
	int saved_errno = errno;
	enum sl_attach_result result;
	switch (look()) {
	case SL_FIRST:
		result = SL_ATTACH_PRELOADED;
		break;
	case SL_MOVING:
		result = SL_ATTACH_BUSY;
		break;
	case SL_ATTACHED:
		result = detach_by_hand(words && strcmp(words, SL_DETACH_FORCED) == 0);
		break;
	default:
		result = SL_ATTACH_NOT_ATTACHED;
	}
	errno = saved_errno;
	return (int)result;
}

int Agent_OnAttach(void *vm, char *options, void *reserved)
{
	(void)vm, (void)reserved;
	if (options && strcmp(options, SL_DETACH_AGENT) == 0)
		return sockleak_detach(NULL);
	if (options && strcmp(options, SL_DETACH_AGENT_FORCED) == 0)
		return sockleak_detach(SL_DETACH_FORCED);
	return sockleak_attach(options);
}
