#include "report/json_ports.h"

#include "base/poison.h"

void sl_json_limits(struct sl_json *json, const struct sl_snapshot *s)
{
	sl_json_open(json, "limits", '{');
	sl_json_known(json, "nofile_soft", s->limits.nofile_soft);
	sl_json_known(json, "nofile_hard", s->limits.nofile_hard);
	sl_json_known(json, "nofile_used", s->limits.nofile_used);
	sl_json_known(json, "port_low", s->limits.port_low);
	sl_json_known(json, "port_high", s->limits.port_high);
	sl_json_known(json, "ports_reserved", s->limits.ports_reserved);
	sl_json_known(json, "ports_taken", s->limits.ports_taken);
	sl_json_text(json, "ports_not_counted", s->limits.ports_not_counted);
	sl_json_known(json, "fds_exhausted_in_ms", s->limits.fds_exhausted_in_ms);
	sl_json_known(json, "fds_exhausted_in_ms_min", s->limits.fds_earliest_ms);
	sl_json_known(json, "fds_exhausted_in_ms_max", s->limits.fds_latest_ms);
	sl_json_close(json, '}');
}

void sl_json_ports(struct sl_json *json, const struct sl_snapshot_peer *peer)
{
	const struct sl_snapshot_ports *ports = &peer->ports;
	sl_json_known(json, "ports_left", peer->ports_left);
	sl_json_known(json, "exhausted_in_ms", peer->exhausted_in_ms);
	sl_json_known(json, "exhausted_in_ms_min", ports->earliest_ms);
	sl_json_known(json, "exhausted_in_ms_max", ports->latest_ms);
	sl_json_open(json, "ports", '{');
	sl_json_bool(json, "exact", ports->is_exact);
	sl_json_text(json, "source", ports->source);
	sl_json_known(json, "sources", ports->sources);
	sl_json_known(json, "held", ports->held);
	sl_json_known(json, "used", ports->used);
	sl_json_known(json, "time_wait", ports->time_wait);
	sl_json_close(json, '}');
}
