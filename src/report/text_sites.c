/* text_sites.c - see text_sites.h. */
#include "report/text_sites.h"

#include "report/guilty.h"
#include "report/text.h"
#include "report/text_head.h"
#include "report/text_lead.h"
#include "report/text_line.h"
#include "report/text_unblamed.h"
#include "report/words.h"

#include "base/poison.h"

static void put_counted(struct sl_out *out, const char *before, uint64_t count, const char *after)
{
	sl_out_text(out, before);
	sl_out_unsigned(out, count);
	sl_out_text(out, after);
}

static enum sl_text_paint paint_of(enum sl_site_verdict verdict)
{
	if (verdict == SL_SITE_OK || verdict == SL_SITE_SLOW)
		return SL_PAINT_GOOD;
	return verdict == SL_SITE_LEAK ? SL_PAINT_BAD : SL_PAINT_DOUBT;
}

/* "SITE 7  leak  out, java  12622 stuck, 12640 CLOSE_WAIT of 12650 open, oldest 1h58m" */
static void put_site_head(struct sl_out *out, const struct sl_snapshot_site *site, bool colour)
{
	const char *kind = sl_words_stack_kind(site->kind);
	const char *direction = sl_words_direction(site->direction);
	put_counted(out, "SITE ", site->id, "  ");
	sl_text_paint(out, colour, paint_of(site->verdict));
	sl_out_text(out, sl_words_site_verdict(site->verdict));
	sl_text_paint(out, colour, SL_PAINT_RESET);
	sl_out_text(out, "  ");
	sl_out_text(out, direction);
	sl_out_text(out, direction ? ", " : "");
	sl_out_text(out, kind ? kind : "no stack");
	if (site->name) {
		sl_out_text(out, ", ");
		sl_text_name(out, site->name);
	}
	put_counted(out, "  ", site->stuck, " stuck, ");
	put_counted(out, "", site->close_wait, " CLOSE_WAIT of ");
	put_counted(out, "", site->open, " open");
	if (site->oldest_close_wait_ms != SL_UNKNOWN && site->oldest_close_wait_ms >= 0) {
		sl_out_text(out, ", oldest ");
		sl_out_duration(out, (uint64_t)site->oldest_close_wait_ms);
	}
	sl_out_char(out, '\n');
}

/* " (rst 2, timeout 1)" */
static void put_deaths(struct sl_out *out, const struct sl_snapshot_site *site)
{
	const char *before = " (";
	for (int death = SL_DEATH_NONE + 1; death < SL_DEATH_COUNT; death++) {
		if (!site->deaths[death])
			continue;
		sl_out_text(out, before);
		sl_out_text(out, sl_words_death((enum sl_death)death));
		put_counted(out, " ", site->deaths[death], "");
		before = ", ";
	}
	sl_out_text(out, before[0] == ',' ? ")" : "");
}

/* "  cause    never-looked 12600, unread-data 22 (310 bytes)" */
static void put_causes(struct sl_out *out, const struct sl_snapshot_site *site)
{
	const char *separator = "";
	sl_out_text(out, "  cause    ");
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++) {
		if (!site->causes[cause])
			continue;
		sl_out_text(out, separator);
		sl_out_text(out, sl_words_cause((enum sl_cause)cause));
		put_counted(out, " ", site->causes[cause], "");
		if (cause == SL_CAUSE_UNREAD_DATA && site->unread_bytes) {
			sl_out_text(out, " (");
			sl_text_count(out, site->unread_bytes, "byte");
			sl_out_char(out, ')');
		}
		if (cause == SL_CAUSE_DEAD_BUT_OPEN)
			put_deaths(out, site);
		separator = ", ";
	}
	sl_out_text(out, separator[0] ? "" : "none");
	if (site->intended)
		put_counted(out, "; intended ", site->intended, "");
	sl_out_char(out, '\n');
}

/* Where the end of file was read, and ignored: there the close is missing. */
static void put_reader(struct sl_out *out, const struct sl_snapshot *s,
                       const struct sl_snapshot_site *site)
{
	const char *blame = sl_guilty_reader(s, site);
	if (!blame)
		return;
	sl_out_text(out, "  eof at   ");
	sl_text_name(out, blame);
	sl_out_char(out, '\n');
}

/* What was done. */
static void put_done(struct sl_out *out, const struct sl_snapshot_site *site)
{
	if (!site->reclaimed)
		return;
	put_counted(out, "  done     reclaimed ", site->reclaimed, " of the ");
	put_counted(out, "", site->opened, " that it opened\n");
}

