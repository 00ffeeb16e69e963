/* json.c - see json.h. */
#include "report/json.h"

#include <stddef.h>

#include "base/options.h"
#include "base/version.h"
#include "report/json_advice.h"
#include "report/json_elsewhere.h"
#include "report/json_ports.h"
#include "report/json_write.h"
#include "report/words.h"
#include "stack/owner.h"

#include "base/poison.h"

static void put_texts(struct sl_json *json, const char *name, const char *const *texts, uint32_t n)
{
	sl_json_open(json, name, '[');
	for (uint32_t i = 0; i < n; i++)
		sl_json_text(json, NULL, texts[i]);
	sl_json_close(json, ']');
}

static void put_process(struct sl_json *json, const struct sl_snapshot *s)
{
	uint32_t arguments = 0;
	while (s->process.argv && s->process.argv[arguments])
		arguments++;
	sl_json_open(json, "process", '{');
	sl_json_known(json, "pid", s->process.pid);
	sl_json_text(json, "exe", s->process.exe);
	sl_json_text(json, "name", s->process.name);
	put_texts(json, "argv", s->process.argv, arguments);
	sl_json_time(json, "started_at", s->process.started_wall_ms);
	sl_json_unsigned(json, "uptime_ms", s->process.uptime_ms);
	sl_json_text(json, "hostname", s->process.hostname);
	sl_json_text(json, "runtime", s->process.is_jvm ? "jvm" : "native");
	sl_json_close(json, '}');
}

static void put_option(void *context, const char *key, const char *value)
{
	sl_json_text(context, key, value);
}

static void put_options(struct sl_json *json, const struct sl_snapshot *s)
{
	sl_json_open(json, "options", '{');
	if (!s->options)
		sl_options_each(&sl_options, put_option, json);
	for (uint32_t i = 0; s->options && i < s->option_count; i++)
		put_option(json, s->options[i].key, s->options[i].value);
	sl_json_close(json, '}');
}

/* All states by name, with their zeroes; what has no name only where there is any. */
static void put_states(struct sl_json *json, const struct sl_snapshot *s)
{
	uint64_t nameless = 0;
	sl_json_open(json, "by_state", '{');
	for (unsigned state = 0; state < sizeof(s->totals.by_state) / sizeof(s->totals.by_state[0]);
	     state++) {
		if (sl_words_state(state))
			sl_json_unsigned(json, sl_words_state(state), s->totals.by_state[state]);
		else
			nameless += s->totals.by_state[state];
	}
	if (nameless)
		sl_json_unsigned(json, "unknown", nameless);
	sl_json_close(json, '}');
}

static void put_kinds(struct sl_json *json, const struct sl_snapshot *s)
{
	sl_json_open(json, "by_kind", '{');
	for (int kind = SL_KIND_TCP; kind < SL_KIND_COUNT; kind++)
		sl_json_unsigned(json, sl_words_kind((enum sl_kind)kind), s->totals.by_kind[kind]);
	sl_json_close(json, '}');
}

static void put_reclaim(struct sl_json *json, const struct sl_snapshot *s)
{
	sl_json_open(json, "reclaim", '{');
	sl_json_text(json, "action", sl_words_action(s->reclaim.action));
	sl_json_bool(json, "stopped", s->reclaim.is_stopped);
	sl_json_bool(json, "dry_run", s->reclaim.is_dry_run);
	sl_json_close(json, '}');
}

