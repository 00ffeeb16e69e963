#include "reclaim/reclaim.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/desk.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sys.h"
#include "ledger/sites.h"
#include "reclaim/dead.h"
#include "reclaim/due.h"
#include "reclaim/keepalive.h"
#include "reclaim/regret.h"
#include "reclaim/rescue.h"

#include "base/poison.h"

#define SL_SHARING_WAIT_MS 2000
#define SL_SHARING_REST 20       /* after reading all of /proc, that many times as long without */
#define SL_SPARE_DUE 200         /* looked at beyond what max_rate allows: some will be spared */
#define SL_LIMITED_SWEEP_MS 1000 /* max_rate left something over: look again then */
#define SL_PROBE_SWEEP_MS 2000
#define SL_PROBES_MOST \
	5 /* without an answer, of an inbound peer: after a minute it is taken for gone */

/* All the worker's, but for the last. */
static sl_event_fn *tell_fn;
static struct sl_reclaim_counts counts;
static uint64_t tokens_thousandth; /* actions that max_rate allows, in thousandths */
static uint64_t filled_at_ms;
static uint64_t read_from_ms; /* no reading of /proc before */
static uint64_t read_cost_us; /* processor time of one, of late */
static bool is_short_said;
static bool is_asked_once;
static bool is_behind;
static _Atomic uint64_t absorbed;

struct turn {
	uint64_t now_ms;
	struct sl_arena arena;
	struct sl_due_list due;
	bool is_acting;
	bool has_probe; /* one is under way */
	bool is_limited;
};

static void tell(const struct sl_suspect_view *view, enum sl_event_kind kind)
{
	struct sl_event event = sl_due_event(view, kind);
	event.is_dry_run = view->rungs->is_pretended;
	tell_fn(&event);
}

bool sl_reclaim_is_behind(void)
{
	return is_behind;
}

void sl_reclaim_ask_once(bool is_once)
{
	is_asked_once = is_once;
}

void sl_reclaim_listen(uint64_t now_ms)
{
	sl_regret_drain(now_ms, tell_fn);
}

void sl_reclaim_tell(const struct sl_event *event)
{
	tell_fn(event);
}

enum sl_action sl_reclaim_action(void)
{
	return sl_regret_has_stopped_us() || !sl_process_may_act()
	               ? SL_ACTION_REPORT
	               : (enum sl_action)sl_options.action;
}

bool sl_reclaim_is_stopped(void)
{
	return sl_regret_has_stopped_us();
}

void sl_reclaim_absorbed(void)
{
	atomic_fetch_add(&absorbed, 1);
}

void sl_reclaim_counts(struct sl_reclaim_counts *now)
{
	*now = counts;
	now->regretted = sl_regret_count();
	now->rescued = sl_rescue_count();
	now->absorbed = atomic_load(&absorbed);
}

/* ---- what has happened since the last sweep ---- */

static void note_stuck(const struct sl_suspect_view *view)
{
	struct sl_suspect_rungs *rungs = view->rungs;
	if (view->judgement.is_stuck && !rungs->stuck_said) {
		rungs->stuck_said = true;
		tell(view, SL_EVENT_STUCK);
	} else if (!view->judgement.is_stuck && rungs->stuck_said && !rungs->is_reclaimed) {
		rungs->stuck_said = false;
		tell(view, SL_EVENT_RETRACTED);
	}
}

/* Whose probe ended it? */
static void note_death(const struct sl_suspect_view *view)
{
	struct sl_suspect_rungs *rungs = view->rungs;
	if (!view->judgement.is_dead || rungs->keepalive_said)
		return;
	if (rungs->is_probing) {
		rungs->keepalive_said = true;
		counts.ended_by_probe++;
	} else if (view->judgement.death == SL_DEATH_KEEPALIVE &&
	           (view->record.flags & SL_FD_KEEPALIVE)) {
		rungs->keepalive_said = true;
		counts.ended_by_keepalive++;
		tell(view, SL_EVENT_KEEPALIVE);
	}
}

