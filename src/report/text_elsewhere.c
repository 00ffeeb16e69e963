#include "report/text_elsewhere.h"

#include <string.h>

#include "report/text_line.h"
#include "report/words.h"
#include "watch/accepting.h"

#include "base/poison.h"

#define SL_NAME_COLUMNS 8

bool sl_text_elsewhere_is_notable(const struct sl_snapshot *s)
{
	for (uint32_t i = 0; i < s->elsewhere_count; i++)
		if (s->elsewhere[i].is_notable)
			return true;
	return false;
}

/* What follows the number. */
static const char *phrase_of(enum sl_elsewhere_kind kind)
{
	static const char *const phrases[SL_ELSEWHERE_COUNT] = {
		[SL_ELSEWHERE_NOT_ACCEPTED] = " wait at ",
		[SL_ELSEWHERE_FIN_WAIT2] = " in FIN_WAIT2",
		[SL_ELSEWHERE_HALF_OPEN] = " silent, no keepalive",
		[SL_ELSEWHERE_NEVER_CONNECTED] = " never connected",
		[SL_ELSEWHERE_CONNECT_FAILED] = " left after connect() failed",
		[SL_ELSEWHERE_CONNECTING] = " in SYN_SENT",
		[SL_ELSEWHERE_PORTS_TAKEN] = " ports",
	};
	return phrases[kind];
}

/* "(limit 128, full)", "(of 100, 70 in TIME_WAIT)" */
static void put_limit(struct sl_text_line *line, const struct sl_snapshot_elsewhere *row)
{
	bool is_ports = row->kind == SL_ELSEWHERE_PORTS_TAKEN;
	if (row->limit == SL_UNKNOWN || (!is_ports && row->kind != SL_ELSEWHERE_NOT_ACCEPTED))
		return;
	sl_out_text(&line->out, is_ports ? " (of " : " (limit ");
	sl_out_signed(&line->out, row->limit);
	if (is_ports && row->at_peer) {
		sl_out_text(&line->out, ", ");
		sl_out_unsigned(&line->out, row->at_peer);
		sl_out_text(&line->out, " in TIME_WAIT");
	} else if (!is_ports && sl_accepting_is_full(row->count, (uint64_t)row->limit)) {
		sl_out_text(&line->out, ", full");
	}
	sl_out_char(&line->out, ')');
}

static void put_oldest(struct sl_text_line *line, const struct sl_snapshot_elsewhere *row)
{
	if (row->oldest_ms == SL_UNKNOWN || row->oldest_ms <= 0)
		return;
	sl_out_text(&line->out, row->count > 1 ? ", oldest " : " for ");
	sl_out_duration(&line->out, (uint64_t)row->oldest_ms);
}

/* Whether the line of code is of use, or the other end. */
static bool is_ours(enum sl_elsewhere_kind kind)
{
	return kind == SL_ELSEWHERE_NEVER_CONNECTED || kind == SL_ELSEWHERE_CONNECT_FAILED;
}

/* Before a name; NULL: there is none to give. */
static const char *before_name(const struct sl_snapshot_elsewhere *row)
{
	if (is_ours(row->kind) && row->blame)
		return row->at_site < row->count ? ", mostly by " : ", by ";
	if (row->kind == SL_ELSEWHERE_NOT_ACCEPTED || !row->peer)
		return NULL;
	bool is_most = row->kind != SL_ELSEWHERE_PORTS_TAKEN && row->at_peer < row->count;
	return is_most ? ", mostly to " : " to ";
}

/* The name in what `end` leaves it, where that is enough to tell it by. */
static void put_name(struct sl_text_line *line, const struct sl_snapshot_elsewhere *row,
                     const struct sl_text_line *end)
{
	const char *before = before_name(row);
	unsigned left = sl_text_line_left(line, end), lead = before ? (unsigned)strlen(before) : 0;
	if (!before || left < lead + SL_NAME_COLUMNS)
		return;
	sl_out_text(&line->out, before);
	sl_text_line_name(line, is_ours(row->kind) && row->blame ? row->blame : row->peer,
	                  left - lead);
}

static void put_row(struct sl_out *out, const struct sl_snapshot_elsewhere *row, bool colour)
{
	struct sl_text_line line, tail, end;
	sl_text_line_start(&line, colour);
	sl_text_line_start(&tail, colour);
	sl_text_line_start(&end, colour);
	sl_out_text(&end.out, ": ");
	sl_out_text(&end.out, sl_words_elsewhere_advice(row->kind, row->is_stalled));
	put_limit(&tail, row);
	put_oldest(&tail, row);

	sl_out_text(&line.out, "  ");
	sl_out_unsigned(&line.out, row->count);
	sl_out_text(&line.out, phrase_of(row->kind));
	if (row->kind == SL_ELSEWHERE_NOT_ACCEPTED) {
		sl_text_line_append(&tail, &end);
		sl_text_line_name(&line, row->local, sl_text_line_left(&line, &tail));
		sl_text_line_append(&line, &tail);
	} else {
		sl_text_line_append(&line, &tail);
		put_name(&line, row, &end);
		sl_text_line_append(&line, &end);
	}
	sl_text_line_end(&line, out);
}

void sl_text_elsewhere(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	uint32_t shown = s->elsewhere_count < SL_TEXT_ELSEWHERE_ROWS ? s->elsewhere_count
	                                                             : SL_TEXT_ELSEWHERE_ROWS;
	if (!shown)
		return;
	sl_out_text(out, "\nNO LEAK, and not well: none of these is counted as stuck\n");
	for (uint32_t i = 0; i < shown; i++)
		put_row(out, &s->elsewhere[i], colour);
	if (shown < s->elsewhere_count) {
		sl_out_text(out, "  ... ");
		sl_text_count(out, s->elsewhere_count - shown, "more line");
		sl_out_text(out, ", see json=FILE\n");
	}
}
