#include "control/reap.h"

#include "base/clock.h"
#include "base/options.h"
#include "base/process.h"
#include "ledger/fdtable.h"
#include "reclaim/reclaim.h"
#include "reclaim/rules.h"
#include "report/events.h"
#include "report/json_write.h"
#include "watch/suspects.h"

#include "base/poison.h"

#define SL_REAP_MOST_MS 15000
#define SL_REAP_STILL_MS 2600 /* nothing more came: a probe waits two seconds for its answer */
#define SL_REAP_SWEEPS 3
#define SL_REAP_PAIRS_BYTES (SL_OPTION_TEXT_MAX + 128)

static struct sl_options before; /* what is put back */
static uint64_t changed;         /* its rows; 0: none is under way */
static uint64_t until_ms, still_since_ms;
static uint64_t seen; /* actions at the last turn */
static struct sl_reclaim_counts at_begin;
static uint32_t begun_at_tick;
static bool is_dry;
static int64_t older_than_ms;

static struct sl_out *refusal;

static void complain(const char *line)
{
	if (refusal->length > 0)
		sl_out_text(refusal, "; ");
	sl_out_text(refusal, line);
}

static void print_pairs(const struct sl_reap *reap, char *text, size_t n)
{
	struct sl_out out;
	sl_out_init(&out, text, n - 1, NULL, NULL);
	sl_out_text(&out, "interval=100ms");
	if (sl_options.action == SL_ACTION_REPORT)
		sl_out_text(&out, " action=shutdown");
	if (reap->older_than_ms >= 0) {
		sl_out_text(&out, " deadline=");
		sl_out_signed(&out, reap->older_than_ms);
		sl_out_text(&out, "ms");
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
	before = sl_options;
	if (sl_options_change(&sl_options, pairs, &changed, complain) > 0) {
		changed = 0;
		return false;
	}
	tell(reap, pairs);
	is_dry = reap->is_dry;
	older_than_ms = sl_options.deadline_ms;
	sl_reclaim_counts(&at_begin);
	still_since_ms = sl_clock_ms();
	until_ms = still_since_ms + SL_REAP_MOST_MS;
	begun_at_tick = atomic_load(&sl_fd_tick);
	seen = 0;
	return true;
}

/* Quiet that long, and neither ended nor, in words, about to be. */
static void count_left(void *context, const struct sl_suspect_view *view)
{
	uint64_t *left = context;
	if (view->judgement.is_close_wait && !view->rungs->is_reclaimed &&
	    view->judgement.quiet_ms >= (uint64_t)older_than_ms && !view->rungs->is_pretended &&
	    sl_rules_cover(view->record.peer, view->record.fd))
		++*left;
}

static void count_pretended(void *context, const struct sl_suspect_view *view)
{
	*(uint64_t *)context += view->rungs->is_pretended;
}

bool sl_reap_is_under_way(void)
{
	return changed != 0;
}

void sl_reap_abort(void)
{
	sl_options_copy(&sl_options, &before, changed);
	changed = 0;
}

bool sl_reap_turn(uint64_t now_ms, struct sl_out *answer)
{
	struct sl_reclaim_counts now;
	uint64_t left = 0, pretended = 0;
	sl_reclaim_counts(&now);
	sl_suspects_each(count_left, &left);
	sl_suspects_each(count_pretended, &pretended);
	uint64_t ended =
		(now.shutdown - at_begin.shutdown) + (now.ended_by_probe - at_begin.ended_by_probe);
	uint64_t probed = now.probed - at_begin.probed;
	if (seen != ended + probed + pretended) {
		seen = ended + probed + pretended;
		still_since_ms = now_ms;
	}
	/* One sweep to guard them, one to act, one to see what came of it. */
	bool is_seen = atomic_load(&sl_fd_tick) - begun_at_tick > SL_REAP_SWEEPS;
	bool is_still = now_ms - still_since_ms >= SL_REAP_STILL_MS;
	if (now_ms < until_ms && (!is_seen || (left > 0 && !is_still)))
		return false;
	struct sl_json json = {.out = answer};
	sl_json_open(&json, NULL, '{');
	sl_json_unsigned(&json, "reaped", is_dry ? pretended : ended);
	sl_json_unsigned(&json, "skipped", left);
	sl_json_unsigned(&json, "probed", probed);
	sl_json_bool(&json, "dry_run", is_dry);
	sl_json_close(&json, '}');
	sl_out_char(answer, '\n');
	sl_reap_abort();
	return true;
}