static void put_totals(struct sl_json *json, const struct sl_snapshot *s)
{
	sl_json_open(json, "totals", '{');
	sl_json_unsigned(json, "opened", s->totals.opened);
	sl_json_unsigned(json, "closed", s->totals.closed);
	sl_json_unsigned(json, "open", s->totals.open);
	sl_json_unsigned(json, "close_wait", s->totals.close_wait);
	sl_json_unsigned(json, "stuck", s->totals.stuck);
	sl_json_unsigned(json, "retracted", s->totals.retracted);
	sl_json_unsigned(json, "regretted", s->totals.regretted);
	sl_json_unsigned(json, "rescued", s->totals.rescued);
	sl_json_unsigned(json, "adopted", s->totals.adopted);
	sl_json_unsigned(json, "dropped", s->totals.dropped);
	sl_json_unsigned(json, "backlog", s->totals.backlog);
	sl_json_unsigned(json, "dead", s->totals.dead);
	sl_json_unsigned(json, "dead_stuck", s->totals.dead_stuck);
	sl_json_known(json, "oldest_stuck_ms", s->totals.oldest_stuck_ms);
	sl_json_known(json, "began_after_ms", s->totals.began_after_ms);
	sl_json_known(json, "growth_per_min", s->totals.growth_per_min);
	sl_json_unsigned(json, "held_back_bytes", s->totals.held_back_bytes);
	put_states(json, s);
	put_kinds(json, s);
	sl_json_open(json, "reclaimed", '{');
	sl_json_unsigned(json, "probed", s->totals.probed);
	sl_json_unsigned(json, "shutdown", s->totals.shutdown);
	sl_json_unsigned(json, "neutralized", s->totals.neutralized);
	sl_json_unsigned(json, "closed", s->totals.closed_by_us);
	sl_json_unsigned(json, "app_reacted", s->totals.app_reacted);
	sl_json_unsigned(json, "ended_by_probe", s->totals.ended_by_probe);
	sl_json_unsigned(json, "ended_by_keepalive", s->totals.ended_by_keepalive);
	sl_json_unsigned(json, "absorbed", s->totals.absorbed);
	sl_json_close(json, '}');
	sl_json_close(json, '}');
}

static void put_peer(struct sl_json *json, const struct sl_snapshot_peer *peer)
{
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_text(json, "direction", sl_words_direction(peer->direction));
	sl_json_text(json, "address", peer->address);
	sl_json_known(json, "port", peer->port);
	sl_json_unsigned(json, "open", peer->open);
	sl_json_unsigned(json, "close_wait", peer->close_wait);
	sl_json_unsigned(json, "stuck", peer->stuck);
	sl_json_unsigned(json, "established", peer->established);
	sl_json_known(json, "growth_per_min", peer->growth_per_min);
	sl_json_known(json, "idle_before_fin_ms_p50", peer->idle_before_fin_ms_p50);
	sl_json_known(json, "idle_before_fin_ms_p10", peer->idle_before_fin_ms_p10);
	sl_json_known(json, "idle_before_fin_ms_p90", peer->idle_before_fin_ms_p90);
	sl_json_unsigned(json, "idle_before_fin_count", peer->idle_before_fin_count);
	sl_json_ports(json, peer);
	sl_json_close(json, '}');
}

static void put_frame(struct sl_json *json, const struct sl_frame *frame)
{
	sl_json_open(json, NULL, '{');
	sl_json_text(json, "text", frame->text);
	sl_json_text(json, "role", sl_words_role(frame->role));
	sl_json_text(json, "class", frame->class_name);
	sl_json_text(json, "method", frame->method);
	sl_json_text(json, "function", frame->function);
	sl_json_text(json, "file", frame->file);
	sl_json_known(json, "line", frame->line > 0 ? frame->line : SL_UNKNOWN);
	sl_json_text(json, "module", frame->module);
	sl_json_text(json, "build_id", frame->build_id);
	/* Of code made at run time, in no module, it is the address. */
	if (frame->module || (frame->offset && !frame->class_name))
		sl_json_unsigned(json, "offset", frame->offset);
	else
		sl_json_null(json, "offset");
	sl_json_close(json, '}');
}

static void put_causes(struct sl_json *json, const struct sl_snapshot_site *site)
{
	sl_json_open(json, "causes", '{');
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++)
		sl_json_unsigned(json, sl_words_cause((enum sl_cause)cause), site->causes[cause]);
	sl_json_close(json, '}');
}

