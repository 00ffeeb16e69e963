#include "report/event_line.h"

#include <stdatomic.h>

#include "base/sys.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "report/blame_text.h"
#include "report/json_write.h"
#include "report/snapshot.h"
#include "report/words.h"

#include "base/poison.h"

/* Of a blame: as JSON it may take six times as much, and the line must fit. */
#define SL_BLAME_BYTES 512

static void begin(struct sl_json *json, const char *event, uint64_t wall_ms)
{
	sl_json_open(json, NULL, '{');
	sl_json_moment(json, "time", wall_ms);
	sl_json_known(json, "pid", sl_sys_getpid());
	sl_json_text(json, "event", event);
}

static void end(struct sl_json *json)
{
	sl_json_close(json, '}');
	sl_out_char(json->out, '\n');
}

static void put_peer(struct sl_json *json, uint32_t id)
{
	char text[64];
	struct sl_out out;
	const struct sl_peer *peer = sl_peer_get(id);
	if (!peer) {
		sl_json_null(json, "peer");
		return;
	}
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_endpoint_print_address(&out, &peer->at);
	text[out.length] = 0;
	sl_json_open(json, "peer", '{');
	sl_json_text(json, "direction", sl_words_direction(peer->direction));
	sl_json_text(json, "address", text);
	sl_json_unsigned(json, "port", peer->at.port);
	sl_json_close(json, '}');
}

static void put_blame(struct sl_json *json, const struct sl_site *site)
{
	char text[SL_BLAME_BYTES + sizeof("..")];
	struct sl_out out;
	const struct sl_frame *frame = site ? sl_blame_text_frame(atomic_load(&site->named)) : NULL;
	if (!frame) {
		sl_json_null(json, "blame");
		return;
	}
	sl_out_init(&out, text, SL_BLAME_BYTES, NULL, NULL);
	sl_blame_text_print(&out, frame);
	if (out.is_cut) {
		text[out.length++] = '.';
		text[out.length++] = '.';
	}
	text[out.length] = 0;
	sl_json_text(json, "blame", text);
}

static bool is_action(enum sl_event_kind kind)
{
	return kind == SL_EVENT_PROBED || kind == SL_EVENT_SHUTDOWN ||
	       kind == SL_EVENT_NEUTRALIZED || kind == SL_EVENT_CLOSED || kind == SL_EVENT_RESCUE;
}

static bool is_of_option(enum sl_event_kind kind)
{
	return kind == SL_EVENT_SET || kind == SL_EVENT_REVERTED;
}

static void put_option(struct sl_json *json, const struct sl_event_option *option)
{
	sl_json_text(json, "key", option->key);
	sl_json_text(json, "old", option->was);
	sl_json_text(json, "new", option->is);
	sl_json_known(json, "uid", option->uid < 0 ? SL_UNKNOWN : option->uid);
	sl_json_known(json, "for_ms", option->for_ms < 0 ? SL_UNKNOWN : option->for_ms);
}

/* What only some kinds have. */
static void put_rest(struct sl_json *json, const struct sl_event *event)
{
	if (event->kind == SL_EVENT_SKIPPED)
		sl_json_text(json, "reason", sl_words_spared(event->spared));
	if (event->kind == SL_EVENT_SKIPPED || event->kind == SL_EVENT_REGRETTED)
		sl_json_text(json, "rung", sl_words_rung(event->rung));
	if (event->kind == SL_EVENT_SHUTDOWN)
		sl_json_bool(json, "rescue", event->is_rescue);
	if (is_action(event->kind) || event->is_dry_run)
		sl_json_bool(json, "dry_run", event->is_dry_run);
	if (event->kind == SL_EVENT_PRESSURE)
		sl_json_text(json, "error", sl_words_error(event->error));
	if (event->kind == SL_EVENT_RESCUE)
		sl_json_unsigned(json, "count", event->count);
	if (is_of_option(event->kind))
		put_option(json, &event->option);
}

void sl_event_line(struct sl_out *out, const struct sl_event *event, uint64_t wall_ms)
{
	struct sl_json json = {.out = out};
	bool has_connection = event->fd >= 0;
	begin(&json, sl_words_event(event->kind), wall_ms);
	sl_json_known(&json, "fd", has_connection ? event->fd : SL_UNKNOWN);
	if (event->cookie)
		sl_json_identity(&json, "cookie", event->cookie);
	else
		sl_json_null(&json, "cookie");
	put_peer(&json, event->peer);
	sl_json_known(&json, "site", has_connection ? event->site : SL_UNKNOWN);
	put_blame(&json, has_connection ? sl_site_get(event->site) : NULL);
	sl_json_text(&json, "cause", sl_words_cause(event->cause));
	sl_json_known(&json, "quiet_ms", event->quiet_ms < 0 ? SL_UNKNOWN : event->quiet_ms);
	put_rest(&json, event);
	end(&json);
}

void sl_event_line_dropped(struct sl_out *out, uint64_t count, uint64_t wall_ms)
{
	struct sl_json json = {.out = out};
	begin(&json, "dropped", wall_ms);
	sl_json_unsigned(&json, "count", count);
	end(&json);
}
