/* text_lead.c - see text_lead.h. */
#include "report/text_lead.h"

#include <string.h>

#include "report/text_head.h"
#include "report/text_line.h"
#include "report/words.h"

#include "base/poison.h"

static void put_label(struct sl_text_line *line, const char *label)
{
	sl_out_padded(&line->out, label, 10);
}

/* The site that the lines speak of: the worst, if it has anything to answer for. */
static const struct sl_snapshot_site *guilty_site(const struct sl_snapshot *s)
{
	return s->site_count && sl_text_head_is_suspect(&s->sites[0]) ? &s->sites[0] : NULL;
}

static void put_share(struct sl_text_line *line, const struct sl_snapshot *s,
                      const struct sl_snapshot_site *site)
{
	sl_out_text(&line->out, "  ");
	if (s->totals.stuck) {
		sl_text_percent(&line->out, site->stuck, s->totals.stuck);
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
	const struct sl_snapshot_site *site = guilty_site(s);
	struct sl_text_line line, share;
	sl_text_line_start(&line, colour);
	sl_text_line_start(&share, colour);
	put_label(&line, "WHERE");
	if (!site) {
		sl_out_text(&line.out, sl_text_head_has_suspects(s)
		                               ? "not known: no site was recorded"
		                               : "nothing suspect");
	} else {
		put_share(&share, s, site);
		if (site->blame) {
			sl_text_line_paint(&line, SL_PAINT_BLAME);
			sl_text_line_name(&line, site->blame, sl_text_line_left(&line, &share));
			sl_text_line_paint(&line, SL_PAINT_RESET);
		} else {
			sl_out_text(&line.out,
			            site->frame_count
			                    ? "not known: only library and runtime frames at the "
			                      "worst site"
			                    : "not known: no stack was kept for the worst site");
		}
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
	const struct sl_snapshot_site *site = guilty_site(s);
	struct sl_text_line line, idle, cause;
	sl_text_line_start(&line, colour);
	put_label(&line, "TO");
	if (!peer || !sl_text_lead_peer_is_suspect(peer)) {
		sl_out_text(&line.out,
		            sl_text_head_has_suspects(s) ? "not known" : "nothing suspect");
		sl_text_line_end(&line, out);
		return;
	}
	bool is_in = peer->direction == SL_DIRECTION_IN && peer->address;
	sl_text_line_start(&idle, colour);
	sl_text_line_start(&cause, colour);
	(void)sl_text_line_add_duration(&idle,
	                                is_in ? ", which close after " : ", which closes after ",
	                                peer->idle_before_fin_ms_p50, " idle");
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
	 * shortened. */
	sl_text_line_name(&line, shown, left);
	sl_text_line_append(&line, &idle);
	if (wanted <= left)
		sl_text_line_append(&line, &cause);
	sl_text_line_end(&line, out);
}

/* When the peer's ports are gone; INT64_MAX: not foreseen. */
static int64_t exhausted_in_ms(const struct sl_snapshot_peer *peer)
{
	if (peer->ports_left <= 0)
		return 0;
	return peer->exhausted_in_ms == SL_UNKNOWN ? INT64_MAX : peer->exhausted_in_ms;
}

/* The outbound peer whose ports run out first. */
static const struct sl_snapshot_peer *tightest_peer(const struct sl_snapshot *s)
{
	const struct sl_snapshot_peer *tightest = NULL;
	for (uint32_t i = 0; i < s->peer_count; i++) {
		const struct sl_snapshot_peer *peer = &s->peers[i];
		if (peer->direction != SL_DIRECTION_OUT || peer->ports_left == SL_UNKNOWN)
			continue;
		int64_t ms = exhausted_in_ms(peer);
		int64_t least = tightest ? exhausted_in_ms(tightest) : INT64_MAX;
		if (!tightest || ms < least ||
		    (ms == least && peer->ports_left < tightest->ports_left))
			tightest = peer;
	}
	return tightest;
}

/* "at most 16342 of 28232 left" */
static void put_ports_left(struct sl_text_line *line, const struct sl_snapshot *s, int64_t left,
                           const char *noun)
{
	if (left <= 0) {
		sl_out_text(&line->out, "none");
	} else {
		sl_out_text(&line->out, "at most ");
		sl_out_signed(&line->out, left);
	}
	if (s->limits.port_low != SL_UNKNOWN && s->limits.port_high != SL_UNKNOWN) {
		sl_out_text(&line->out, " of ");
		sl_out_signed(&line->out, s->limits.port_high - s->limits.port_low + 1);
	}
	sl_out_text(&line->out, noun);
}

static void put_fds(struct sl_text_line *line, const struct sl_snapshot *s)
{
	if (s->limits.nofile_soft == SL_UNKNOWN || s->limits.nofile_soft <= 0 ||
	    s->limits.nofile_used == SL_UNKNOWN) {
		sl_out_text(&line->out, "; fds not known");
		return;
	}
	sl_out_text(&line->out, "; fds ");
	sl_text_percent(&line->out, (uint64_t)s->limits.nofile_used,
	                (uint64_t)s->limits.nofile_soft);
	sl_out_text(&line->out, " of ");
	sl_out_signed(&line->out, s->limits.nofile_soft);
}

/* a comes before b, and is known. */
static bool is_sooner(int64_t a, int64_t b)
{
	return a != SL_UNKNOWN && (b == SL_UNKNOWN || a <= b);
}

/* What runs out, and when; true where the text has said how many ports are left. */
static bool put_exhaustion(struct sl_text_line *line, const struct sl_snapshot *s,
                           const struct sl_snapshot_peer *peer)
{
	int64_t fds_ms = s->limits.fds_exhausted_in_ms;
	int64_t ports_ms = peer ? peer->exhausted_in_ms : SL_UNKNOWN;
	if (peer && peer->ports_left <= 0) {
		sl_out_text(&line->out, "of ports now (");
		put_ports_left(line, s, peer->ports_left, " left)");
		return true;
	}
	if (s->limits.nofile_soft > 0 && s->limits.nofile_used >= s->limits.nofile_soft) {
		sl_out_text(&line->out, "of fds now");
	} else if (is_sooner(ports_ms, fds_ms)) {
		(void)sl_text_line_add_duration(line, "of ports in about ", ports_ms, " (");
		put_ports_left(line, s, peer->ports_left, " left)");
		return true;
	} else if (fds_ms != SL_UNKNOWN) {
		(void)sl_text_line_add_duration(line, "of fds in about ", fds_ms, "");
	} else {
		sl_out_text(&line->out, "not foreseen");
	}
	return false;
}

/* A call has failed already: its own words first, then what room is left for. */
static void put_pressure(struct sl_text_line *line, const char *pressure,
                         const struct sl_text_line *ports, const struct sl_text_line *fds)
{
	sl_out_text(&line->out, "now: ");
	sl_text_line_name(line, pressure, sl_text_line_left(line, NULL));
	(void)sl_text_line_append_if_fits(line, ports);
	(void)sl_text_line_append_if_fits(line, fds);
}

static void put_runs_out(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	const struct sl_snapshot_peer *peer = tightest_peer(s);
	struct sl_text_line line, ports, fds;
	sl_text_line_start(&line, colour);
	sl_text_line_start(&ports, colour);
	sl_text_line_start(&fds, colour);
	put_label(&line, "RUNS OUT");
	if (peer) {
		sl_out_text(&ports.out, "; ");
		put_ports_left(&ports, s, peer->ports_left, " ports left");
	}
	put_fds(&fds, s);
	if (s->pressure) {
		put_pressure(&line, s->pressure, &ports, &fds);
	} else {
		bool has_ports = put_exhaustion(&line, s, peer);
		if (!has_ports) {
			sl_text_line_append(&line, &ports);
		} else if (peer != &s->peers[0]) { /* the TO line names another one */
			char name[SL_TEXT_PEER_BYTES];
			sl_text_lead_peer(name, peer);
			sl_out_text(&line.out, " to ");
			sl_text_line_name(&line, name, sl_text_line_left(&line, &fds));
		}
		sl_text_line_append(&line, &fds);
	}
	sl_text_line_end(&line, out);
}

/* Adds "probed 3" to a list, where the count is not 0. Returns whether the list is still empty. */
static bool put_done_part(struct sl_text_line *line, const char *word, uint64_t count,
                          bool is_empty)
{
	if (!count)
		return is_empty;
	sl_out_text(&line->out, is_empty ? "" : ", ");
	sl_out_text(&line->out, word);
	sl_out_char(&line->out, ' ');
	sl_out_unsigned(&line->out, count);
	return false;
}

static void put_done(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	struct sl_text_line line;
	sl_text_line_start(&line, colour);
	put_label(&line, "DONE");
	bool is_empty = put_done_part(&line, "probed", s->totals.probed, true);
	is_empty = put_done_part(&line, "shut down", s->totals.shutdown, is_empty);
	is_empty = put_done_part(&line, "neutralized", s->totals.neutralized, is_empty);
	is_empty = put_done_part(&line, "closed", s->totals.closed_by_us, is_empty);
	sl_out_text(&line.out, is_empty ? "nothing (report only); rescued " : "; rescued ");
	sl_out_unsigned(&line.out, s->totals.rescued);
	sl_out_text(&line.out, ", regretted ");
	sl_out_unsigned(&line.out, s->totals.regretted);
	sl_text_line_end(&line, out);
}

static void put_not_seen(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	struct sl_text_line line;
	sl_text_line_start(&line, colour);
	put_label(&line, "NOT SEEN");
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

static void put_now(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	struct sl_text_line line;
	sl_text_line_start(&line, colour);
	put_label(&line, "NOW");
	if (!sl_text_head_has_suspects(s)) {
		sl_out_text(&line.out, "nothing to free: no connection waits for a close");
	} else if (s->verdict == SL_VERDICT_LEAK || s->pressure) {
		sl_out_text(&line.out, "a restart frees ");
		sl_text_count(&line.out, s->totals.close_wait + s->totals.dead, "connection");
		sl_out_text(&line.out, "; there is no milder action in this version");
	} else {
		sl_out_text(&line.out, "ask for another report later, to see whether they stay and "
		                       "grow in number");
	}
	sl_text_line_end(&line, out);
}

static void put_fix(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	const struct sl_snapshot_site *site = guilty_site(s);
	struct sl_text_line line;
	sl_text_line_start(&line, colour);
	put_label(&line, "FIX");
	if (!sl_text_head_has_suspects(s)) {
		sl_out_text(&line.out, "nothing to close");
	} else if (site && !site->blame && site->frame_count) {
		sl_out_text(&line.out,
		            "not known: name the application's packages or modules with app=");
	} else if (!site || !site->blame) {
		sl_out_text(&line.out, "not known: opened before the preload, or no stack could be "
		                       "walked (stacks=, libunwind)");
	} else {
		const char *where = site->blame_where ? site->blame_where : site->blame;
		if (s->verdict != SL_VERDICT_LEAK)
			sl_out_text(&line.out, "if they stay: ");
		if (site->direction == SL_DIRECTION_IN)
			sl_out_text(&line.out, "close the connection accepted at ");
		else if (site->kind == SL_STACK_JAVA)
			sl_out_text(&line.out, "close the client or its response at ");
		else
			sl_out_text(&line.out, "close the socket opened at ");
		sl_text_line_name(&line, where, sl_text_line_left(&line, NULL));
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
	put_runs_out(out, s, colour);
	put_done(out, s, colour);
	put_not_seen(out, s, colour);
	put_now(out, s, colour);
	put_fix(out, s, colour);
}
