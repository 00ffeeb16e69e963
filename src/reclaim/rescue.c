#include "reclaim/rescue.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/options.h"
#include "base/process.h"
#include "base/sys.h"
#include "reclaim/due.h"
#include "reclaim/reclaim.h"
#include "watch/kernel.h"
#include "watch/sweep.h"
#include "watch/worker.h"

#include "base/poison.h"

#define SL_RESCUE_USUAL 16 /* connections for one rescue; more where more threads wait */
#define SL_RESCUE_MOST 64
#define SL_RESCUE_PLACES 16
#define SL_RESCUE_REST_MS 100  /* after one that found nothing */
#define SL_RESCUE_READ_MS 150  /* for /proc */
#define SL_RESCUE_PORTS_MS 150 /* for the peer to acknowledge our FIN */
#define SL_RESCUE_LOOK_NS 500000u
#define SL_WHAT_FDS (1u << 31) /* no peer id */
#define SL_WHAT_LIMIT 1u       /* ... and the limit is the process's own: EMFILE */

/* Those who want the same. Threads ask by counting up; the worker answers up to the count that it saw. What is wanted and how often it
 * was asked for are one word: who asks has asked for what he read there. */
struct place {
	_Atomic uint64_t
		wanted; /* what << 32 | times asked. What: peer id + 1, or SL_WHAT_FDS, with SL_WHAT_LIMIT or not; 0: empty */
	_Atomic uint32_t answered; /* futex word */
	_Atomic uint32_t
		helped; /* the last one for whom something was freed: a later answer does not take that back */
	_Atomic uint32_t resting;       /* what nothing was found for, */
	_Atomic uint64_t not_before_ms; /* ... and when it may be asked for again */
};

static struct place places[SL_RESCUE_PLACES];
static _Atomic uint64_t rescued;
static bool has_freed_fds; /* the worker's */
static bool is_raised;     /* the worker's: the limit was raised once */

static uint32_t what_of(uint64_t wanted)
{
	return (uint32_t)(wanted >> 32);
}

static uint32_t asked_of(uint64_t wanted)
{
	return (uint32_t)wanted;
}

/* Ask at this place. 0: others wait there for something else. */
static uint32_t join(struct place *place, uint32_t what)
{
	uint64_t wanted = atomic_load(&place->wanted);
	uint32_t ticket;
	do {
		if (what_of(wanted) != what && asked_of(wanted) != atomic_load(&place->answered))
			return 0;
		ticket = asked_of(wanted) + 1;
	} while (!atomic_compare_exchange_weak(&place->wanted, &wanted,
	                                       (uint64_t)what << 32 | ticket));
	return ticket;
}

static bool is_resting(uint32_t what, uint64_t now_ms)
{
	for (unsigned i = 0; i < SL_RESCUE_PLACES; i++)
		if (atomic_load(&places[i].resting) == what &&
		    now_ms < atomic_load(&places[i].not_before_ms))
			return true;
	return false;
}

/* NULL: too many different ones at once. */
static struct place *ask_for(uint32_t what, uint32_t *ticket)
{
	for (unsigned i = 0; i < SL_RESCUE_PLACES; i++) {
		struct place *place = &places[(what + i) % SL_RESCUE_PLACES];
		if ((*ticket = join(place, what)) != 0)
			return place;
	}
	return NULL;
}

/* *until_ms is 0 for the first asking of a call. */
static bool ask(uint32_t what, uint64_t *until_ms)
{
	struct place *place;
	uint32_t ticket;
	uint64_t now = sl_clock_ms();
	if (*until_ms == 0)
		*until_ms = now + SL_RESCUE_WAIT_MS;
	uint64_t until = *until_ms;
	if (sl_guard_is_held() || !sl_worker_is_running() || !sl_process_may_act() ||
	    !sl_process_is_ours() || is_resting(what, now) || !(place = ask_for(what, &ticket)))
		return false;
	sl_worker_want(0);
	for (; now < until; now = sl_clock_ms()) {
		uint32_t answered = atomic_load(&place->answered);
		if ((int32_t)(answered - ticket) >= 0)
			return (int32_t)(atomic_load(&place->helped) - ticket) >= 0;
		sl_sys_futex_wait(&place->answered, answered, (until - now) * 1000000u);
	}
	return false;
}

