#include "reclaim/due.h"

#include <signal.h>
#include <string.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/options.h"
#include "base/process.h"
#include "base/sort.h"
#include "base/sys.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "reclaim/rules.h"
#include "watch/kernel.h"

#include "base/poison.h"

#define SL_PROBE_WAIT_MS 2000
#define SL_PROBE_SLACK_MS \
	12 /* the kernel counts ages in jiffies of up to 10 ms (tcp_get_info() in net/ipv4/tcp.c) */

/* What the clerk reads into: it may be late. */
static struct sl_arena arena = SL_ARENA(64u << 10, 0);
static struct sl_sharing sharing;
static uint32_t forks_before; /* ... it was read last */

static void count_one(void *context, const struct sl_suspect_view *view)
{
	(void)view;
	++*(uint32_t *)context;
}

bool sl_due_begin(struct sl_due_list *list, struct sl_arena *memory)
{
	memset(list, 0, sizeof(*list));
	sl_suspects_each(count_one, &list->capacity);
	if (list->capacity == 0)
		return false;
	list->of = sl_arena_alloc(memory, list->capacity * sizeof(*list->of));
	return list->of != NULL;
}

/* Writes of a FILE go past the hooks, and would raise the signal after our shutdown. */
static bool is_sigpipe_ignored(void)
{
	struct { /* as the kernel has it: sigaction(2) */
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} now;
	memset(&now, 0, sizeof(now));
	return SL_SYS4(SYS_rt_sigaction, SIGPIPE, NULL, &now, sizeof(now.mask)) == 0 &&
	       now.handler == SIG_IGN;
}

/* Has the peer acknowledged since the probe? Asked now, not taken from the sweep: an answer that looked older than the probe
 * would be taken for none, and its peer for one that has gone. */
static void look_for_answer(const struct sl_suspect_view *view, struct sl_case *known)
{
	const struct sl_suspect_rungs *rungs = view->rungs;
	struct sl_kernel_tcp tcp;
	known->probe_sent = rungs->probed_at_ms != 0;
	if (!known->probe_sent || rungs->is_pretended || known->is_dead ||
	    sl_kernel_tcp(view->record.fd, &tcp) < 0)
		return;
	uint64_t since_ms = sl_clock_ms() - rungs->probed_at_ms;
	known->probe_answered = tcp.last_ack_recv_ms <= since_ms + SL_PROBE_SLACK_MS;
	known->is_probe_pending = !known->probe_answered &&
	                          since_ms < (uint64_t)SL_PROBE_WAIT_MS << rungs->probes_lost;
}

void sl_due_look(const struct sl_suspect_view *view, struct sl_case *known)
{
	const struct sl_peer *peer = sl_peer_get(view->record.peer);
	const struct sl_site *site = sl_site_get(view->record.site);
	const struct sl_suspect_rungs *rungs = view->rungs;
	*known = (struct sl_case){
		.direction = peer                             ? peer->direction
	                     : view->record.flags & SL_FD_OUT ? SL_DIRECTION_OUT
	                     : view->record.flags & SL_FD_IN  ? SL_DIRECTION_IN
	                                                      : SL_DIRECTION_UNKNOWN,
		.cause = view->judgement.cause,
		.is_close_wait = view->judgement.is_close_wait,
		.is_dead = view->judgement.is_dead,
		.is_adopted = view->record.flags & SL_FD_ADOPTED,
		.is_intended = view->record.flags & SL_FD_INTENDED,
		.is_exempt = site && site->regretted > 0,
		.has_unread = view->has_unread,
		.has_unsent = view->has_unsent,
		.read_last = (view->record.last_io & ((1u << SL_IO_BITS) - 1)) == SL_IO_READ,
		.reached = (enum sl_rung)rungs->reached,
		.quiet_ms = view->action_quiet_ms,
		.since_rung_ms = rungs->since_rung_ms,
	};
	look_for_answer(view, known);
}

void sl_due_add(struct sl_due_list *list, const struct sl_suspect_view *view,
                const struct sl_case *known)
{
	if (list->count < list->capacity)
		list->of[list->count++] = (struct sl_due){.view = *view, .known = *known};
}

static int compare(const void *a, const void *b)
{
	const struct sl_due *x = a, *y = b;
	bool is_spared = x->view.rungs->spared_said != 0,
	     is_other_spared = y->view.rungs->spared_said != 0;
	if (is_spared != is_other_spared)
		return is_spared ? 1 : -1;
	if (x->known.quiet_ms != y->known.quiet_ms)
		return x->known.quiet_ms > y->known.quiet_ms ? -1 : 1;
	if (x->view.judgement.quiet_ms != y->view.judgement.quiet_ms)
		return x->view.judgement.quiet_ms > y->view.judgement.quiet_ms ? -1 : 1;
	return 0;
}

void sl_due_sort(struct sl_due_list *list)
{
	sl_sort(list->of, list->count, sizeof(*list->of), compare);
}

/* Nothing uses the memory of the last reading any more. */
static bool is_idle(void)
{
	if (sharing.is_abandoned && !sl_clerk_is_asked())
		sharing.is_abandoned = false;
	return !sharing.is_abandoned;
}

static bool read_sharing(struct sl_due_list *list, uint64_t wait_ms)
{
	if (!is_idle())
		return false;
	sl_arena_free(&arena);
	if (!sl_sharing_begin(&sharing, &arena, list->count))
		return false;
	for (uint32_t i = 0; i < list->count; i++) {
		list->of[i].inode = sl_sharing_inode(list->of[i].view.record.fd);
		sl_sharing_ask(&sharing, list->of[i].inode);
	}
	forks_before = sl_process_forks();
	return sl_sharing_read(&sharing, wait_ms);
}

