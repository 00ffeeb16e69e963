/* text_done.c - see text_done.h. */
#include "report/text_done.h"

#include "report/text_head.h"
#include "report/text_limits.h"
#include "report/text_line.h"
#include "report/words.h"

#include "base/poison.h"

/* ---- DONE ---- */

struct part {
	const char *before;
	uint64_t count;
	const char *after;
	bool is_within; /* a remark on the part before it */
};

static bool is_acting(const struct sl_snapshot *s)
{
	return s->reclaim.action != SL_ACTION_REPORT;
}

static void put_action(struct sl_text_line *line, const char *before, enum sl_action action)
{
	sl_out_text(&line->out, before);
	sl_out_text(&line->out, "action=");
	sl_out_text(&line->out, sl_words_action(action));
}

static void put_nothing(struct sl_text_line *line, const struct sl_snapshot *s)
{
	if (!is_acting(s)) {
		sl_out_text(&line->out,
		            s->totals.rescued ? "nothing by itself" : "nothing (report only)");
	} else if (s->reclaim.is_dry_run) {
		put_action(line, "nothing: dry run of ", s->reclaim.action);
		sl_out_text(&line->out, ", see events=");
	} else {
		put_action(line, s->totals.stuck ? "nothing yet (" : "nothing due yet (",
		           s->reclaim.action);
		sl_out_char(&line->out, ')');
	}
}

static void put_part(struct sl_text_line *line, const struct part *part, bool is_first)
{
	sl_out_text(&line->out, is_first ? "" : part->is_within ? " " : ", ");
	sl_out_text(&line->out, part->before);
	sl_out_unsigned(&line->out, part->count);
	sl_out_text(&line->out, part->after);
}

/* As many of the counts as leave room for the tail, and how many more there are. */
static void put_parts(struct sl_text_line *line, const struct part *parts, unsigned n,
                      unsigned columns)
{
	unsigned left_out = 0;
	bool is_first = true;
	for (unsigned i = 0; i < n; i++) {
		struct sl_text_line clause;
		if (!parts[i].count)
			continue;
		sl_text_line_start(&clause, line->has_colour);
		put_part(&clause, &parts[i], is_first);
		if (left_out ||
		    sl_text_line_columns(line) + sl_text_line_columns(&clause) > columns) {
			left_out++;
			continue;
		}
		sl_text_line_append(line, &clause);
		is_first = false;
	}
	if (left_out) {
		sl_out_text(&line->out, ", ");
		sl_text_count(&line->out, left_out, "more count");
	}
}

#define MORE_COLUMNS 15 /* of ", 7 more counts" */

void sl_text_done(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	const struct part parts[] = {
		{"shut down ", s->totals.shutdown, "", false},
		{"neutralized ", s->totals.neutralized, "", false},
		{"closed ", s->totals.closed_by_us, "", false},
		{"app reacted ", s->totals.app_reacted, "", false},
		{"probed ", s->totals.probed, "", false},
		{"(ended ", s->totals.ended_by_probe, ")", s->totals.probed > 0},
		{"keepalive ended ", s->totals.ended_by_keepalive, "", false},
	};
	const unsigned n = sizeof(parts) / sizeof(parts[0]);
	uint64_t any = 0;
	struct sl_text_line line, tail;
	sl_text_line_start(&line, colour);
	sl_text_line_start(&tail, colour);
	sl_out_text(&tail.out, "; rescued ");
	sl_out_unsigned(&tail.out, s->totals.rescued);
	sl_out_text(&tail.out, ", regretted ");
	sl_out_unsigned(&tail.out, s->totals.regretted);

	sl_text_line_label(&line, "DONE");
	for (unsigned i = 0; i < n; i++)
		any += parts[i].count;
	if (s->reclaim.is_stopped) {
		sl_text_line_paint(&line, SL_PAINT_BAD);
		sl_out_text(&line.out, "stopped: ");
		sl_text_count(&line.out, s->totals.regretted, "regret");
		sl_text_line_paint(&line, SL_PAINT_RESET);
		sl_out_text(&line.out, any ? "; " : "");
	} else if (any && s->reclaim.is_dry_run) {
		sl_out_text(&line.out, "dry run; ");
	}
	if (any)
		put_parts(&line, parts, n, sl_text_line_left(&tail, NULL) - MORE_COLUMNS);
	else if (!s->reclaim.is_stopped)
		put_nothing(&line, s);
	sl_text_line_append(&line, &tail);
	sl_text_line_end(&line, out);
}

/* ---- NOW ---- */

/* What a shutdown would give back: a port for each stuck outbound connection that is not dead already. */
static uint64_t freeable_ports(const struct sl_snapshot *s)
{
	uint64_t outbound = 0;
	uint64_t close_wait =
		s->totals.stuck -
		(s->totals.dead_stuck < s->totals.stuck ? s->totals.dead_stuck : s->totals.stuck);
	for (uint32_t i = 0; i < s->peer_count; i++)
		if (s->peers[i].direction == SL_DIRECTION_OUT)
			outbound += s->peers[i].stuck;
	return outbound < close_wait ? outbound : close_wait;
}

/* Where they stand: the option side= that would reach them. */
static const char *side_of(const struct sl_snapshot *s)
{
	bool is_in = false, is_out = false;
	for (uint32_t i = 0; i < s->peer_count; i++) {
		is_in |= s->peers[i].stuck && s->peers[i].direction == SL_DIRECTION_IN;
		is_out |= s->peers[i].stuck && s->peers[i].direction != SL_DIRECTION_IN;
	}
	return !is_in ? "" : is_out ? " side=both" : " side=in";
}