bool sl_rescue_ports(uint32_t dest, uint64_t *until_ms)
{
	int saved_errno = errno;
	bool is_free = sl_options_want_rescue(&sl_options) && ask(dest + 1, until_ms);
	errno = saved_errno;
	return is_free;
}

bool sl_rescue_fds(int error)
{
	int saved_errno = errno;
	bool may_raise = error == EMFILE && sl_options.raise_nofile != SL_OFF;
	uint64_t until_ms = 0;
	uint32_t what = SL_WHAT_FDS | (error == EMFILE ? SL_WHAT_LIMIT : 0);
	bool is_free = (may_raise || sl_options.action == SL_ACTION_CLOSE) && ask(what, &until_ms);
	errno = saved_errno;
	return is_free;
}

void sl_rescue_tell(bool is_rescued)
{
	if (is_rescued)
		atomic_fetch_add(&rescued, 1);
}

uint64_t sl_rescue_count(void)
{
	return atomic_load(&rescued);
}

/* ---- the worker ---- */

struct search {
	uint32_t dest; /* 0: any */
	uint32_t most; /* connections to take */
	struct sl_due_list due;
};

static void look_at(void *context, const struct sl_suspect_view *view)
{
	struct search *search = context;
	struct sl_case known;
	if (search->dest && view->record.peer != search->dest)
		return;
	/* A shutdown does not free the port that the program has chosen itself (tcp_set_state() in net/ipv4/tcp.c). */
	if (view->record.flags & SL_FD_FIXED_PORT)
		return;
	sl_due_look(view, &known);
	/* The costly facts come later: none of them stands against it yet. */
	known.is_covered = true;
	if ((view->record.marks & SL_MARK_GUARDED) &&
	    sl_ladder_may_rescue(&known, &sl_options) == SL_SPARED_NOT)
		sl_due_add(&search->due, view, &known);
}

static bool may_take(const struct sl_due *due)
{
	return sl_ladder_may_rescue(&due->known, &sl_options) == SL_SPARED_NOT;
}

static bool shut_down(const struct sl_due *due)
{
	struct sl_target target;
	if (!may_take(due) || !sl_due_target(due, &target) || sl_act_shutdown(&target) != 0)
		return false;
	sl_reclaim_count_shutdown(due);
	struct sl_event event = sl_due_event(&due->view, SL_EVENT_SHUTDOWN);
	event.is_rescue = true;
	sl_reclaim_tell(&event);
	return true;
}

/* Has the port of one of these come free? The program may have closed it, which is as good. */
static bool is_port_free(const struct sl_due *done, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct sl_kernel_tcp tcp;
		if (sl_kernel_tcp(done[i].view.record.fd, &tcp) < 0 || tcp.state == TCP_CLOSE ||
		    sl_kernel_cookie(done[i].view.record.fd) != done[i].view.cookie)
			return true;
	}
	return false;
}

static void await_port(const struct sl_due *done, uint32_t count)
{
	static const _Atomic uint32_t never;
	uint64_t until_ms = sl_clock_ms() + SL_RESCUE_PORTS_MS;
	while (count > 0 && !is_port_free(done, count) && sl_clock_ms() < until_ms)
		sl_sys_futex_wait(&never, 0, SL_RESCUE_LOOK_NS);
}

static uint32_t free_ports(struct search *search)
{
	struct sl_due done[SL_RESCUE_MOST];
	uint32_t count = 0;
	if (search->due.count == 0 || !sl_due_complete(&search->due, SL_RESCUE_READ_MS))
		return 0;
	sl_due_sort(&search->due);
	for (uint32_t i = 0; i < search->due.count && count < search->most; i++)
		if (sl_options.dry_run ? may_take(&search->due.of[i])
		                       : shut_down(&search->due.of[i]))
			done[count++] = search->due.of[i];
	if (count > 0)
		sl_reclaim_tell(&(struct sl_event){.kind = SL_EVENT_RESCUE,
		                                   .fd = -1,
		                                   .peer = search->dest,
		                                   .quiet_ms = -1,
		                                   .count = count,
		                                   .is_dry_run = sl_options.dry_run});
	if (sl_options.dry_run)
		return 0;
	await_port(done, count);
	return count;
}