/* stdin, stdout and stderr are FILEs that nobody had to fdopen(). */
static bool is_behind_stdio(const struct sl_fd_record *record)
{
	return record->fd <= 2 || (record->flags & SL_FD_STDIO);
}

/* Opened before this process was what it is: its parent may have it too. */
static bool is_inherited(const struct sl_fd_record *record)
{
	return (record->flags & SL_FD_ADOPTED) || record->opened_at_ms <= sl_process_forked_at_ms();
}

static enum sl_sharing_answer sharing_of(const struct sl_due *due)
{
	const struct sl_fd_record *record = &due->view.record;
	enum sl_sharing_answer answer = record->flags & SL_FD_PASSED
	                                        ? SL_SHARING_SHARED
	                                        : sl_sharing_of(&sharing, due->inode);
	return answer == SL_SHARING_NONE && sharing.is_older_unknown && is_inherited(record)
	               ? SL_SHARING_UNKNOWN
	               : answer;
}

bool sl_due_complete(struct sl_due_list *list, uint64_t wait_ms)
{
	bool is_sigpipe_safe = is_sigpipe_ignored();
	if (!read_sharing(list, wait_ms))
		return false;
	for (uint32_t i = 0; i < list->count; i++) {
		struct sl_due *due = &list->of[i];
		const struct sl_fd_record *record = &due->view.record;
		struct pollfd look = {.fd = record->fd};
		struct sl_fd_record now;
		/* Passed on, or given to stdio, since the sweep. */
		if (sl_fdtable_get(record->fd, &now) && now.generation == record->generation)
			due->view.record.flags |= now.flags;
		due->known.is_intended = due->view.record.flags & SL_FD_INTENDED;
		due->forks = forks_before;
		due->known.is_covered = sl_rules_cover(record->peer, record->fd);
		due->known.sharing = sharing_of(due);
		due->known.is_in_epoll = sl_sharing_is_in_epoll(&sharing, due->inode);
		due->known.is_level_triggered = sl_sharing_is_level_triggered(&sharing, due->inode);
		due->known.is_behind_stdio = is_behind_stdio(record) && !is_sigpipe_safe;
		due->known.has_pending_error = !due->view.rungs->is_error_ours &&
		                               sl_sys_poll(&look, 1, 0) == 1 &&
		                               (look.revents & POLLERR);
	}
	return true;
}

static void put_number(struct sl_target *target, const struct sl_fd_record *record)
{
	target->numbers[target->count++] =
		(struct sl_number){record->fd, record->generation, record->last_io};
}

static bool is_guarded(const struct sl_fd_record *record)
{
	if (record->marks & SL_MARK_GUARDED)
		return !(record->marks & SL_MARK_BUSY);
	(void)sl_fdtable_guard(record->fd, record->generation);
	return false;
}

/* Has it been copied, by now? */
static bool is_duped(const struct sl_suspect_view *view)
{
	struct sl_fd_record now;
	return view->descriptors > 1 || (view->record.flags & SL_FD_DUPED) ||
	       (sl_fdtable_get(view->record.fd, &now) && (now.flags & SL_FD_DUPED));
}

/* Used since the last sweep began? What that one met may not know of it. */
static bool is_used(const struct sl_fd_record *record)
{
	uint32_t tick = atomic_load(&sl_fd_tick) << SL_IO_BITS >> SL_IO_BITS;
	return record->last_io != 0 && record->last_io >> SL_IO_BITS == tick;
}

/* A copy has the time and the site of its original; one that passed the hooks is adopted. */
static bool is_copy_of(const struct sl_fd_record *record, const struct sl_suspect_view *view)
{
	bool may_be = (record->flags & SL_FD_ADOPTED) ||
	              ((record->flags & SL_FD_DUPED) &&
	               record->opened_at_ms == view->record.opened_at_ms);
	return may_be && sl_kernel_cookie(record->fd) == view->cookie;
}

bool sl_due_target(const struct sl_due *due, struct sl_target *target)
{
	const struct sl_suspect_view *view = &due->view;
	struct sl_fd_record record;
	/* As the sweep met it: a write that began before may not have announced itself. */
	bool are_guarded =
		(view->record.marks & (SL_MARK_GUARDED | SL_MARK_BUSY)) == SL_MARK_GUARDED;
	*target = (struct sl_target){
		.cookie = view->cookie, .bytes_sent = view->bytes_sent, .forks = due->forks};
	const struct sl_shared *shared = sl_sharing_get(&sharing, due->inode);
	if (shared) {
		target->registrations = shared->registrations;
		memcpy(target->in, shared->in, sizeof(target->in));
	}
	put_number(target, &view->record);
	if (!is_duped(view))
		return are_guarded;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1) {
		if (record.kind != SL_KIND_TCP || record.fd == view->record.fd ||
		    !is_copy_of(&record, view))
			continue;
		target->is_cut = target->count == SL_HELD_MAX;
		if (target->is_cut)
			return false;
		put_number(target, &record);
		are_guarded &= is_guarded(&record) && !is_used(&record);
	}
	return are_guarded;
}

struct sl_event sl_due_event(const struct sl_suspect_view *view, enum sl_event_kind kind)
{
	return (struct sl_event){
		.kind = kind,
		.fd = view->record.fd,
		.cookie = view->cookie,
		.peer = view->record.peer,
		.site = view->record.site,
		.quiet_ms = (int64_t)view->judgement.quiet_ms,
		.cause = view->judgement.cause,
	};
}

uint64_t sl_due_cost_us(void)
{
	return sharing.cost_us;
}

void sl_due_forked(void)
{
	sharing.is_abandoned = false; /* the clerk is the parent's */
}
