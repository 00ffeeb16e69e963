#include "reclaim/ladder.h"

#include "base/poison.h"

/* action=, as the highest rung. A probe changes nothing, but it belongs to the action that it comes before. */
static bool may_reach(const struct sl_options *options, enum sl_rung rung)
{
	static const enum sl_rung tops[] = {
		[SL_ACTION_REPORT] = SL_RUNG_NONE,
		[SL_ACTION_SHUTDOWN] = SL_RUNG_SHUTDOWN,
		[SL_ACTION_NEUTRALIZE] = SL_RUNG_NEUTRALIZE,
		[SL_ACTION_CLOSE] = SL_RUNG_CLOSE,
	};
	return rung <= tops[options->action];
}

static bool is_on_side(const struct sl_case *known, const struct sl_options *options)
{
	return (options->side != SL_SIDE_IN && known->direction == SL_DIRECTION_OUT) ||
	       (options->side != SL_SIDE_OUT && known->direction == SL_DIRECTION_IN);
}

static bool is_time(const struct sl_case *known, const struct sl_options *options)
{
	uint64_t deadline_ms = known->direction == SL_DIRECTION_IN
	                               ? (uint64_t)options->deadline_in_ms
	                               : (uint64_t)options->deadline_ms;
	if (known->reached >= SL_RUNG_SHUTDOWN)
		return known->since_rung_ms >= (uint64_t)options->grace_ms;
	return (known->is_close_wait || known->is_dead) && known->quiet_ms >= deadline_ms;
}

static bool wants_probe(const struct sl_case *known, const struct sl_options *options)
{
	if (options->probe == SL_PROBE_AUTO)
		return known->direction == SL_DIRECTION_IN || known->read_last;
	return options->probe == SL_PROBE_ON;
}

/* The next rung, if nothing speaks against it. */
static enum sl_rung next_rung(const struct sl_case *known, const struct sl_options *options)
{
	if (known->reached >= SL_RUNG_SHUTDOWN)
		return known->reached + 1;
	/* A dead connection has no peer to ask, and nothing left to shut: only its fd is there. */
	if (known->is_dead)
		return SL_RUNG_NEUTRALIZE;
	return wants_probe(known, options) && !known->probe_sent ? SL_RUNG_PROBE : SL_RUNG_SHUTDOWN;
}

/* What forbids any action at all. */
static enum sl_spared spared_from_all(const struct sl_case *known, const struct sl_options *options)
{
	if (known->is_intended)
		return SL_SPARED_INTENDED;
	if (!is_on_side(known, options))
		return SL_SPARED_SIDE;
	if (!known->is_covered)
		return SL_SPARED_RULE;
	if (known->is_exempt)
		return SL_SPARED_REGRET;
	if (known->direction == SL_DIRECTION_IN && known->cause != SL_CAUSE_EOF_IGNORED &&
	    known->is_close_wait && known->reached < SL_RUNG_SHUTDOWN)
		return SL_SPARED_CAUSE;
	if (known->is_behind_stdio)
		return SL_SPARED_STDIO;
	return known->has_unsent && known->reached < SL_RUNG_SHUTDOWN ? SL_SPARED_NOT_DUE
	                                                              : SL_SPARED_NOT;
}

/* What forbids to change the description: probe and shutdown. */
static enum sl_spared spared_from_shutdown(const struct sl_case *known,
                                           const struct sl_options *options)
{
	if (known->sharing == SL_SHARING_SHARED)
		return SL_SPARED_SHARED;
	if (known->sharing == SL_SHARING_UNKNOWN)
		return SL_SPARED_SHARING_UNKNOWN;
	if (known->probe_answered && known->direction == SL_DIRECTION_IN)
		return SL_SPARED_PEER_WAITS;
	/* It would spin from the shutdown until it is neutralized: that must come at once, and be allowed. */
	if (known->is_level_triggered &&
	    (!may_reach(options, SL_RUNG_NEUTRALIZE) || known->is_adopted))
		return SL_SPARED_EPOLL;
	if (known->is_level_triggered && (known->has_unread || known->has_pending_error))
		return known->has_unread ? SL_SPARED_UNREAD : SL_SPARED_ERROR_PENDING;
	return SL_SPARED_NOT;
}

/* What forbids to let the description go. A shared one only loses this process's reference; but an epoll set that holds it
 * could never drop it again. */
static enum sl_spared spared_from_neutralize(const struct sl_case *known)
{
	if (known->is_adopted)
		return SL_SPARED_ADOPTED;
	if (known->has_unread)
		return SL_SPARED_UNREAD;
	if (known->has_pending_error)
		return SL_SPARED_ERROR_PENDING;
	if (known->sharing == SL_SHARING_UNKNOWN)
		return SL_SPARED_SHARING_UNKNOWN;
	if (known->sharing == SL_SHARING_SHARED && known->is_in_epoll)
		return SL_SPARED_EPOLL;
	return SL_SPARED_NOT;
}

static enum sl_spared spared_from(const struct sl_case *known, const struct sl_options *options,
                                  enum sl_rung rung)
{
	if (rung == SL_RUNG_CLOSE)
		return SL_SPARED_NOT;
	return rung == SL_RUNG_NEUTRALIZE ? spared_from_neutralize(known)
	                                  : spared_from_shutdown(known, options);
}

bool sl_ladder_is_due(const struct sl_case *known, const struct sl_options *options)
{
	return is_time(known, options) && may_reach(options, next_rung(known, options));
}

void sl_ladder_decide(const struct sl_case *known, const struct sl_options *options,
                      struct sl_decision *decision)
{
	*decision = (struct sl_decision){.spared = SL_SPARED_NOT_DUE};
	if (!sl_ladder_is_due(known, options))
		return;
	decision->due = next_rung(known, options);
	decision->spared = spared_from_all(known, options);
	if (decision->spared == SL_SPARED_NOT)
		decision->spared = spared_from(known, options, decision->due);
	/* What may not be shut down because it is shared may still be let go of. */
	if (decision->spared == SL_SPARED_SHARED && may_reach(options, SL_RUNG_NEUTRALIZE)) {
		decision->due = SL_RUNG_NEUTRALIZE;
		decision->spared = spared_from_neutralize(known);
	}
	if (decision->spared == SL_SPARED_NOT)
		decision->rung = decision->due;
}

enum sl_spared sl_ladder_may_rescue(const struct sl_case *known, const struct sl_options *options)
{
	enum sl_spared spared = SL_SPARED_NOT_DUE;
	if (!known->is_close_wait || known->reached >= SL_RUNG_SHUTDOWN || known->has_unsent ||
	    known->quiet_ms < (uint64_t)options->rescue_after_ms)
		return spared;
	if (known->is_intended)
		return SL_SPARED_INTENDED;
	if (known->direction != SL_DIRECTION_OUT || !is_on_side(known, options))
		return SL_SPARED_SIDE;
	if (known->has_unread)
		return SL_SPARED_UNREAD;
	if (known->is_level_triggered)
		return SL_SPARED_EPOLL;
	if (!known->is_covered)
		return SL_SPARED_RULE;
	if (known->is_exempt)
		return SL_SPARED_REGRET;
	if (known->is_behind_stdio)
		return SL_SPARED_STDIO;
	return spared_from_shutdown(known, options);
}