static uint32_t rescue_ports(uint32_t dest, uint32_t waiting)
{
	struct sl_arena arena = SL_ARENA(256u << 10, 0);
	struct search search = {.dest = dest, .most = SL_RESCUE_USUAL};
	uint32_t freed = 0;
	if (2 * waiting > search.most)
		search.most = 2 * waiting < SL_RESCUE_MOST ? 2 * waiting : SL_RESCUE_MOST;
	if (sl_reclaim_is_stopped() || !sl_process_may_act())
		return 0;
	if (sl_due_begin(&search.due, &arena)) {
		sl_suspects_each(look_at, &search);
		freed = free_ports(&search);
	}
	sl_arena_free(&arena);
	return freed;
}

static void close_one(void *context, const struct sl_suspect_view *view)
{
	uint32_t *freed = context;
	struct sl_case known;
	sl_due_look(view, &known);
	if (*freed < SL_RESCUE_MOST && (view->record.marks & SL_MARK_DEAD) && !known.is_exempt)
		*freed += sl_reclaim_close(view);
}

/* "the limit of open files was raised from 1024 to 4096 (raise_nofile)" */
static void say_raised(uint64_t from, uint64_t to)
{
	char text[160];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_out_text(&out, "out of file descriptors: the soft limit was raised from ");
	sl_out_unsigned(&out, from);
	sl_out_text(&out, " to ");
	sl_out_unsigned(&out, to);
	sl_out_text(&out, " (raise_nofile)");
	text[out.length] = 0;
	sl_log(text, NULL);
}

static bool raise_limit(void)
{
	struct rlimit files;
	if (sl_options.raise_nofile == SL_OFF || is_raised ||
	    SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &files) < 0)
		return false;
	is_raised = true;
	rlim_t before = files.rlim_cur;
	rlim_t wanted = (rlim_t)sl_options.raise_nofile;
	files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
	if (files.rlim_cur <= before || SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, &files, NULL) < 0)
		return false;
	say_raised(before, files.rlim_cur);
	return true;
}

static uint32_t rescue_fds(uint32_t what)
{
	uint32_t freed = what & SL_WHAT_LIMIT ? raise_limit() : 0;
	if (freed == 0 && sl_reclaim_action() == SL_ACTION_CLOSE && !sl_options.dry_run)
		sl_suspects_each(close_one, &freed);
	return freed;
}

bool sl_rescue_has_freed_fds(void)
{
	return has_freed_fds;
}

static void answer(struct place *place, uint64_t wanted)
{
	uint32_t what = what_of(wanted), asked = asked_of(wanted);
	uint32_t freed = what & SL_WHAT_FDS
	                         ? rescue_fds(what)
	                         : rescue_ports(what - 1, asked - atomic_load(&place->answered));
	if (what & SL_WHAT_FDS)
		has_freed_fds = freed > 0;
	if (freed > 0)
		atomic_store(&place->helped, asked);
	/* A program that goes on trying must not keep the worker busy. */
	atomic_store(&place->not_before_ms, freed ? 0 : sl_clock_ms() + SL_RESCUE_REST_MS);
	atomic_store(&place->resting, what);
	atomic_store(&place->answered, asked);
	sl_sys_futex_wake(&place->answered);
}

bool sl_rescue_turn(uint64_t now_ms)
{
	bool has_swept = false;
	for (unsigned i = 0; i < SL_RESCUE_PLACES; i++) {
		uint64_t wanted = atomic_load(&places[i].wanted);
		if (asked_of(wanted) == atomic_load(&places[i].answered))
			continue;
		if (!has_swept)
			sl_sweep((uint64_t)sl_options.deadline_ms, now_ms);
		has_swept = true;
		answer(&places[i], wanted);
	}
	return has_swept;
}

void sl_rescue_forked(void)
{
	memset(places, 0, sizeof(places));
	atomic_store(&rescued, 0);
	is_raised = has_freed_fds = false;
}