static void end_probe(const struct sl_suspect_view *view, bool is_answered)
{
	struct sl_suspect_rungs *rungs = view->rungs;
	const struct sl_due due = {.view = *view};
	struct sl_target target;
	const struct sl_probe_saved saved = {rungs->keepalive_on, rungs->keepalive_idle_s,
	                                     rungs->was_own_keepalive};
	if (sl_process_is_sandboxed())
		return;
	(void)sl_due_target(&due, &target);
	for (uint32_t i = 0; i < target.count; i++)
		target.numbers[i].last_io = SL_IO_ANY;
	/* Else tried again, as long as the connection has a number. */
	rungs->is_probing = sl_act_probe_end(&target, &saved, is_answered) != 0;
}

/* The program has used it: what was asked or pretended before is old. */
static void start_anew(const struct sl_suspect_view *view)
{
	struct sl_suspect_rungs *rungs = view->rungs;
	struct sl_case known;
	if (rungs->is_probing) {
		sl_due_look(view, &known);
		end_probe(view, known.probe_answered);
	}
	if (rungs->is_probing || (rungs->reached >= SL_RUNG_SHUTDOWN && !rungs->is_pretended))
		return;
	rungs->probed_at_ms = 0;
	rungs->probes_lost = 0;
	rungs->is_error_ours = false;
	rungs->reached = SL_RUNG_NONE;
}

/* dry_run= was switched off: what was done in words only is still to be done. */
static void forget_pretence(struct sl_suspect_rungs *rungs)
{
	rungs->is_pretended = false;
	rungs->reached = SL_RUNG_NONE;
	rungs->probed_at_ms = 0;
	rungs->spared_said = 0;
}

/* A peer that acknowledged is asked again after another deadline. */
static void renew_probe(struct sl_suspect_rungs *rungs, const struct sl_case *known,
                        uint64_t now_ms)
{
	if (!is_asked_once && known->probe_answered && known->direction == SL_DIRECTION_IN &&
	    now_ms - rungs->probed_at_ms >= (uint64_t)sl_options.deadline_in_ms)
		rungs->probed_at_ms = 0;
}

/* Silence says nothing of an inbound peer: a packet may be lost, a network gone for a while. It is asked again, each time with
 * twice the patience, before it is taken for gone. */
static void probe_again(struct sl_suspect_rungs *rungs, struct sl_case *known)
{
	if (known->probe_answered)
		rungs->probes_lost = 0;
	if (!known->probe_sent || known->probe_answered || known->is_probe_pending ||
	    known->is_dead || known->direction != SL_DIRECTION_IN || rungs->is_probing ||
	    rungs->is_pretended || rungs->probes_lost + 1 >= SL_PROBES_MOST)
		return;
	rungs->probes_lost++;
	rungs->probed_at_ms = 0;
	known->probe_sent = false;
}

static void tell_skipped(const struct sl_suspect_view *view, const struct sl_decision *decision)
{
	uint32_t reason = 1u << decision->spared;
	if (decision->spared == SL_SPARED_NOT_DUE || (view->rungs->spared_said & reason))
		return;
	view->rungs->spared_said |= reason;
	struct sl_event event = sl_due_event(view, SL_EVENT_SKIPPED);
	event.spared = decision->spared;
	event.rung = decision->due;
	tell_fn(&event);
}

/* Something is due, and nothing that is known already forbids it: only then are the costly questions worth asking. */
static bool is_worth_asking(const struct sl_suspect_view *view, const struct sl_case *known)
{
	struct sl_case at_best = *known;
	struct sl_decision decision;
	if (known->is_probe_pending || !sl_ladder_is_due(known, &sl_options))
		return false;
	/* It has a dead socket of its own, which is not ours to close. */
	if (view->rungs->reached == SL_RUNG_NEUTRALIZE && !view->rungs->is_pretended &&
	    !(view->record.marks & SL_MARK_DEAD))
		return false;
	at_best.is_covered = true;
	sl_ladder_decide(&at_best, &sl_options, &decision);
	if (decision.rung == SL_RUNG_NONE)
		tell_skipped(view, &decision);
	return decision.rung != SL_RUNG_NONE;
}

