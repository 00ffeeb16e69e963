/* snapshot_read_elsewhere.c - the ports of a peer, and what is not well and no leak: back from JSON. */
#include "cli/snapshot_read_rows.h"

#include <string.h>

#include "report/words.h"

void sl_snapshot_read_ports(struct sl_json_get *get, json_t *peer, struct sl_snapshot_ports *ports)
{
	json_t *object = sl_json_get_object(get, peer, "ports");
	ports->earliest_ms = sl_json_get_known(get, peer, "exhausted_in_ms_min");
	ports->latest_ms = sl_json_get_known(get, peer, "exhausted_in_ms_max");
	ports->is_exact = sl_json_get_bool(get, object, "exact");
	ports->source = sl_json_get_text(get, object, "source");
	ports->sources = sl_json_get_known(get, object, "sources");
	ports->held = sl_json_get_known(get, object, "held");
	ports->used = sl_json_get_known(get, object, "used");
	ports->time_wait = sl_json_get_known(get, object, "time_wait");
}

/* False: of a kind that this version does not know. */
static bool read_row(struct sl_json_get *get, json_t *row, struct sl_snapshot_elsewhere *to)
{
	int kind = SL_JSON_GET_WORD(get, row, "kind", sl_words_elsewhere, SL_ELSEWHERE_COUNT);
	*to = (struct sl_snapshot_elsewhere){
		.kind = kind < 0 ? SL_ELSEWHERE_COUNT : (enum sl_elsewhere_kind)kind,
		.count = sl_json_get_count(get, row, "count"),
		.oldest_ms = sl_json_get_known(get, row, "oldest_ms"),
		.limit = sl_json_get_known(get, row, "limit"),
		.local = sl_json_get_text(get, row, "local"),
		.peer = sl_json_get_text(get, row, "peer"),
		.at_peer = sl_json_get_count(
			get, row, kind == SL_ELSEWHERE_PORTS_TAKEN ? "time_wait" : "at_peer"),
		.site = sl_json_get_known(get, row, "site"),
		.at_site = sl_json_get_count(get, row, "at_site"),
		.blame = sl_json_get_text(get, row, "blame"),
		.is_stalled = sl_json_get_bool(get, row, "stalled"),
		.is_notable = sl_json_get_bool(get, row, "notable"),
	};
	return kind >= 0;
}

void sl_snapshot_read_elsewhere(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	json_t *array = sl_json_get_array(get, root, "elsewhere");
	struct sl_snapshot_elsewhere *rows =
		sl_json_get_room(get, json_array_size(array), sizeof(*rows));
	get->place = "elsewhere[]";
	for (size_t i = 0; rows && i < json_array_size(array); i++)
		s->elsewhere_count +=
			read_row(get, json_array_get(array, i), &rows[s->elsewhere_count]);
	s->elsewhere = rows;
	get->place = "";
}
