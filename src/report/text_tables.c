/* text_tables.c - see text_tables.h. */
#include "report/text_tables.h"

#include "report/text.h"
#include "report/text_lead.h"
#include "report/text_line.h"
#include "report/words.h"

#include "base/poison.h"

#define CELL_BYTES 32

/* What a cell shows for what is not known. */
#define NOT_KNOWN "-"

static void put_right(struct sl_out *out, const struct sl_out *cell, unsigned width)
{
	for (size_t n = cell->length; n < width; n++)
		sl_out_char(out, ' ');
	sl_out_bytes(out, cell->bytes, cell->length);
}

static void put_known(struct sl_out *out, int64_t value, unsigned width)
{
	char bytes[CELL_BYTES];
	struct sl_out cell;
	sl_out_init(&cell, bytes, sizeof(bytes), NULL, NULL);
	if (value == SL_UNKNOWN)
		sl_out_text(&cell, NOT_KNOWN);
	else
		sl_out_signed(&cell, value);
	put_right(out, &cell, width);
}

static void put_growth(struct sl_out *out, int64_t per_min, unsigned width)
{
	char bytes[CELL_BYTES];
	struct sl_out cell;
	sl_out_init(&cell, bytes, sizeof(bytes), NULL, NULL);
	if (per_min == SL_UNKNOWN) {
		sl_out_text(&cell, NOT_KNOWN);
	} else {
		sl_out_text(&cell, per_min > 0 ? "+" : "");
		sl_out_signed(&cell, per_min);
	}
	put_right(out, &cell, width);
}

static void put_duration(struct sl_out *out, int64_t ms, unsigned width)
{
	char bytes[CELL_BYTES];
	struct sl_out cell;
	sl_out_init(&cell, bytes, sizeof(bytes), NULL, NULL);
	if (ms == SL_UNKNOWN || ms < 0)
		sl_out_text(&cell, NOT_KNOWN);
	else
		sl_out_duration(&cell, (uint64_t)ms);
	put_right(out, &cell, width);
}

static void put_more(struct sl_out *out, uint64_t count, const char *noun)
{
	sl_out_text(out, "  ... ");
	sl_out_unsigned(out, count);
	sl_out_text(out, " more ");
	sl_out_text(out, noun);
	sl_out_text(out, count == 1 ? ", see json=FILE\n" : "s, see json=FILE\n");
}

static void put_state(struct sl_out *out, const char *word, uint64_t count)
{
	if (!count)
		return;
	sl_out_text(out, "  ");
	sl_out_padded(out, word, 12);
	sl_out_right(out, count, 9);
	sl_out_char(out, '\n');
}

static void put_other_kinds(struct sl_out *out, const struct sl_snapshot *s)
{
	bool is_first = true;
	for (int kind = SL_KIND_TCP + 1; kind < SL_KIND_COUNT; kind++) {
		if (!s->totals.by_kind[kind])
			continue;
		sl_out_text(out, is_first ? "  not TCP: " : ", ");
		sl_out_unsigned(out, s->totals.by_kind[kind]);
		sl_out_char(out, ' ');
		sl_out_text(out, sl_words_kind((enum sl_kind)kind));
		is_first = false;
	}
	if (!is_first)
		sl_out_char(out, '\n');
}

void sl_text_tables_states(struct sl_out *out, const struct sl_snapshot *s)
{
	uint64_t all = 0;
	uint64_t nameless = 0;
	for (unsigned state = 0; state < sizeof(s->totals.by_state) / sizeof(s->totals.by_state[0]);
	     state++) {
		all += s->totals.by_state[state];
		if (!sl_words_state(state))
			nameless += s->totals.by_state[state];
	}
	for (int kind = SL_KIND_TCP + 1; kind < SL_KIND_COUNT; kind++)
		all += s->totals.by_kind[kind];
	if (!all)
		return;
	sl_out_text(out, "\nSTATES of this process's TCP sockets, as netstat counts\n");
	for (unsigned state = 0; state < SL_WORDS_STATES; state++) {
		if (sl_words_state(state))
			put_state(out, sl_words_state(state), s->totals.by_state[state]);
	}
	put_state(out, "not known", nameless);
	put_other_kinds(out, s);
}

static void put_peer(struct sl_out *out, const struct sl_snapshot_peer *peer)
{
	char name[SL_TEXT_PEER_BYTES];
	const char *direction = sl_words_direction(peer->direction);
	sl_out_text(out, "  ");
	sl_out_padded(out, direction ? direction : NOT_KNOWN, 3);
	sl_out_right(out, peer->stuck, 9);
	sl_out_right(out, peer->close_wait, 12);
	sl_out_right(out, peer->open, 9);
	put_growth(out, peer->growth_per_min, 12);
	put_duration(out, peer->idle_before_fin_ms_p50, 14);
	put_known(out, peer->ports_left, 12);
	sl_out_text(out, "  ");
	sl_text_lead_peer(name, peer);
	sl_text_name(out, name);
	sl_out_char(out, '\n');
}

void sl_text_tables_peers(struct sl_out *out, const struct sl_snapshot *s)
{
	if (!s->peer_count)
		return;
	sl_out_text(out, "\nPEERS, worst first\n"
	                 "  dir    stuck  CLOSE_WAIT     open  growth/min  closes after  ports "
	                 "left  peer\n");
	for (uint32_t i = 0; i < s->peer_count && i < SL_TEXT_FULL_PEERS; i++)
		put_peer(out, &s->peers[i]);
	if (s->peer_count > SL_TEXT_FULL_PEERS)
		put_more(out, s->peer_count - SL_TEXT_FULL_PEERS, "peer");
}