static void put_lifetime(struct sl_out *out, const struct sl_snapshot_site *site)
{
	put_counted(out, "  opened   ", site->opened, ", ");
	put_counted(out, "closed ", site->closed, ", ");
	put_counted(out, "retracted ", site->retracted, ", ");
	put_counted(out, "regretted ", site->regretted, "");
	if (site->last_use_ms != SL_UNKNOWN && site->last_use_ms >= 0) {
		sl_out_text(out, "; last used ");
		sl_out_duration(out, (uint64_t)site->last_use_ms);
		sl_out_text(out, " ago");
	}
	sl_out_char(out, '\n');
}

static void put_rate(struct sl_out *out, const char *before, int64_t per_min, const char *after)
{
	sl_out_text(out, before);
	sl_out_text(out, per_min > 0 ? "+" : "");
	sl_out_signed(out, per_min);
	sl_out_text(out, after);
}

/* "  trend    +30 a minute (open +31); the program has closed half of them after 12m" */
static void put_trend(struct sl_out *out, const struct sl_snapshot_site *site)
{
	if (site->growth_per_min == SL_UNKNOWN)
		return;
	put_rate(out, "  trend    ", site->growth_per_min, " a minute");
	if (site->open_growth_per_min != SL_UNKNOWN)
		put_rate(out, " (open ", site->open_growth_per_min, ")");
	if (site->half_life_ms != SL_UNKNOWN && site->half_life_ms >= 0) {
		sl_out_text(out, "; the program closes half of them within ");
		sl_out_duration(out, (uint64_t)site->half_life_ms);
	}
	sl_out_char(out, '\n');
}

/* What the program does close late, it closes so late. */
static void put_late(struct sl_out *out, const struct sl_snapshot_site *site)
{
	if (site->late_ms_p50 == SL_UNKNOWN || site->late_ms_p50 < 0)
		return;
	sl_out_text(out, "  late     closed ");
	sl_out_duration(out, (uint64_t)site->late_ms_p50);
	put_counted(out, " after the peer (median of ", site->retracted, ")\n");
}

static void put_threads(struct sl_out *out, const struct sl_snapshot_site *site)
{
	if (!site->thread_names)
		return;
	sl_out_text(out, "  threads  ");
	for (uint32_t i = 0; i < site->thread_names; i++) {
		sl_out_text(out, i ? ", " : "");
		sl_text_name(out, site->threads[i]);
	}
	if (site->thread_count > site->thread_names)
		put_counted(out, " and ", site->thread_count - site->thread_names, " more");
	sl_out_char(out, '\n');
}

static enum sl_text_paint paint_of_frame(const struct sl_snapshot_site *site, uint32_t frame)
{
	if (frame == site->blame_frame)
		return SL_PAINT_BLAME;
	return site->frames[frame]->role == SL_ROLE_RUNTIME ? SL_PAINT_DIM : SL_PAINT_RESET;
}

/* What a frame is called where it has no text. */
static const char *text_of(const struct sl_frame *frame)
{
	if (frame->text)
		return frame->text;
	return frame->function ? frame->function : frame->module;
}

/* One line of a stack. */
static void put_frame(struct sl_out *out, const struct sl_snapshot_site *site, uint32_t frame,
                      bool is_bounded, bool colour)
{
	enum sl_text_paint paint = paint_of_frame(site, frame);
	const char *mark = frame == site->blame_frame ? "    > " : "      ";
	struct sl_text_line line;
	sl_text_line_start(&line, colour);
	if (paint != SL_PAINT_RESET)
		sl_text_line_paint(&line, paint);
	sl_out_text(&line.out, mark);
	if (is_bounded) {
		sl_text_line_name(&line, text_of(site->frames[frame]),
		                  sl_text_line_left(&line, NULL));
		sl_out_bytes(out, line.bytes, line.out.length);
	} else {
		sl_out_bytes(out, line.bytes, line.out.length);
		sl_text_name(out, text_of(site->frames[frame]));
	}
	if (paint != SL_PAINT_RESET)
		sl_text_paint(out, colour, SL_PAINT_RESET);
	sl_out_char(out, '\n');
}

static void put_no_stack(struct sl_out *out, const struct sl_snapshot_site *site)
{
	if (site->frame_count)
		return;
	sl_out_text(out, "      ");
	sl_text_name(out, site->unseen ? site->unseen : "no stack was kept");
	sl_out_char(out, '\n');
}

static void put_frames_cut(struct sl_out *out, const struct sl_snapshot_site *site)
{
	if (site->frames_cut)
		sl_out_text(out, "      ... the stack was deeper than depth=\n");
}

static void put_full_stack(struct sl_out *out, const struct sl_snapshot_site *site, bool colour)
{
	put_no_stack(out, site);
	for (uint32_t i = 0; i < site->frame_count; i++)
		put_frame(out, site, i, false, colour);
	put_frames_cut(out, site);
}

