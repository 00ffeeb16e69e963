/* text_head.c - see text_head.h. */
#include "report/text_head.h"

#include "base/version.h"
#include "report/guilty.h"
#include "report/text_elsewhere.h"
#include "report/text_limits.h"
#include "report/text_line.h"
#include "report/words.h"

#include "base/poison.h"

uint64_t sl_text_head_reclaimed(const struct sl_snapshot *s)
{
	uint64_t reclaimed = 0;
	for (uint32_t i = 0; i < s->site_count; i++)
		reclaimed += s->sites[i].reclaimed;
	return reclaimed;
}

bool sl_text_head_has_acted(const struct sl_snapshot *s)
{
	return s->totals.probed || s->totals.shutdown || s->totals.neutralized ||
	       s->totals.closed_by_us || s->totals.app_reacted || s->totals.ended_by_probe ||
	       s->totals.ended_by_keepalive || s->totals.absorbed || s->totals.rescued ||
	       s->totals.regretted;
}

bool sl_text_head_has_suspects(const struct sl_snapshot *s)
{
	return s->totals.stuck || s->totals.close_wait || s->totals.dead;
}

bool sl_text_head_is_healthy(const struct sl_snapshot *s)
{
	return s->verdict == SL_VERDICT_OK && !s->totals.stuck && !s->totals.backlog &&
	       !s->listener_count && !s->pressure && !s->totals.dropped && !s->sites_cut &&
	       !s->totals.held_back_bytes && !s->reclaim.is_stopped && !sl_text_head_has_acted(s) &&
	       !sl_text_elsewhere_is_notable(s) && !sl_text_limits_are_near(s);
}

static enum sl_text_paint paint_of(enum sl_verdict verdict)
{
	if (verdict == SL_VERDICT_OK)
		return SL_PAINT_GOOD;
	return verdict == SL_VERDICT_LEAK ? SL_PAINT_BAD : SL_PAINT_DOUBT;
}

static void put_verdict(struct sl_text_line *line, enum sl_verdict verdict)
{
	sl_text_line_paint(line, paint_of(verdict));
	sl_out_text(&line->out, sl_words_verdict(verdict));
	sl_text_line_paint(line, SL_PAINT_RESET);
}

/* Program and host into the columns that head, pid and tail leave: the program's name has the first
 * claim, but the host keeps up to a third. */
static void put_who(struct sl_text_line *line, const struct sl_snapshot *s,
                    const struct sl_text_line *tail)
{
	struct sl_text_line pid;
	sl_text_line_start(&pid, line->has_colour);
	sl_out_text(&pid.out, "  pid ");
	sl_out_signed(&pid.out, s->process.pid);
	sl_out_text(&pid.out, " on ");

	unsigned left = sl_text_line_left(line, tail);
	left -= left < sl_text_line_columns(&pid) ? left : sl_text_line_columns(&pid);
	unsigned name = sl_text_name_columns(s->process.name);
	unsigned host = sl_text_name_columns(s->process.hostname);
	if (name + host > left) {
		if (host > left / 3)
			host = name < left - left / 3 ? left - name : left / 3;
		name = left - host;
	}
	sl_text_line_name(line, s->process.name, name);
	sl_text_line_append(line, &pid);
	sl_text_line_name(line, s->process.hostname, host);
	sl_text_line_append(line, tail);
}

void sl_text_head(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	struct sl_text_line line, tail;
	sl_text_line_start(&line, colour);
	sl_text_line_start(&tail, colour);
	sl_out_text(&tail.out, "  up ");
	sl_out_duration(&tail.out, s->process.uptime_ms);
	sl_out_text(&tail.out, "  ");
	sl_out_rfc3339(&tail.out, s->taken_wall_ms);
	sl_out_text(&tail.out, "  (");
	sl_out_text(&tail.out, sl_words_trigger(s->trigger));
	sl_out_text(&tail.out, ")");

	sl_out_text(&line.out, "sockleak ");
	sl_text_name(&line.out, s->version ? s->version : SL_VERSION);
	sl_out_text(&line.out, "  ");
	put_who(&line, s, &tail);
	sl_text_line_end(&line, out);
}

static void put_open(struct sl_text_line *line, const struct sl_snapshot *s)
{
	sl_out_text(&line->out, ": ");
	sl_out_unsigned(&line->out, s->totals.open);
	sl_out_text(&line->out, " open, ");
	sl_out_unsigned(&line->out, s->totals.close_wait);
	sl_out_text(&line->out, " CLOSE_WAIT");
}

void sl_text_head_healthy(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	struct sl_text_line line, tail;
	sl_text_line_start(&line, colour);
	sl_text_line_start(&tail, colour);
	sl_out_text(&tail.out, "  ");
	sl_out_rfc3339(&tail.out, s->taken_wall_ms);
	sl_out_text(&tail.out, "  ");
	put_verdict(&tail, s->verdict);
	put_open(&tail, s);

	sl_out_text(&line.out, "sockleak  ");
	put_who(&line, s, &tail);
	sl_text_line_end(&line, out);
}

static void put_part(struct sl_text_line *line, uint64_t part, uint64_t whole, const char *noun)
{
	sl_out_unsigned(&line->out, part);
	sl_out_text(&line->out, " of ");
	sl_out_unsigned(&line->out, whole);
	sl_out_text(&line->out, noun);
}