static void collect(void *context, const struct sl_suspect_view *view)
{
	struct turn *turn = context;
	struct sl_suspect_rungs *rungs = view->rungs;
	struct sl_case known;
	note_stuck(view);
	note_death(view);
	if (rungs->is_pretended && !sl_options.dry_run)
		forget_pretence(rungs);
	if (view->action_quiet_ms == 0)
		start_anew(view);
	sl_due_look(view, &known);
	if (rungs->is_probing && !known.is_probe_pending)
		end_probe(view, known.probe_answered);
	/* The probe did no harm then: an error is the peer's doing. */
	if (known.probe_answered && known.reached < SL_RUNG_SHUTDOWN)
		rungs->is_error_ours = false;
	turn->has_probe |= known.is_probe_pending;
	renew_probe(rungs, &known, turn->now_ms);
	probe_again(rungs, &known);
	if (turn->is_acting && is_worth_asking(view, &known))
		sl_due_add(&turn->due, view, &known);
	/* Guarded from now on; acted on at a later sweep. */
	if (!(view->record.marks & SL_MARK_GUARDED) &&
	    (turn->is_acting || sl_options_want_rescue(&sl_options)))
		(void)sl_fdtable_guard(view->record.fd, view->record.generation);
}

static void gone(void *unused, const struct sl_suspect_view *view)
{
	const struct sl_suspect_rungs *rungs = view->rungs;
	(void)unused;
	if (rungs->reached == SL_RUNG_SHUTDOWN && rungs->is_reclaimed) {
		counts.app_reacted++;
		tell(view, SL_EVENT_APP_REACTED);
	} else if (rungs->stuck_said && !rungs->is_reclaimed) {
		tell(view, SL_EVENT_RETRACTED);
	}
	/* It may be open still, with another peer (connect() to AF_UNSPEC). */
	if (rungs->is_probing)
		end_probe(view, false);
}

/* ---- the rungs ---- */

static void note_rung(struct sl_suspect_rungs *rungs, enum sl_rung rung)
{
	rungs->reached = (uint8_t)rung;
	rungs->since_rung_ms = 0;
}

/* We ended it: counted once for each connection. */
static void count_reclaimed(const struct sl_suspect_view *view)
{
	struct sl_site *site = sl_site_get(view->record.site);
	if (!view->rungs->is_reclaimed && site)
		site->reclaimed++;
	view->rungs->is_reclaimed = true;
}

/* Without a number of our own nothing can be done safely. */
static void say_short(int error)
{
	if (is_short_said || (error != -EMFILE && error != -ENFILE && error != -ENOMEM))
		return;
	is_short_said = true;
	sl_log("actions are not possible: no file descriptor is left for the library's own use",
	       NULL);
}

static int probe(const struct sl_due *due, const struct sl_target *target)
{
	struct sl_suspect_rungs *rungs = due->view.rungs;
	struct sl_probe_saved saved;
	uint64_t before_ms = sl_clock_ms();
	int error = sl_act_probe(target, &saved);
	if (error != 0)
		return error;
	rungs->keepalive_on = saved.is_on;
	rungs->keepalive_idle_s = saved.idle_s;
	rungs->was_own_keepalive = saved.was_own;
	rungs->is_probing = true;
	rungs->is_error_ours = !due->known.has_pending_error;
	rungs->probed_at_ms = before_ms;
	note_rung(rungs, SL_RUNG_PROBE);
	counts.probed++;
	tell(&due->view, SL_EVENT_PROBED);
	return 0;
}

static void note_neutralized(const struct sl_due *due)
{
	count_reclaimed(&due->view);
	note_rung(due->view.rungs, SL_RUNG_NEUTRALIZE);
	counts.neutralized++;
	tell(&due->view, SL_EVENT_NEUTRALIZED);
}

