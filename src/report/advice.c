/* advice.c - see advice.h. */
#include "report/advice.h"

#include "ledger/sites.h"
#include "report/guilty.h"
#include "report/text_habit.h"
#include "report/text_head.h"
#include "report/text_lead.h"
#include "report/text_line.h"

#include "base/poison.h"

#define SL_LAST_WORDS_MAX 1024 /* bytes: more is an answer, not a goodbye */
#define SL_FEW_PERCENT 50 /* of what a site opens: less is one way through the code, not each */
#define SL_SHARE_MIN 20   /* opened: a share of fewer says nothing */

struct list {
	struct sl_advice *rows;
	unsigned count;
};

/* The next one, whose `before` is written through `out`; NULL: full. */
static struct sl_advice *add(struct list *to, const char *about, struct sl_out *out)
{
	if (to->count == SL_ADVICE_MAX)
		return NULL;
	struct sl_advice *row = &to->rows[to->count++];
	*row = (struct sl_advice){.about = about, .after = ""};
	sl_out_init(out, row->before, sizeof(row->before) - 1, NULL, NULL);
	return row;
}

static void add_text(struct list *to, const char *about, const char *text)
{
	struct sl_out out;
	if (add(to, about, &out))
		sl_out_text(&out, text);
}

static enum sl_cause most_common_cause(const struct sl_snapshot_site *site)
{
	enum sl_cause most = SL_CAUSE_NONE;
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++)
		if (site->causes[cause] > (most ? site->causes[most] : 0))
			most = (enum sl_cause)cause;
	return most;
}

static void add_eof_ignored(struct list *to, const struct sl_snapshot *s,
                            const struct sl_snapshot_site *site)
{
	struct sl_out out;
	const char *reader = sl_guilty_reader(s, site);
	if (!reader) {
		add_text(to, "eof-ignored",
		         "a read returns 0 and no close follows: where, is known from the next one "
		         "on");
		return;
	}
	struct sl_advice *row = add(to, "eof-ignored", &out);
	if (!row)
		return;
	sl_out_text(&out,
	            "the end of file is read, and nothing follows: close behind the read at ");
	row->name = reader;
}

static void add_unread(struct list *to, const struct sl_snapshot_site *site)
{
	struct sl_out out;
	uint64_t each = site->unread_bytes / site->causes[SL_CAUSE_UNREAD_DATA];
	struct sl_advice *row = add(to, "unread-data", &out);
	if (!row)
		return;
	sl_text_count(&out, each, "byte");
	sl_out_text(&out,
	            each <= SL_LAST_WORDS_MAX
	                    ? " wait unread in each, the peer's last words: they may say why"
	                    : " wait unread in each: read an answer to its end, or close without");
}

static void add_dead(struct list *to, const struct sl_snapshot_site *site)
{
	static const char *const texts[SL_DEATH_COUNT] = {
		[SL_DEATH_RST] = "the peer has reset them: close where a read or write fails",
		[SL_DEATH_TIMEOUT] = "the peer has not answered data: close where a read or write "
				     "fails (ETIMEDOUT)",
		[SL_DEATH_KEEPALIVE] = "the peer has not answered probes: close where a read or "
				       "write fails (ETIMEDOUT)",
		[SL_DEATH_ORDERLY] =
			"both sides have shut them down: close() is all that is missing",
	};
	enum sl_death most = SL_DEATH_NONE;
	for (int death = SL_DEATH_NONE + 1; death < SL_DEATH_COUNT; death++)
		if (site->deaths[death] > (most ? site->deaths[most] : 0))
			most = (enum sl_death)death;
	if (most)
		add_text(to, "dead-but-open", texts[most]);
}

