#include "report/json_elsewhere.h"

#include "report/words.h"

#include "base/poison.h"

static void put_count(struct sl_json *json, const char *name, bool is_known, uint64_t count)
{
	if (is_known)
		sl_json_unsigned(json, name, count);
	else
		sl_json_null(json, name);
}

static void put_row(struct sl_json *json, const struct sl_snapshot_elsewhere *row)
{
	bool is_ports = row->kind == SL_ELSEWHERE_PORTS_TAKEN;
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_text(json, "kind", sl_words_elsewhere(row->kind));
	sl_json_unsigned(json, "count", row->count);
	sl_json_known(json, "oldest_ms", row->oldest_ms);
	sl_json_known(json, "limit", row->limit);
	sl_json_text(json, "local", row->local);
	sl_json_text(json, "peer", row->peer);
	put_count(json, "at_peer", row->peer && !is_ports, row->at_peer);
	put_count(json, "time_wait", is_ports, row->at_peer);
	sl_json_known(json, "site", row->site);
	put_count(json, "at_site", row->site != SL_UNKNOWN, row->at_site);
	sl_json_text(json, "blame", row->blame);
	sl_json_bool(json, "stalled", row->is_stalled);
	sl_json_bool(json, "notable", row->is_notable);
	sl_json_text(json, "advice", sl_words_elsewhere_advice(row->kind, row->is_stalled));
	sl_json_close(json, '}');
}

void sl_json_elsewhere(struct sl_json *json, const struct sl_snapshot *s)
{
	sl_json_open(json, "elsewhere", '[');
	for (uint32_t i = 0; i < s->elsewhere_count; i++)
		put_row(json, &s->elsewhere[i]);
	sl_json_close(json, ']');
}
