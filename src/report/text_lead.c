/* text_lead.c - see text_lead.h. */
#include "report/text_lead.h"

#include <string.h>

#include "report/guilty.h"
#include "report/text_done.h"
#include "report/text_habit.h"
#include "report/text_head.h"
#include "report/text_limits.h"
#include "report/text_line.h"
#include "report/text_unblamed.h"
#include "report/words.h"

#include "base/poison.h"

#define SL_LISTENER_COLUMNS 30

static void put_share(struct sl_text_line *line, const struct sl_snapshot *s,
                      const struct sl_snapshot_site *site)
{
	uint64_t reclaimed = sl_text_head_reclaimed(s);
	sl_out_text(&line->out, "  ");
	if (s->totals.stuck || reclaimed) {
		sl_text_percent(&line->out, site->stuck + site->reclaimed,
		                s->totals.stuck + reclaimed);
		if (reclaimed)
			sl_out_text(&line->out,
			            s->totals.stuck ? " of stuck and ended" : " of those ended");
	} else if (s->totals.close_wait) {
		sl_text_percent(&line->out, site->close_wait, s->totals.close_wait);
		sl_out_text(&line->out, " of CLOSE_WAIT");
	} else {
		sl_text_percent(&line->out, site->causes[SL_CAUSE_DEAD_BUT_OPEN], s->totals.dead);
		sl_out_text(&line->out, " of dead-but-open");
	}
}

static void put_where(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	const struct sl_snapshot_site *site = sl_guilty_site(s);
	struct sl_text_line line, share;
	sl_text_line_start(&line, colour);
	sl_text_line_start(&share, colour);
	sl_text_line_label(&line, "WHERE");
	if (!site) {
		sl_out_text(&line.out, !sl_text_head_has_suspects(s) ? "nothing suspect"
		                       : s->no_sites                 ? "not known: "
		                                     : "not known: no site was recorded");
		if (sl_text_head_has_suspects(s) && s->no_sites)
			sl_text_line_name(&line, s->no_sites, sl_text_line_left(&line, NULL));
	} else {
		put_share(&share, s, site);
		const unsigned left = sl_text_line_left(&line, &share);
		char text[SL_TEXT_UNBLAMED_BYTES];
		if (site->blame)
			sl_text_line_paint(&line, SL_PAINT_BLAME);
		sl_text_line_name(&line,
		                  sl_text_blame(text, site, left,
		                                site->unseen ? site->unseen
		                                             : "not known: no stack was "
		                                               "kept for the worst site"),
		                  left);
		if (site->blame)
			sl_text_line_paint(&line, SL_PAINT_RESET);
		sl_text_line_append(&line, &share);
	}
	sl_text_line_end(&line, out);
}

bool sl_text_lead_peer_is_suspect(const struct sl_snapshot_peer *peer)
{
	return peer->stuck || peer->close_wait;
}

void sl_text_lead_peer(char text[SL_TEXT_PEER_BYTES], const struct sl_snapshot_peer *peer)
{
	struct sl_out out;
	sl_out_init(&out, text, SL_TEXT_PEER_BYTES - 1, NULL, NULL);
	bool brackets =
		peer->address && peer->direction != SL_DIRECTION_IN && strchr(peer->address, ':');
	sl_out_text(&out, brackets ? "[" : "");
	sl_out_text(&out, peer->address ? peer->address : "(others)");
	sl_out_text(&out, brackets ? "]" : "");
	if (peer->port != SL_UNKNOWN && peer->address) {
		sl_out_text(&out, peer->direction == SL_DIRECTION_IN ? " to local port " : ":");
		sl_out_signed(&out, peer->port);
	}
	text[out.length] = '\0';
}

/* What most of a site's suspects have in common. */
static void put_cause(struct sl_text_line *line, const struct sl_snapshot_site *site)
{
	uint64_t all = 0;
	enum sl_cause most = SL_CAUSE_NONE;
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++) {
		all += site->causes[cause];
		if (site->causes[cause] > site->causes[most] || most == SL_CAUSE_NONE)
			most = (enum sl_cause)cause;
	}
	if (!all)
		return;
	sl_out_text(&line->out, site->causes[most] < all ? "; mostly " : "; ");
	sl_out_text(&line->out, sl_words_cause_phrase(most));
}