static void add_cause(struct list *to, const struct sl_snapshot *s,
                      const struct sl_snapshot_site *site, enum sl_cause cause)
{
	switch (cause) {
	case SL_CAUSE_EOF_IGNORED:
		add_eof_ignored(to, s, site);
		return;
	case SL_CAUSE_NEVER_LOOKED:
		add_text(to, "never-looked",
		         site->direction == SL_DIRECTION_IN
		                 ? "nobody reads them again: read each to its end, or close those "
		                   "that are idle"
		         : site->kind == SL_STACK_JAVA
		                 ? "nobody touches them again: close each (try-with-resources), or "
		                   "share one client"
		                 : "nobody touches them again: close each behind its answer, or "
		                   "keep one and use it again");
		return;
	case SL_CAUSE_UNREAD_DATA:
		add_unread(to, site);
		return;
	case SL_CAUSE_DEAD_BUT_OPEN:
		add_dead(to, site);
		return;
	case SL_CAUSE_NONE:
	case SL_CAUSE_COUNT:
		return;
	}
}

/* All of what it opens, or one way through the code? */
static void add_share(struct list *to, const struct sl_snapshot_site *site)
{
	struct sl_out out;
	uint64_t stay = site->close_wait + site->causes[SL_CAUSE_DEAD_BUT_OPEN] + site->reclaimed;
	if (site->opened < SL_SHARE_MIN || stay > site->opened ||
	    stay * 100 >= site->opened * SL_FEW_PERCENT)
		return;
	if (!add(to, "share", &out))
		return;
	sl_text_percent(&out, stay, site->opened);
	sl_out_text(
		&out,
		" of what is opened there stays: look at ways out by an error or an early return");
}

static void add_habit(struct list *to, const struct sl_snapshot_peer *peer, enum sl_cause cause)
{
	struct sl_out out;
	if (!peer->close_wait)
		return;
	if (sl_text_habit_is_at_once(peer)) {
		add_text(to, "closes-at-once",
		         "the peer closes behind each answer (Connection: close): none can be used "
		         "again");
		return;
	}
	int64_t least_ms = sl_text_habit_least_ms(peer);
	if (cause != SL_CAUSE_NEVER_LOOKED || least_ms == SL_UNKNOWN || least_ms <= 0 ||
	    !add(to, "idle-timeout", &out))
		return;
	sl_out_text(&out, "a pool must drop those that are idle for ");
	sl_out_duration(&out, (uint64_t)least_ms);
	sl_out_text(&out, ", before the peer does");
}

static void add_slow(struct list *to, const struct sl_snapshot_site *site)
{
	struct sl_out out;
	if (site->late_ms_p50 == SL_UNKNOWN || site->late_ms_p50 < 0 || !add(to, "slow", &out))
		return;
	sl_out_text(&out, "closed ");
	sl_out_duration(&out, (uint64_t)site->late_ms_p50);
	sl_out_text(&out, " after the peer (median): a longer deadline= calls fewer stuck");
}

static void add_young(struct list *to, const struct sl_snapshot *s)
{
	struct sl_out out;
	if (!s->settled_ms || !add(to, "young", &out))
		return;
	sl_out_text(&out, "ask again when the oldest have been quiet for ");
	sl_text_exact(&out, s->settled_ms);
	sl_out_text(&out, ": do they stay?");
}

unsigned sl_advice_of(const struct sl_snapshot *s, struct sl_advice advice[SL_ADVICE_MAX])
{
	struct list list = {.rows = advice};
	const struct sl_snapshot_site *site = sl_guilty_site(s);
	if (s->no_sites || !site || site->verdict == SL_SITE_OK || site->verdict == SL_SITE_POOL)
		return 0; /* FIX says it all */
	if (site->verdict == SL_SITE_SLOW) {
		add_slow(&list, site);
		return list.count;
	}
	enum sl_cause cause = most_common_cause(site);
	add_cause(&list, s, site, cause);
	add_share(&list, site);
	const struct sl_snapshot_peer *peer = sl_guilty_peer(s, site);
	if (peer)
		add_habit(&list, peer, cause);
	if (site->id == SL_SITE_ADOPTED && site->stuck)
		add_text(
			&list, "adopted",
			s->mode == SL_MODE_ATTACH
				? "opened before attach: the line of what leaks from now on is "
				  "named"
				: "opened before the library, or past its hooks: a restart with it "
				  "names the line");
	if (site->verdict != SL_SITE_LEAK)
		add_young(&list, s);
	return list.count;
}