static int neutralize(const struct sl_due *due, const struct sl_target *target)
{
	int error = sl_act_neutralize(target, due->known.sharing == SL_SHARING_NONE,
	                              due->view.rungs->is_error_ours);
	if (error == 0)
		note_neutralized(due);
	return error;
}

void sl_reclaim_count_shutdown(const struct sl_due *due)
{
	due->view.rungs->is_error_ours = !due->known.has_pending_error;
	count_reclaimed(&due->view);
	note_rung(due->view.rungs, SL_RUNG_SHUTDOWN);
	counts.shutdown++;
}

static int shut_down(const struct sl_due *due, const struct sl_target *target)
{
	bool is_dead = false;
	int error = due->known.is_level_triggered ? sl_act_end(target, &is_dead)
	                                          : sl_act_shutdown(target);
	if (error != 0)
		return error;
	sl_reclaim_count_shutdown(due);
	tell(&due->view, SL_EVENT_SHUTDOWN);
	if (is_dead)
		note_neutralized(due);
	return 0;
}

bool sl_reclaim_close(const struct sl_suspect_view *view)
{
	struct sl_fd_record record;
	bool is_closed = false;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1) {
		if (!(record.marks & SL_MARK_DEAD) || record.cookie != view->cookie)
			continue;
		const struct sl_number number = {record.fd, record.generation, SL_IO_ANY};
		is_closed |= sl_act_close(&number) == 0;
	}
	if (!is_closed)
		return false;
	note_rung(view->rungs, SL_RUNG_CLOSE);
	counts.closed++;
	tell(view, SL_EVENT_CLOSED);
	return true;
}

static int act(const struct sl_due *due, enum sl_rung rung)
{
	struct sl_target target;
	if (rung == SL_RUNG_CLOSE)
		return sl_reclaim_close(&due->view) ? 0 : -ESTALE;
	if (!sl_due_target(due, &target)) {
		const struct sl_decision spared = {.due = rung, .spared = SL_SPARED_NUMBERS};
		if (target.is_cut)
			tell_skipped(&due->view, &spared);
		return -EBUSY;
	}
	switch (rung) {
	case SL_RUNG_PROBE:
		return probe(due, &target);
	case SL_RUNG_SHUTDOWN:
		return shut_down(due, &target);
	default:
		return neutralize(due, &target);
	}
}

/* dry_run: the same way up, in words only. */
static void pretend(const struct sl_due *due, enum sl_rung rung)
{
	static const enum sl_event_kind kinds[SL_RUNG_COUNT] = {
		[SL_RUNG_PROBE] = SL_EVENT_PROBED,
		[SL_RUNG_SHUTDOWN] = SL_EVENT_SHUTDOWN,
		[SL_RUNG_NEUTRALIZE] = SL_EVENT_NEUTRALIZED,
		[SL_RUNG_CLOSE] = SL_EVENT_CLOSED,
	};
	struct sl_suspect_rungs *rungs = due->view.rungs;
	rungs->is_pretended = true;
	note_rung(rungs, rung);
	if (rung == SL_RUNG_PROBE)
		rungs->probed_at_ms = sl_clock_ms();
	tell(&due->view, kinds[rung]);
}

/* ---- how many, and when ---- */

static bool has_token(void)
{
	return sl_options.max_rate == 0 || tokens_thousandth >= 1000;
}

static void take_token(void)
{
	if (sl_options.max_rate != 0)
		tokens_thousandth -= 1000;
}

/* At most one second's worth is ever saved up. */
static void refill_tokens(uint64_t now_ms)
{
	uint64_t rate = (uint64_t)sl_options.max_rate;
	uint64_t elapsed_ms = now_ms - filled_at_ms < 1000 ? now_ms - filled_at_ms : 1000;
	tokens_thousandth += rate * elapsed_ms;
	if (tokens_thousandth > rate * 1000)
		tokens_thousandth = rate * 1000;
	filled_at_ms = now_ms;
}