static void put_restart(struct sl_text_line *line, const struct sl_snapshot *s)
{
	sl_out_text(&line->out, "a restart frees ");
	sl_text_count(&line->out, s->totals.close_wait + s->totals.dead, "connection");
}

/* "sockleak set 4242 ", or "restart with " where nobody can be asked. */
static void put_set(struct sl_text_line *line, const struct sl_snapshot *s, const char *restart)
{
	if (!s->reclaim.has_control) {
		sl_out_text(&line->out, restart);
		return;
	}
	sl_out_text(&line->out, "sockleak set ");
	sl_out_unsigned(&line->out, (uint64_t)s->process.pid);
	sl_out_char(&line->out, ' ');
}

static void put_for(struct sl_text_line *line, const struct sl_snapshot *s)
{
	sl_out_text(&line->out, s->reclaim.has_control ? " for=2h" : "");
}

/* Fd numbers come back by close alone; a higher limit is milder. */
static void put_remedy_for_fds(struct sl_text_line *line, const struct sl_snapshot *s)
{
	put_set(line, s, "restart with ");
	sl_out_text(&line->out, "raise_nofile=N, or action=close");
	sl_out_text(&line->out, side_of(s));
	put_for(line, s);
	if (s->totals.stuck) {
		sl_out_text(&line->out, ": would free up to ");
		sl_text_count(&line->out, s->totals.stuck, "fd");
	}
}

/* The lowest rung that relieves the pressure there is; with what it would free at most, for the ladder spares some. */
static void put_remedy(struct sl_text_line *line, const struct sl_snapshot *s)
{
	uint64_t ports = freeable_ports(s);
	if (sl_text_limits_are_fds(s) || (s->totals.stuck && !ports)) {
		put_remedy_for_fds(line, s);
		return;
	}
	put_set(line, s, "restart with SOCKLEAK_OPTIONS ");
	sl_out_text(&line->out, "action=shutdown");
	put_for(line, s);
	sl_out_text(&line->out, ": would free ");
	if (s->totals.stuck) {
		sl_out_text(&line->out, "up to ");
		sl_text_count(&line->out, ports, "port");
	} else {
		sl_out_text(&line->out, "what stays quiet");
	}
}

/* No library in it: the command alone can do something. */
static void put_from_outside(struct sl_text_line *line, const struct sl_snapshot *s)
{
	if (!s->totals.stuck) {
		sl_out_text(&line->out, "nothing to free: no connection is stuck");
		return;
	}
	sl_out_text(&line->out, "sockleak reap ");
	sl_out_signed(&line->out, s->process.pid);
	sl_out_text(&line->out, "     would free up to ");
	sl_text_count(&line->out, freeable_ports(s), "port");
}

/* The ladder is on. */
static void put_progress(struct sl_text_line *line, const struct sl_snapshot *s)
{
	put_action(line, "", s->reclaim.action);
	if (s->reclaim.action != SL_ACTION_CLOSE && sl_text_limits_are_fds(s)) {
		sl_out_text(&line->out, " frees no fds: ");
		put_set(line, s, "restart with ");
		sl_out_text(&line->out, "raise_nofile=N, or action=close");
		return;
	}
	sl_out_text(&line->out, " ends what is quiet for ");
	sl_text_exact(&line->out, s->deadline_ms);
	if (s->totals.stuck) {
		sl_out_text(&line->out, "; ");
		sl_out_unsigned(&line->out, s->totals.stuck);
		sl_out_text(&line->out, " stuck are next, or spared");
	} else {
		sl_out_text(&line->out, "; nothing is stuck now");
	}
}

void sl_text_done_now(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	struct sl_text_line line;
	sl_text_line_start(&line, colour);
	sl_text_line_label(&line, "NOW");
	if (s->mode == SL_MODE_EXTERNAL) {
		put_from_outside(&line, s);
	} else if (s->reclaim.is_stopped) {
		sl_out_text(&line.out, "the ladder is off since the regrets, see events=");
		if (sl_text_head_has_suspects(s)) {
			sl_out_text(&line.out, "; ");
			put_restart(&line, s);
		}
	} else if (is_acting(s) && s->reclaim.is_dry_run) {
		put_set(&line, s, "restart without dry_run=1");
		sl_out_text(&line.out, s->reclaim.has_control ? "dry_run=0: " : ": ");
		put_action(&line, "", s->reclaim.action);
		if (s->totals.stuck) {
			sl_out_text(&line.out, " would end up to ");
			sl_text_count(&line.out, s->totals.stuck, "connection");
		} else {
			sl_out_text(&line.out, " would end what stays quiet");
		}
	} else if (is_acting(s)) {
		put_progress(&line, s);
	} else if (!sl_text_head_has_suspects(s)) {
		sl_out_text(&line.out, "nothing to free: no connection waits for a close");
	} else if (s->reclaim.asked != SL_ACTION_REPORT) {
		sl_out_text(&line.out, "no action under the program's seccomp filter; ");
		put_restart(&line, s);
	} else if (s->verdict == SL_VERDICT_LEAK || sl_text_limits_are_reached(s)) {
		put_remedy(&line, s);
	} else if (s->verdict == SL_VERDICT_POOL) {
		sl_out_text(&line.out, "nothing to do: a pool finds out when it is used again");
	} else if (s->verdict == SL_VERDICT_OK && s->totals.stuck) {
		sl_out_text(&line.out, "nothing to do: the program closes them itself");
	} else {
		sl_out_text(&line.out, "ask for another report later, to see whether they stay and "
		                       "grow in number");
	}
	sl_text_line_end(&line, out);
}
