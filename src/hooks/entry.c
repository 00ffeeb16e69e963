#include "hooks/entry.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/process.h"
#include "control/power.h"
#include "ledger/sites.h"
#include "watch/worker.h"

#include "base/poison.h"

_Atomic bool sl_hooks_are_live;

bool sl_entry_is_ours(void)
{
	return atomic_load_explicit(&sl_hooks_are_live, memory_order_relaxed) &&
	       !sl_process_is_separate_thread() && sl_process_is_ours();
}

bool sl_entry_is_watching(void)
{
	return atomic_load_explicit(&sl_power_is_on, memory_order_relaxed) && sl_entry_is_ours();
}

bool sl_entry_is_ours_at(int fd)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	return slot && sl_fd_state_of(atomic_load(&slot->head)) == SL_FD_OPEN && sl_entry_is_ours();
}

/* The first socket was opened where the worker could not be started. */
static void begin_late(void)
{
	struct sl_guard g;
	int cancel_state, saved_errno = errno;
	if (sl_process_is_sandboxed())
		return;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (sl_guard_enter(&g))
		sl_worker_begin(&g);
	sl_guard_leave(&g);
	(void)pthread_setcancelstate(cancel_state, NULL);
	errno = saved_errno;
}

void sl_entry_opening(const void *caller, bool is_tcp, struct sl_origin *origin)
{
	*origin = (struct sl_origin){.site = SL_SITE_NO_STACK};
	if (sl_process_is_sandboxed())
		return; /* nothing below does without system calls */
	struct sl_guard g;
	int cancel_state;
	sl_fdtable_prepare();
	/* socket() is no cancellation point, and libunwind calls read(). */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (sl_guard_enter(&g)) {
		if (is_tcp) {
			sl_worker_ensure(&g);
			*origin = sl_stack_origin(&g, caller, true);
		}
	}
	sl_guard_leave(&g);
	(void)pthread_setcancelstate(cancel_state, NULL);
}

void sl_entry_at_end(const void *caller, const struct sl_fd_record *record)
{
	const struct sl_site *site = sl_site_get(record->site);
	struct sl_origin origin = {.site = SL_SITE_NO_STACK};
	struct sl_guard g;
	int cancel_state;
	if (!site || !atomic_load_explicit(&site->ignores_eof, memory_order_relaxed) ||
	    sl_process_is_sandboxed() || !sl_entry_is_watching())
		return;
	int saved_errno = errno;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (sl_guard_enter(&g))
		origin = sl_stack_origin(&g, caller, true);
	sl_guard_leave(&g);
	(void)pthread_setcancelstate(cancel_state, NULL);
	errno = saved_errno;
	if (origin.site > SL_SITE_NO_STACK)
		sl_fdtable_set_eof_site(record->fd, record->generation, origin.site);
}

void sl_entry_opened(int fd, enum sl_kind kind, uint32_t flags, const struct sl_origin *origin)
{
	struct sl_fd_opening opening = {
		.kind = kind,
		.flags = flags,
		.site = origin->site,
		.thread = origin->thread,
		.opened_at_ms = sl_clock_ms(),
	};
	if (sl_fdtable_open(fd, &opening) && kind == SL_KIND_TCP)
		sl_site_count_opened(origin->site, origin->thread);
}

struct sl_fd_forgotten sl_entry_closing(int fd)
{
	struct sl_fd_forgotten none = {.fd = -1};
	/* The pid is asked for only where there is a record to lose. */
	if (!sl_entry_is_ours_at(fd))
		return none;
	if (sl_worker_is_put_off())
		begin_late();
	return sl_fdtable_forget(fd);
}

void sl_entry_failed(int error, int fd)
{
	struct sl_fd_record record;
	if (error == EMFILE || error == ENFILE)
		sl_worker_note_pressure(error, 0);
	else if ((error == EADDRNOTAVAIL || error == EADDRINUSE) && sl_fdtable_get(fd, &record) &&
	         record.kind == SL_KIND_TCP)
		sl_worker_note_pressure(error, error == EADDRINUSE ? 0 : record.dest);
}