static void put_deaths(struct sl_json *json, const struct sl_snapshot_site *site)
{
	sl_json_open(json, "deaths", '{');
	for (int death = SL_DEATH_NONE + 1; death < SL_DEATH_COUNT; death++)
		sl_json_unsigned(json, sl_words_death((enum sl_death)death), site->deaths[death]);
	sl_json_close(json, '}');
}

static void put_owner(struct sl_json *json, const struct sl_snapshot_site *site)
{
	struct sl_owner owner = {0};
	if (!site->blame)
		owner = sl_owner_of(site->frames, site->frame_count);
	sl_json_text(json, "owner", owner.name);
}

static void put_site(struct sl_json *json, const struct sl_snapshot_site *site)
{
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_unsigned(json, "id", site->id);
	sl_json_text(json, "kind", sl_words_stack_kind(site->kind));
	sl_json_text(json, "direction", sl_words_direction(site->direction));
	sl_json_text(json, "verdict", sl_words_site_verdict(site->verdict));
	sl_json_text(json, "blame", site->blame);
	sl_json_text(json, "blame_where", site->blame_where);
	sl_json_known(json, "blame_frame",
	              site->blame_frame < site->frame_count ? site->blame_frame : SL_UNKNOWN);
	put_owner(json, site);
	sl_json_text(json, "peer", site->peer);
	sl_json_unsigned(json, "opened", site->opened);
	sl_json_unsigned(json, "closed", site->closed);
	sl_json_unsigned(json, "open", site->open);
	sl_json_unsigned(json, "close_wait", site->close_wait);
	sl_json_unsigned(json, "stuck", site->stuck);
	sl_json_unsigned(json, "retracted", site->retracted);
	sl_json_unsigned(json, "regretted", site->regretted);
	sl_json_unsigned(json, "reclaimed", site->reclaimed);
	sl_json_unsigned(json, "intended", site->intended);
	sl_json_text(json, "name", site->name);
	sl_json_known(json, "oldest_close_wait_ms", site->oldest_close_wait_ms);
	sl_json_unsigned(json, "piled", site->piled);
	sl_json_known(json, "growth_per_min", site->growth_per_min);
	sl_json_known(json, "open_growth_per_min", site->open_growth_per_min);
	sl_json_known(json, "half_life_ms", site->half_life_ms);
	sl_json_known(json, "late_ms_p50", site->late_ms_p50);
	put_causes(json, site);
	put_deaths(json, site);
	sl_json_unsigned(json, "unread_bytes", site->unread_bytes);
	sl_json_known(json, "last_use_ms", site->last_use_ms);
	sl_json_known(json, "eof_site", site->eof_site ? site->eof_site : SL_UNKNOWN);
	put_texts(json, "threads", site->threads, site->thread_names);
	sl_json_unsigned(json, "thread_count", site->thread_count);
	sl_json_open(json, "frames", '[');
	for (uint32_t i = 0; i < site->frame_count; i++)
		put_frame(json, site->frames[i]);
	sl_json_close(json, ']');
	sl_json_bool(json, "frames_cut", site->frames_cut != 0);
	sl_json_text(json, "unseen", site->unseen);
	sl_json_close(json, '}');
}