static void put_to(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	const struct sl_snapshot_peer *peer = s->peer_count ? &s->peers[0] : NULL;
	const struct sl_snapshot_site *site = sl_guilty_site(s);
	struct sl_text_line line, idle, count, cause;
	sl_text_line_start(&line, colour);
	sl_text_line_label(&line, "TO");
	if (!peer || !sl_text_lead_peer_is_suspect(peer)) {
		sl_out_text(&line.out, sl_text_head_has_suspects(s) ? "not known"
		                       : site ? "nobody now: what was stuck is ended"
		                              : "nothing suspect");
		sl_text_line_end(&line, out);
		return;
	}
	bool is_in = peer->direction == SL_DIRECTION_IN && peer->address;
	sl_text_line_start(&idle, colour);
	sl_text_line_start(&cause, colour);
	sl_text_line_start(&count, colour);
	sl_text_habit(&idle, peer);
	sl_text_habit_count(&count, peer);
	if (site)
		put_cause(&cause, site);

	char name[SL_TEXT_PEER_BYTES];
	sl_text_lead_peer(name, peer);
	if (is_in) {
		sl_out_text(&line.out, "clients of local port ");
		if (peer->port == SL_UNKNOWN)
			sl_out_char(&line.out, '?');
		else
			sl_out_signed(&line.out, peer->port);
		sl_out_text(&line.out, " at ");
	}
	const char *shown = is_in ? peer->address : name;
	unsigned left = sl_text_line_left(&line, &idle);
	unsigned wanted = sl_text_name_columns(shown) + sl_text_line_columns(&cause);
	/* The cause stands in the site's own lines as well: it gives way before an address is
	 * shortened, and the count before the cause. */
	sl_text_line_name(&line, shown, left);
	sl_text_line_append(&line, &idle);
	if (wanted + sl_text_line_columns(&count) <= left)
		sl_text_line_append(&line, &count);
	if (wanted <= left)
		sl_text_line_append(&line, &cause);
	sl_text_line_end(&line, out);
}

static void put_not_seen(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	struct sl_text_line line;
	sl_text_line_start(&line, colour);
	sl_text_line_label(&line, "NOT SEEN");
	sl_out_text(&line.out, "adopted ");
	sl_out_unsigned(&line.out, s->totals.adopted);
	sl_out_text(&line.out, ", dropped ");
	sl_out_unsigned(&line.out, s->totals.dropped);
	if (s->sites_cut) {
		sl_out_text(&line.out, ", ");
		sl_text_count(&line.out, s->sites_cut, "stack");
		sl_out_text(&line.out, " past the site table");
	}
	if (s->totals.held_back_bytes) {
		sl_out_text(&line.out, ", ");
		sl_text_count(&line.out, s->totals.held_back_bytes, "byte");
		sl_out_text(&line.out, " of output held back");
	}
	sl_text_line_end(&line, out);
}

/* What stands before "close ... at": by what they are. */
static void put_advice(struct sl_text_line *line, const struct sl_snapshot_site *site)
{
	switch (site->verdict) {
	case SL_SITE_POOL: /* see put_pool_advice() */
	case SL_SITE_LEAK:
		return;
	case SL_SITE_SLOW:
		sl_out_text(&line->out, "none needed; sooner: ");
		return;
	case SL_SITE_OK:
	case SL_SITE_BURST:
	case SL_SITE_UNKNOWN:
	case SL_SITE_VERDICT_COUNT:
		sl_out_text(&line->out, "if they stay: ");
		return;
	}
}

