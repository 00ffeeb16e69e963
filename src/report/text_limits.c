/* text_limits.c - see text_limits.h. */
#include "report/text_limits.h"

#include <errno.h>

#include "report/text_lead.h"
#include "report/text_line.h"

#include "base/poison.h"

#define SL_SOON_MS 3600000
#define SL_CLOSE_PARTS 5 /* a spread of less than this part of the time is "about" */

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

/* How many there are; 0: not known. */
static int64_t count_ports(const struct sl_snapshot *s)
{
	if (s->limits.port_low == SL_UNKNOWN || s->limits.port_high == SL_UNKNOWN)
		return 0;
	int64_t reserved = s->limits.ports_reserved > 0 ? s->limits.ports_reserved : 0;
	return s->limits.port_high - s->limits.port_low + 1 - reserved;
}

/* "at most 16342 of 28232 left", and without "at most" where everybody was counted. */
static void put_ports_left(struct sl_text_line *line, const struct sl_snapshot *s,
                           const struct sl_snapshot_peer *peer, const char *noun)
{
	if (peer->ports_left <= 0) {
		sl_out_text(&line->out, "none");
	} else {
		sl_out_text(&line->out, peer->ports.is_exact ? "" : "at most ");
		sl_out_signed(&line->out, peer->ports_left);
	}
	if (s->limits.port_low != SL_UNKNOWN && s->limits.port_high != SL_UNKNOWN) {
		sl_out_text(&line->out, " of ");
		sl_out_signed(&line->out, count_ports(s));
	}
	sl_out_text(&line->out, noun);
}

/* "in about 2h48m", "in 2h to 3h10m", "in 1h or more": as close as it is known. Times of 0 and less are not known. */
static void put_when(struct sl_text_line *line, int64_t in_ms, int64_t earliest_ms,
                     int64_t latest_ms)
{
	bool has_range = earliest_ms > 0 && latest_ms > 0;
	sl_out_text(&line->out, "in ");
	if (earliest_ms <= 0 || in_ms <= 0 ||
	    (has_range && (latest_ms - earliest_ms) * SL_CLOSE_PARTS <= in_ms)) {
		sl_out_text(&line->out, "about ");
		sl_out_duration(&line->out, (uint64_t)(in_ms > 0 ? in_ms : 0));
		return;
	}
	sl_out_duration(&line->out, (uint64_t)earliest_ms);
	sl_out_text(&line->out, has_range ? " to " : " or more");
	if (has_range)
		sl_out_duration(&line->out, (uint64_t)latest_ms);
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

/* Where the soft limit is near, and the program may raise it. */
static void add_hard_limit(struct sl_text_line *line, const struct sl_snapshot *s)
{
	struct sl_text_line clause;
	if (s->limits.nofile_used == SL_UNKNOWN || s->limits.nofile_soft <= 0 ||
	    s->limits.nofile_used * 2 < s->limits.nofile_soft ||
	    s->limits.nofile_hard <= s->limits.nofile_soft)
		return;
	sl_text_line_start(&clause, line->has_colour);
	sl_out_text(&clause.out, ", hard limit ");
	sl_out_signed(&clause.out, s->limits.nofile_hard);
	(void)sl_text_line_append_if_fits(line, &clause);
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
		put_ports_left(line, s, peer, " left)");
		return true;
	}
	if (s->limits.nofile_soft > 0 && s->limits.nofile_used >= s->limits.nofile_soft) {
		sl_out_text(&line->out, "of fds now");
	} else if (is_sooner(ports_ms, fds_ms)) {
		sl_out_text(&line->out, "of ports ");
		put_when(line, ports_ms, peer->ports.earliest_ms, peer->ports.latest_ms);
		sl_out_text(&line->out, " (");
		put_ports_left(line, s, peer, " left)");
		return true;
	} else if (fds_ms != SL_UNKNOWN) {
		sl_out_text(&line->out, "of fds ");
		put_when(line, fds_ms, s->limits.fds_earliest_ms, s->limits.fds_latest_ms);
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

void sl_text_limits(struct sl_out *out, const struct sl_snapshot *s, bool colour)
{
	const struct sl_snapshot_peer *peer = tightest_peer(s);
	struct sl_text_line line, ports, fds;
	sl_text_line_start(&line, colour);
	sl_text_line_start(&ports, colour);
	sl_text_line_start(&fds, colour);
	sl_text_line_label(&line, "RUNS OUT");
	if (peer) {
		sl_out_text(&ports.out, "; ");
		put_ports_left(&ports, s, peer, " ports left");
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
	add_hard_limit(&line, s);
	sl_text_line_end(&line, out);
}

bool sl_text_limits_are_fds(const struct sl_snapshot *s)
{
	const struct sl_snapshot_peer *peer = tightest_peer(s);
	if (s->pressure_error)
		return s->pressure_error == EMFILE || s->pressure_error == ENFILE;
	if (peer && peer->ports_left <= 0)
		return false;
	if (s->limits.nofile_soft > 0 && s->limits.nofile_used >= s->limits.nofile_soft)
		return true;
	return s->limits.fds_exhausted_in_ms != SL_UNKNOWN &&
	       !is_sooner(peer ? peer->exhausted_in_ms : SL_UNKNOWN, s->limits.fds_exhausted_in_ms);
}

bool sl_text_limits_are_reached(const struct sl_snapshot *s)
{
	const struct sl_snapshot_peer *peer = tightest_peer(s);
	return s->pressure || (peer && peer->ports_left <= 0) ||
	       (s->limits.nofile_soft > 0 && s->limits.nofile_used >= s->limits.nofile_soft);
}

/* A trend that is one, and not far from its end; a tenth of all is nothing yet. */
static bool is_soon(int64_t used, int64_t all, int64_t earliest_ms, int64_t latest_ms)
{
	return used * 10 >= all && latest_ms > 0 && earliest_ms > 0 && earliest_ms < SL_SOON_MS;
}

bool sl_text_limits_are_near(const struct sl_snapshot *s)
{
	int64_t soft = s->limits.nofile_soft, used = s->limits.nofile_used;
	int64_t ports = count_ports(s);
	if (soft > 0 && used > 0 &&
	    (used * 2 > soft ||
	     is_soon(used, soft, s->limits.fds_earliest_ms, s->limits.fds_latest_ms)))
		return true;
	for (uint32_t i = 0; i < s->peer_count && ports > 0; i++) {
		const struct sl_snapshot_peer *peer = &s->peers[i];
		if (peer->direction != SL_DIRECTION_OUT || peer->ports_left == SL_UNKNOWN)
			continue;
		if (peer->ports_left * 2 < ports ||
		    is_soon(ports - peer->ports_left, ports, peer->ports.earliest_ms,
		            peer->ports.latest_ms))
			return true;
	}
	return false;
}