static void put_socket(struct sl_json *json, const struct sl_snapshot *s,
                       const struct sl_snapshot_socket *socket)
{
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_known(json, "fd", socket->fd);
	sl_json_identity(json, "cookie", socket->cookie);
	sl_json_text(json, "direction", sl_words_direction(socket->direction));
	sl_json_text(json, "state", sl_words_state(socket->state));
	sl_json_text(json, "local", socket->local);
	sl_json_text(json, "peer", socket->peer);
	if (s->no_sites)
		sl_json_null(json, "site");
	else
		sl_json_unsigned(json, "site", socket->site);
	sl_json_unsigned(json, "age_ms", socket->age_ms);
	sl_json_known(json, "close_wait_ms", socket->close_wait_ms);
	sl_json_known(json, "quiet_ms", socket->quiet_ms);
	sl_json_text(json, "cause", sl_words_cause(socket->cause));
	sl_json_known(json, "unread_bytes", socket->unread_bytes);
	sl_json_known(json, "unsent_bytes", socket->unsent_bytes);
	sl_json_bool(json, "eof_seen", socket->eof_seen);
	sl_json_known(json, "eof_site", socket->eof_site ? socket->eof_site : SL_UNKNOWN);
	sl_json_text(json, "death", sl_words_death(socket->death));
	sl_json_known(json, "last_use_ms", socket->last_use_ms);
	sl_json_text(json, "last_call", sl_words_call(socket->last_call));
	sl_json_text(json, "thread", socket->thread);
	sl_json_bool(json, "shared", socket->shared);
	sl_json_text(json, "name", socket->name);
	sl_json_bool(json, "intended", socket->intended);
	sl_json_text(json, "rung", sl_words_rung(socket->rung));
	sl_json_close(json, '}');
}

static void put_listener(struct sl_json *json, const struct sl_snapshot_listener *listener)
{
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_text(json, "local", listener->local);
	sl_json_known(json, "fd", listener->fd);
	sl_json_unsigned(json, "backlog", listener->backlog);
	sl_json_unsigned(json, "limit", listener->limit);
	sl_json_close(json, '}');
}

static void put_sites(struct sl_json *json, const struct sl_snapshot *s)
{
	if (s->no_sites) {
		sl_json_null(json, "sites");
		sl_json_text(json, "no_sites", s->no_sites);
	} else {
		sl_json_open(json, "sites", '[');
		for (uint32_t i = 0; i < s->site_count; i++)
			put_site(json, &s->sites[i]);
		for (uint32_t i = 0; i < s->reader_count; i++)
			put_site(json, &s->readers[i]);
		sl_json_close(json, ']');
	}
	sl_json_unsigned(json, "sites_cut", s->sites_cut);
}

static void put_arrays(struct sl_json *json, const struct sl_snapshot *s)
{
	sl_json_break(json);
	sl_json_open(json, "peers", '[');
	for (uint32_t i = 0; i < s->peer_count; i++)
		put_peer(json, &s->peers[i]);
	sl_json_close(json, ']');
	sl_json_break(json);
	put_sites(json, s);
	sl_json_break(json);
	sl_json_elsewhere(json, s);
	sl_json_break(json);
	sl_json_advice(json, s);
	sl_json_break(json);
	sl_json_open(json, "listeners", '[');
	for (uint32_t i = 0; i < s->listener_count; i++)
		put_listener(json, &s->listeners[i]);
	sl_json_close(json, ']');
	if (!s->sockets)
		return;
	sl_json_break(json);
	sl_json_open(json, "sockets", '[');
	for (uint32_t i = 0; i < s->socket_count; i++)
		put_socket(json, s, &s->sockets[i]);
	sl_json_close(json, ']');
}

void sl_json_render(struct sl_out *out, const struct sl_snapshot *s)
{
	struct sl_json json = {.out = out};
	sl_json_open(&json, NULL, '{');
	sl_json_text(&json, "schema", SL_JSON_SCHEMA);
	sl_json_text(&json, "version", s->version ? s->version : SL_VERSION);
	sl_json_text(&json, "verdict", sl_words_verdict(s->verdict));
	sl_json_text(&json, "mode", sl_words_mode(s->mode));
	sl_json_text(&json, "trigger", sl_words_trigger(s->trigger));
	sl_json_text(&json, "pressure", s->pressure);
	sl_json_time(&json, "taken_at", s->taken_wall_ms);
	sl_json_break(&json);
	put_process(&json, s);
	sl_json_break(&json);
	put_options(&json, s);
	sl_json_break(&json);
	put_reclaim(&json, s);
	sl_json_break(&json);
	put_totals(&json, s);
	sl_json_break(&json);
	sl_json_limits(&json, s);
	put_arrays(&json, s);
	sl_json_close(&json, '}');
	sl_out_char(out, '\n');
}