/* A pool that drops idle connections before the peer does never has a dead one. */
static void put_pool_advice(struct sl_text_line *line, const struct sl_snapshot *s,
                            const struct sl_snapshot_site *site)
{
	const char *where = site->blame_where ? site->blame_where : site->blame;
	sl_out_text(&line->out, "have the pool drop idle ones");
	const struct sl_snapshot_peer *peer = sl_guilty_peer(s, site);
	if (peer)
		(void)sl_text_line_add_duration(line, " within ", sl_text_habit_least_ms(peer), "");
	sl_out_text(&line->out, ", before the peer does");
	if (where) {
		sl_out_text(&line->out, "; from ");
		sl_text_line_name(line, where, sl_text_line_left(line, NULL));
	}
}

static bool is_mostly_eof_ignored(const struct sl_snapshot_site *site)
{
	uint64_t all = 0;
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++)
		all += site->causes[cause];
	return 2 * site->causes[SL_CAUSE_EOF_IGNORED] > all;
}

/* Where the program learns that the peer has gone is where it can close. */
static void add_reader(struct sl_text_line *line, const struct sl_snapshot *s,
                       const struct sl_snapshot_site *site)
{
	struct sl_text_line clause;
	const char *reader = is_mostly_eof_ignored(site) ? sl_guilty_reader(s, site) : NULL;
	if (!reader)
		return;
	sl_text_line_start(&clause, line->has_colour);
	sl_out_text(&clause.out, "; end of file read at ");
	sl_text_name(&clause.out, reader);
	(void)sl_text_line_append_if_fits(line, &clause);
}

/* The listener whose connections nobody accepts; NULL: there is none. */
static const struct sl_snapshot_elsewhere *find_stalled(const struct sl_snapshot *s)
{
	for (uint32_t i = 0; i < s->elsewhere_count; i++)
		if (s->elsewhere[i].is_stalled)
			return &s->elsewhere[i];
	return NULL;
}

static void put_fix(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	const struct sl_snapshot_site *site = sl_guilty_site(s);
	const struct sl_snapshot_elsewhere *stalled = find_stalled(s);
	struct sl_text_line line;
	sl_text_line_start(&line, colour);
	sl_text_line_label(&line, "FIX");
	if (!sl_text_head_has_suspects(s) && !site && stalled) {
		sl_out_text(&line.out, "accept what waits at ");
		sl_text_line_name(&line, stalled->local, SL_LISTENER_COLUMNS);
		sl_out_text(&line.out, ": is the thread that does it blocked, or gone?");
	} else if (!sl_text_head_has_suspects(s) && !site) {
		sl_out_text(&line.out, "nothing to close");
	} else if (s->no_sites) {
		sl_out_text(&line.out, "not known from outside: 'sockleak attach ");
		sl_out_unsigned(&line.out, (uint64_t)s->process.pid);
		sl_out_text(&line.out, "' or 'sockleak run -- CMD' finds the line");
	} else if (site && site->verdict == SL_SITE_POOL) {
		put_pool_advice(&line, s, site);
	} else if (site && sl_text_is_unblamed(site)) {
		sl_text_unblamed_fix(&line, site);
	} else if (!site || !site->blame) {
		sl_out_text(&line.out, "not known: opened before us, or no stack could be "
		                       "walked (stacks=, libunwind)");
	} else {
		const char *where = site->blame_where ? site->blame_where : site->blame;
		put_advice(&line, site);
		if (site->direction == SL_DIRECTION_IN)
			sl_out_text(&line.out, "close the connection accepted at ");
		else if (site->kind == SL_STACK_JAVA)
			sl_out_text(&line.out, "close the client or its response at ");
		else
			sl_out_text(&line.out, "close the socket opened at ");
		sl_text_line_name(&line, where, sl_text_line_left(&line, NULL));
		add_reader(&line, s, site);
	}
	sl_text_line_end(&line, out);
}

void sl_text_lead(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	sl_text_head(out, s, colour);
	sl_out_char(out, '\n');
	sl_text_head_verdict(out, s, colour);
	put_where(out, s, colour);
	put_to(out, s, colour);
	sl_text_limits(out, s, colour);
	sl_text_done(out, s, colour);
	put_not_seen(out, s, colour);
	sl_text_done_now(out, s, colour);
	put_fix(out, s, colour);
}
