#include "control/reap.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/process.h"
#include "ledger/fdtable.h"
#include "reclaim/due.h"
#include "reclaim/reclaim.h"
#include "reclaim/rules.h"
#include "report/events.h"
#include "report/json_write.h"
#include "report/words.h"
#include "watch/suspects.h"

#include "base/poison.h"

#define SL_REAP_MOST_MS 15000
#define SL_REAP_STILL_MS 2600 /* nothing more came: a probe waits two seconds for its answer */
#define SL_REAP_SWEEPS 3
#define SL_REAP_RATE_LEAST 1000
#define SL_REAP_AGE_LEAST_MS 100 /* of deadline= */
#define SL_REAP_PAIRS_BYTES (SL_OPTION_TEXT_MAX + 128)

static struct sl_options before; /* what is put back */
static _Atomic uint64_t changed; /* its rows; 0: none is under way. A fork may come at any time */
static uint64_t until_ms, still_since_ms;
static uint64_t seen; /* actions at the last turn */
static struct sl_reclaim_counts at_begin;
static uint32_t begun_at_tick;
static bool is_dry, is_inbound;
static int64_t older_than_ms;

static struct sl_out *refusal;

static void complain(const char *line)
{
	if (refusal->length > 0)
		sl_out_text(refusal, "; ");
	sl_out_text(refusal, line);
}

static void put_age(struct sl_out *out, const char *before_it, int64_t age_ms)
{
	sl_out_text(out, before_it);
	sl_out_signed(out, age_ms);
	sl_out_text(out, "ms");
}

static void print_pairs(const struct sl_reap *reap, char *text, size_t n)
{
	struct sl_out out;
	sl_out_init(&out, text, n - 1, NULL, NULL);
	sl_out_text(&out, "interval=100ms");
	if (sl_options.action == SL_ACTION_REPORT)
		sl_out_text(&out, " action=shutdown");
	if (sl_options.max_rate != 0 && sl_options.max_rate < SL_REAP_RATE_LEAST) {
		sl_out_text(&out, " max_rate=");
		sl_out_signed(&out, SL_REAP_RATE_LEAST);
	}
	int64_t age_ms = reap->older_than_ms < 0 ? sl_options.deadline_ms : reap->older_than_ms;
	age_ms = age_ms < SL_REAP_AGE_LEAST_MS ? SL_REAP_AGE_LEAST_MS : age_ms;
	if (reap->older_than_ms >= 0)
		put_age(&out, " deadline=", age_ms);
	if (reap->is_inbound) {
		put_age(&out, " deadline_in=", age_ms);
		sl_out_text(&out, sl_options.side == SL_SIDE_OUT ? " side=both" : "");
	}
	if (*reap->peer) {
		sl_out_text(&out, " only=");
		sl_out_text(&out, reap->peer);
	}
	if (reap->is_dry)
		sl_out_text(&out, " dry_run=1");
	text[out.length] = 0;
}

static void tell(const struct sl_reap *reap, const char *pairs)
{
	sl_events_tell(&(struct sl_event){.kind = SL_EVENT_SET,
	                                  .fd = -1,
	                                  .quiet_ms = -1,
	                                  .option = {.key = "reap",
	                                             .was = "",
	                                             .is = pairs,
	                                             .uid = reap->uid,
	                                             .for_ms = SL_REAP_MOST_MS}});
}

/* Why one is spared is said anew: it is counted here. */
static void forget_reasons(void *unused, const struct sl_suspect_view *view)
{
	(void)unused;
	view->rungs->spared_said = 0;
}

bool sl_reap_begin(const struct sl_reap *reap, struct sl_out *answer)
{
	char pairs[SL_REAP_PAIRS_BYTES];
	refusal = answer;
	if (*reap->peer && *sl_options.only) {
		sl_out_text(answer,
		            "peer: the option only= is in force there; set only=none first");
		return false;
	}
	if (!sl_process_may_act() || sl_reclaim_is_stopped()) {
		sl_out_text(answer,
		            "no action is possible in this process: a seccomp filter, a thread "
		            "with descriptors of its own, or three regrets stand against it");
		return false;
	}
	print_pairs(reap, pairs, sizeof(pairs));
	struct sl_options wanted = sl_options;
	uint64_t rows;
	if (sl_options_change(&wanted, pairs, &rows, complain) > 0)
		return false;
	before = sl_options;
	atomic_store(&changed, rows);
	sl_options_copy(&sl_options, &wanted, rows);
	sl_suspects_each(forget_reasons, NULL);
	sl_reclaim_ask_once(true);
	tell(reap, pairs);
	is_dry = sl_options.dry_run; /* asked for, or in force anyway */
	is_inbound = reap->is_inbound;
	older_than_ms = sl_options.deadline_ms;
	sl_reclaim_counts(&at_begin);
	still_since_ms = sl_clock_ms();
	until_ms = still_since_ms + SL_REAP_MOST_MS;
	begun_at_tick = atomic_load(&sl_fd_tick);
	seen = 0;
	return true;
}