static void climb(struct turn *turn)
{
	for (uint32_t i = 0; i < turn->due.count && !turn->is_limited; i++) {
		const struct sl_due *due = &turn->due.of[i];
		struct sl_decision decision;
		sl_ladder_decide(&due->known, &sl_options, &decision);
		if (decision.rung == SL_RUNG_NONE) {
			tell_skipped(&due->view, &decision);
		} else if (sl_options.dry_run) {
			pretend(due, decision.rung);
		} else if (!has_token()) {
			turn->is_limited = true;
		} else {
			int error = act(due, decision.rung);
			if (error == 0)
				take_token();
			say_short(error);
		}
		turn->has_probe |= due->view.rungs->is_probing;
	}
}

/* No more than this turn can get to: the facts are costly, and old by the next. */
static void cut_to_rate(struct sl_due_list *due)
{
	uint32_t most = (uint32_t)(tokens_thousandth / 1000) + SL_SPARE_DUE;
	if (sl_options.max_rate != 0 && !sl_options.dry_run && due->count > most)
		due->count = most;
}

/* One reading that was dear, on a machine that was busy, must not keep the ladder waiting: the mean of the last few counts. */
static uint64_t usual_cost_us(void)
{
	uint64_t cost_us = sl_due_cost_us();
	read_cost_us = read_cost_us == 0 ? cost_us : (7 * read_cost_us + cost_us) / 8;
	return read_cost_us;
}

static void climb_if_known(struct turn *turn)
{
	if (turn->due.count == 0)
		return;
	turn->is_limited = sl_clock_ms() < read_from_ms;
	if (turn->is_limited)
		return;
	sl_due_sort(&turn->due);
	cut_to_rate(&turn->due);
	bool is_known = sl_due_complete(&turn->due, SL_SHARING_WAIT_MS);
	uint64_t end_ms = sl_clock_ms();
	read_from_ms = end_ms +
	               (is_known ? SL_SHARING_REST * usual_cost_us() / 1000 : SL_LIMITED_SWEEP_MS);
	if (is_known)
		climb(turn);
}

uint64_t sl_reclaim_turn(uint64_t now_ms, bool is_late)
{
	struct turn turn = {.now_ms = now_ms, .arena = SL_ARENA(256u << 10, 0)};
	sl_regret_drain(now_ms, tell_fn);
	refill_tokens(now_ms);
	sl_keepalive_turn();
	turn.is_acting = sl_reclaim_action() != SL_ACTION_REPORT;
	turn.is_acting = turn.is_acting && sl_due_begin(&turn.due, &turn.arena);
	sl_suspects_each(collect, &turn);
	if (!is_late)
		climb_if_known(&turn);
	sl_arena_free(&turn.arena);
	is_behind = turn.is_limited;
	if (turn.is_limited)
		return SL_LIMITED_SWEEP_MS;
	return turn.has_probe ? SL_PROBE_SWEEP_MS : UINT64_MAX;
}

/* Now, while there are numbers left, and none of the program's is in the way: one for each family, blocking or not. */
static void reserve_dead_sockets(void)
{
	for (int i = 0; i < 4; i++)
		(void)sl_dead_socket(i & 1 ? AF_INET6 : AF_INET, i & 2);
}

void sl_reclaim_ready(void)
{
	if (sl_options.action != SL_ACTION_REPORT || sl_options_want_rescue(&sl_options) ||
	    sl_options.keepalive_s != SL_OFF)
		(void)sl_act_start(); /* or at the first action */
	if (sl_options.action >= SL_ACTION_NEUTRALIZE)
		reserve_dead_sockets();
}

void sl_reclaim_start(sl_event_fn *tell_event)
{
	tell_fn = tell_event;
	sl_suspects_tell_gone(gone);
}

void sl_reclaim_rest(void)
{
	sl_desk_close();
	sl_dead_close();
}

void sl_reclaim_forked(void)
{
	memset(&counts, 0, sizeof(counts));
	atomic_store(&absorbed, 0);
	tokens_thousandth = filled_at_ms = read_from_ms = read_cost_us = 0;
	is_short_said = false;
	sl_regret_forked();
	sl_rescue_forked();
	sl_due_forked();
}