void sl_text_tables_listeners(struct sl_out *out, const struct sl_snapshot *s)
{
	if (!s->listener_count)
		return;
	sl_out_text(out, "\nLISTENERS with connections that the program has not accepted\n"
	                 "    backlog      limit      fd  address\n");
	for (uint32_t i = 0; i < s->listener_count && i < SL_TEXT_FULL_LISTENERS; i++) {
		const struct sl_snapshot_listener *listener = &s->listeners[i];
		sl_out_right(out, listener->backlog, 11);
		sl_out_right(out, listener->limit, 11);
		put_known(out, listener->fd, 8);
		sl_out_text(out, "  ");
		sl_text_name(out, listener->local);
		sl_out_char(out, '\n');
	}
	if (s->listener_count > SL_TEXT_FULL_LISTENERS)
		put_more(out, s->listener_count - SL_TEXT_FULL_LISTENERS, "listener");
}

/* "opened 12 closed 3" from pairs of word and count. */
struct counted {
	const char *word;
	uint64_t count;
};

static void put_counts(struct sl_out *out, const char *label, const struct counted *counts,
                       size_t n)
{
	sl_out_text(out, "  ");
	sl_out_padded(out, label, 10);
	for (size_t i = 0; i < n; i++) {
		sl_out_text(out, i ? ", " : "");
		sl_out_text(out, counts[i].word);
		sl_out_char(out, ' ');
		sl_out_unsigned(out, counts[i].count);
	}
	sl_out_char(out, '\n');
}

#define COUNTS(out, label, ...)                                                     \
	do {                                                                        \
		const struct counted counts[] = {__VA_ARGS__};                      \
		put_counts(out, label, counts, sizeof(counts) / sizeof(counts[0])); \
	} while (0)

static void put_action(struct sl_out *out, const struct sl_snapshot *s)
{
	sl_out_text(out, "  action    ");
	sl_out_text(out, sl_words_action(s->reclaim.action));
	sl_out_text(out, s->reclaim.is_dry_run ? ", dry run" : "");
	sl_out_text(out, s->reclaim.is_stopped ? ", stopped by regrets" : "");
	sl_out_char(out, '\n');
}

static void put_limits(struct sl_out *out, const struct sl_snapshot *s)
{
	sl_out_text(out, "  limits    fds ");
	put_known(out, s->limits.nofile_used, 0);
	sl_out_text(out, " of ");
	put_known(out, s->limits.nofile_soft, 0);
	if (s->limits.nofile_hard > s->limits.nofile_soft) {
		sl_out_text(out, " (hard ");
		put_known(out, s->limits.nofile_hard, 0);
		sl_out_char(out, ')');
	}
	sl_out_text(out, ", ports ");
	put_known(out, s->limits.port_low, 0);
	sl_out_text(out, " to ");
	put_known(out, s->limits.port_high, 0);
	if (s->limits.ports_reserved > 0) {
		sl_out_text(out, ", reserved ");
		put_known(out, s->limits.ports_reserved, 0);
	}
	if (s->limits.ports_taken > 0) {
		sl_out_text(out, ", taken by listeners ");
		put_known(out, s->limits.ports_taken, 0);
	}
	sl_out_char(out, '\n');
	if (s->limits.ports_not_counted) {
		sl_out_text(out, "            other processes' ports not counted: ");
		sl_text_name(out, s->limits.ports_not_counted);
		sl_out_char(out, '\n');
	}
}

static void put_process(struct sl_out *out, const struct sl_snapshot *s)
{
	sl_out_text(out, "\nPROCESS\n  exe       ");
	sl_text_name(out, s->process.exe);
	sl_out_text(out, s->process.is_jvm ? "  (JVM)\n  host      " : "\n  host      ");
	sl_text_name(out, s->process.hostname);
	sl_out_text(out, "\n  started   ");
	sl_out_rfc3339(out, s->process.started_wall_ms);
	sl_out_text(out, "\n  argv     ");
	for (const char *const *arg = s->process.argv; arg && *arg; arg++) {
		sl_out_char(out, ' ');
		sl_text_name(out, **arg ? *arg : "\"\"");
	}
	sl_out_char(out, '\n');
}

void sl_text_tables_totals(struct sl_out *out, const struct sl_snapshot *s)
{
	sl_out_text(out, "\nTOTALS since the start\n");
	COUNTS(out, "sockets", {"opened", s->totals.opened}, {"closed", s->totals.closed},
	       {"open now", s->totals.open}, {"adopted", s->totals.adopted},
	       {"dropped", s->totals.dropped});
	COUNTS(out, "suspects", {"CLOSE_WAIT", s->totals.close_wait},
	       {"dead-but-open", s->totals.dead}, {"stuck", s->totals.stuck},
	       {"retracted", s->totals.retracted});
	COUNTS(out, "done", {"probed", s->totals.probed}, {"shut down", s->totals.shutdown},
	       {"neutralized", s->totals.neutralized}, {"closed", s->totals.closed_by_us},
	       {"rescued", s->totals.rescued}, {"regretted", s->totals.regretted},
	       {"app reacted", s->totals.app_reacted});
	COUNTS(out, "ended", {"by the probe", s->totals.ended_by_probe},
	       {"by keepalive", s->totals.ended_by_keepalive});
	COUNTS(out, "absorbed", {"late closes", s->totals.absorbed});
	put_action(out, s);
	COUNTS(out, "not seen", {"backlog", s->totals.backlog},
	       {"stacks past the table", s->sites_cut},
	       {"bytes held back", s->totals.held_back_bytes});
	put_limits(out, s);
	if (s->totals.began_after_ms != SL_UNKNOWN && s->totals.began_after_ms >= 0) {
		sl_out_text(out, "  began     ");
		sl_out_duration(out, (uint64_t)s->totals.began_after_ms);
		sl_out_text(out, " after the start of the process\n");
	}
	put_process(out, s);
}