/* What is left, and why. */
struct left {
	uint64_t all;         /* of the age and the peer that was asked for */
	uint64_t pretended;   /* ended in words */
	uint64_t not_inbound; /* that the program has accepted, and nobody has asked for */
	uint64_t
		not_reached; /* nothing speaks against it: there was no time, or a probe is under way */
	uint64_t spared[SL_SPARED_COUNT];
};

/* The reason that was found last. */
static enum sl_spared reason_of(uint32_t said)
{
	enum sl_spared reason = SL_SPARED_NOT;
	for (int spared = SL_SPARED_NOT + 1; spared < SL_SPARED_COUNT; spared++)
		if ((said & 1u << spared) && sl_words_spared((enum sl_spared)spared))
			reason = (enum sl_spared)spared;
	return reason;
}

static bool is_inbound_and_not_asked_for(const struct sl_suspect_view *view)
{
	struct sl_case known;
	sl_due_look(view, &known);
	return known.direction == SL_DIRECTION_IN && !is_inbound &&
	       (sl_options.side == SL_SIDE_OUT ||
	        known.quiet_ms < (uint64_t)sl_options.deadline_in_ms);
}

/* Quiet that long, and neither ended nor, in words, about to be. */
static void count_left(void *context, const struct sl_suspect_view *view)
{
	struct left *left = context;
	left->pretended += view->rungs->is_pretended;
	if (!view->judgement.is_close_wait || view->rungs->is_reclaimed ||
	    view->judgement.quiet_ms < (uint64_t)older_than_ms || view->rungs->is_pretended ||
	    !sl_rules_cover(view->record.peer, view->record.fd))
		return;
	enum sl_spared reason = reason_of(view->rungs->spared_said);
	left->all++;
	if (reason)
		left->spared[reason]++;
	else if (is_inbound_and_not_asked_for(view))
		left->not_inbound++;
	else
		left->not_reached++;
}

static void put_because(struct sl_json *json, const struct left *left)
{
	sl_json_open(json, "skipped_because", '{');
	if (left->not_inbound)
		sl_json_unsigned(json, "inbound", left->not_inbound);
	for (int spared = SL_SPARED_NOT + 1; spared < SL_SPARED_COUNT; spared++)
		if (left->spared[spared])
			sl_json_unsigned(json, sl_words_spared((enum sl_spared)spared),
			                 left->spared[spared]);
	if (left->not_reached)
		sl_json_unsigned(json, "not-reached", left->not_reached);
	sl_json_close(json, '}');
}

bool sl_reap_is_under_way(void)
{
	return atomic_load(&changed) != 0;
}

void sl_reap_abort(void)
{
	sl_options_copy(&sl_options, &before, atomic_load(&changed));
	sl_reclaim_ask_once(false);
	atomic_store(&changed, 0);
}

bool sl_reap_turn(uint64_t now_ms, struct sl_out *answer)
{
	struct sl_reclaim_counts now;
	struct left left = {0};
	sl_reclaim_counts(&now);
	sl_suspects_each(count_left, &left);
	uint64_t ended =
		(now.shutdown - at_begin.shutdown) + (now.ended_by_probe - at_begin.ended_by_probe);
	uint64_t probed = now.probed - at_begin.probed;
	if (seen != ended + probed + left.pretended || sl_reclaim_is_behind()) {
		seen = ended + probed + left.pretended;
		still_since_ms = now_ms;
	}
	/* One sweep to guard them, one to act, one to see what came of it. */
	bool is_seen = atomic_load(&sl_fd_tick) - begun_at_tick > SL_REAP_SWEEPS;
	bool is_still = now_ms - still_since_ms >= SL_REAP_STILL_MS;
	if (now_ms < until_ms && (!is_seen || (left.all > 0 && !is_still)))
		return false;
	struct sl_json json = {.out = answer};
	sl_json_open(&json, NULL, '{');
	sl_json_unsigned(&json, "reaped", is_dry ? left.pretended : ended);
	sl_json_unsigned(&json, "skipped", left.all);
	sl_json_unsigned(&json, "probed", probed);
	sl_json_unsigned(&json, "ended_by_probe", now.ended_by_probe - at_begin.ended_by_probe);
	put_because(&json, &left);
	sl_json_bool(&json, "dry_run", is_dry);
	sl_json_close(&json, '}');
	sl_out_char(answer, '\n');
	sl_reap_abort();
	return true;
}