/* "12622 of 12719 CLOSE_WAIT and 3 of 4 dead-but-open stuck": each number of its own kind only. */
static void put_stuck(struct sl_text_line *line, const struct sl_snapshot *s)
{
	uint64_t dead =
		s->totals.dead_stuck < s->totals.stuck ? s->totals.dead_stuck : s->totals.stuck;
	uint64_t close_wait = s->totals.stuck - dead;
	if (s->totals.close_wait || close_wait)
		put_part(line, close_wait, s->totals.close_wait, " CLOSE_WAIT");
	if (s->totals.dead || dead) {
		if (s->totals.close_wait || close_wait)
			sl_out_text(&line->out, " and ");
		put_part(line, dead, s->totals.dead, " dead-but-open");
	}
	sl_out_text(&line->out, " stuck");
}

/* Where we end what leaks, that its number stays is no sign that the leak does. */
static void put_growth(struct sl_text_line *line, int64_t growth_per_min, bool is_held)
{
	if (growth_per_min == SL_UNKNOWN || (is_held && growth_per_min <= 0))
		return;
	if (growth_per_min == 0)
		sl_out_text(&line->out, ", not growing");
	else
		sl_out_text(&line->out, growth_per_min > 0 ? ", growing" : ", shrinking");
}

/* Why it is not called a leak. */
static void put_reason(struct sl_text_line *line, const struct sl_snapshot *s)
{
	const struct sl_snapshot_site *worst = sl_guilty_site(s);
	switch (s->verdict) {
	case SL_VERDICT_OK:
		sl_out_text(&line->out, ", closed late");
		break;
	case SL_VERDICT_POOL:
		sl_out_text(&line->out, ", idle in a pool");
		break;
	case SL_VERDICT_BURST:
		sl_out_text(&line->out, ", opened together, none since");
		break;
	case SL_VERDICT_UNKNOWN:
		if (s->no_sites || !worst) {
			sl_out_text(&line->out, "; what they come to cannot be told from outside");
		} else if (worst->stuck < SL_VERDICT_LEAK_MIN ||
		           s->totals.stuck < SL_VERDICT_LEAK_MIN) {
			sl_out_text(&line->out, ", under ");
			sl_out_unsigned(&line->out, SL_VERDICT_LEAK_MIN);
			sl_out_text(&line->out, " at each site");
		} else if (s->settled_ms) {
			sl_out_text(&line->out, ", judged once quiet for ");
			sl_text_exact(&line->out, s->settled_ms);
		}
		break;
	case SL_VERDICT_LEAK:
	case SL_VERDICT_NOT_ACCEPTING:
	case SL_VERDICT_COUNT:
		break;
	}
}

static void add_ended(struct sl_text_line *line, uint64_t reclaimed)
{
	struct sl_text_line clause;
	if (!reclaimed)
		return;
	sl_text_line_start(&clause, line->has_colour);
	sl_out_text(&clause.out, ", ");
	sl_out_unsigned(&clause.out, reclaimed);
	sl_out_text(&clause.out, " ended by us");
	(void)sl_text_line_append_if_fits(line, &clause);
}

static void add_backlog(struct sl_text_line *line, const struct sl_snapshot *s)
{
	struct sl_text_line clause;
	if (!s->totals.backlog)
		return;
	sl_text_line_start(&clause, line->has_colour);
	sl_out_text(&clause.out, "; ");
	sl_out_unsigned(&clause.out, s->totals.backlog);
	sl_out_text(&clause.out, " not accepted yet");
	(void)sl_text_line_append_if_fits(line, &clause);
}

void sl_text_head_verdict(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	uint64_t reclaimed = sl_text_head_reclaimed(s);
	struct sl_text_line line;
	sl_text_line_start(&line, colour);
	put_verdict(&line, s->verdict);
	if (s->verdict == SL_VERDICT_LEAK)
		put_growth(&line, s->totals.growth_per_min, reclaimed > 0);
	if (s->totals.stuck) {
		sl_out_text(&line.out, ": ");
		put_stuck(&line, s);
		put_reason(&line, s);
		add_ended(&line, reclaimed);
		if (!sl_text_line_add_duration(&line, ", the oldest for ",
		                               s->totals.oldest_stuck_ms, ""))
			(void)sl_text_line_add_duration(&line, ", oldest ",
			                                s->totals.oldest_stuck_ms, "");
		(void)sl_text_line_add_duration(&line, "; began ", s->totals.began_after_ms,
		                                " after start");
	} else {
		put_open(&line, s);
		if (s->totals.dead) {
			sl_out_text(&line.out, ", ");
			sl_out_unsigned(&line.out, s->totals.dead);
			sl_out_text(&line.out, " dead-but-open");
		}
		add_ended(&line, reclaimed);
		if (sl_text_head_has_suspects(s)) {
			sl_out_text(&line.out, ", none quiet for ");
			sl_out_text(&line.out,
			            s->deadline_ms ? "the deadline of " : "the deadline");
			if (s->deadline_ms)
				sl_text_exact(&line.out, s->deadline_ms);
			sl_out_text(&line.out, " yet");
		}
	}
	add_backlog(&line, s);
	sl_text_line_end(&line, out);
}