static void put_blame(struct sl_out *out, const struct sl_snapshot_site *site)
{
	char text[SL_TEXT_UNBLAMED_BYTES];
	sl_text_name(out, sl_text_blame(text, site, UINT32_MAX,
	                                site->unseen ? site->unseen : "not known"));
}

void sl_text_sites_full(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	for (uint32_t i = 0; i < s->site_count && i < SL_TEXT_FULL_SITES; i++) {
		const struct sl_snapshot_site *site = &s->sites[i];
		sl_out_char(out, '\n');
		put_site_head(out, site, colour);
		sl_out_text(out, "  blame    ");
		put_blame(out, site);
		sl_out_char(out, '\n');
		put_causes(out, site);
		put_reader(out, s, site);
		put_done(out, site);
		put_lifetime(out, site);
		put_trend(out, site);
		put_late(out, site);
		put_threads(out, site);
		put_full_stack(out, site, colour);
	}
	if (s->site_count > SL_TEXT_FULL_SITES) {
		sl_out_text(out, "\n... ");
		sl_text_count(out, s->site_count - SL_TEXT_FULL_SITES, "more site");
		sl_out_text(out, ", see json=FILE\n");
	}
}

/* In one line: the short form has no more to spare. */
static void put_frames_left_out(struct sl_out *out, uint32_t inner, uint32_t outer, bool is_cut)
{
	const char *begin = "      ... ";
	if (inner)
		put_counted(out, begin, inner, " more within");
	if (outer)
		put_counted(out, inner ? ", " : begin, outer, " more around");
	if (is_cut) {
		sl_out_text(out, inner || outer ? "; " : begin);
		sl_out_text(out, "the stack was deeper than depth=");
	}
	sl_out_text(out, inner || outer || is_cut ? "\n" : "");
}

/* The frames around the blame, and one line for those left out on both sides. */
static void put_short_stack(struct sl_out *out, const struct sl_snapshot_site *site, bool colour)
{
	uint32_t first = 0;
	uint32_t shown = site->frame_count;
	if (shown > SL_TEXT_SHORT_FRAMES) {
		shown = SL_TEXT_SHORT_FRAMES;
		if (site->blame_frame < site->frame_count && site->blame_frame > 0)
			first = site->blame_frame - 1; /* the call that the blamed line made */
		if (first > site->frame_count - shown)
			first = site->frame_count - shown;
	}
	put_no_stack(out, site);
	for (uint32_t i = first; i < first + shown; i++)
		put_frame(out, site, i, true, colour);
	put_frames_left_out(out, first, site->frame_count - shown - first, site->frames_cut);
}

/* "... 5 more sites" or ", 2 more peers": a part of one line that names all that is left out. */
static bool put_left_out_part(struct sl_out *out, uint32_t count, const char *noun, bool is_first)
{
	if (!count)
		return is_first;
	sl_out_text(out, is_first ? "\n... " : ", ");
	sl_text_count(out, count, noun);
	return false;
}

static void put_left_out(struct sl_out *out, const struct sl_snapshot *s, uint32_t sites)
{
	uint32_t peers = s->peer_count;
	if (peers && sl_text_lead_peer_is_suspect(&s->peers[0]))
		peers--; /* the TO line has it */
	bool is_first = put_left_out_part(out, sites, "more site", true);
	is_first = put_left_out_part(out, peers, "more peer", is_first);
	is_first = put_left_out_part(out, s->listener_count, "listener", is_first);
	if (!is_first)
		sl_out_text(out, ", see report=FILE or json=FILE\n");
}

static void put_short_site(struct sl_out *out, const struct sl_snapshot_site *site, bool colour)
{
	sl_out_char(out, '\n');
	put_site_head(out, site, colour);
	put_causes(out, site);
	put_done(out, site);
	put_short_stack(out, site, colour);
}

void sl_text_sites_short(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	const struct sl_snapshot_site *guilty = sl_guilty_site(s);
	uint32_t shown = 0;
	if (guilty) {
		put_short_site(out, guilty, colour);
		shown++;
	}
	/* Lines of their own make way for one site less: forty in all. */
	uint32_t most = SL_TEXT_SHORT_SITES - (s->elsewhere_count > 0);
	for (uint32_t i = 0; i < s->site_count && shown < most; i++) {
		const struct sl_snapshot_site *site = &s->sites[i];
		if (site == guilty || !sl_guilty_is_suspect(site))
			continue;
		put_short_site(out, site, colour);
		shown++;
	}
	put_left_out(out, s, s->site_count - shown);
}
