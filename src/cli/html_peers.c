/* html_peers.c - see html_peers.h. */
#include "cli/html_peers.h"

#include <inttypes.h>
#include <stdbool.h>

#include "cli/html.h"
#include "report/text_lead.h"

static uint64_t ports_of(const struct sl_snapshot *s)
{
	const int64_t low = s->limits.port_low, high = s->limits.port_high;
	return low == SL_UNKNOWN || high < low ? 0 : (uint64_t)(high - low + 1);
}

static bool is_out(const struct sl_snapshot_peer *peer)
{
	return peer->direction == SL_DIRECTION_OUT;
}

static uint64_t largest(const struct sl_snapshot *s, bool out)
{
	uint64_t most = 0;
	for (uint32_t i = 0; i < s->peer_count; i++)
		if (is_out(&s->peers[i]) == out && s->peers[i].open > most)
			most = s->peers[i].open;
	return most;
}

static uint64_t beyond(uint64_t all, uint64_t part)
{
	return all > part ? all - part : 0;
}

static void put_bar(FILE *to, const struct sl_snapshot_peer *peer, uint64_t scale)
{
	const uint64_t waiting = beyond(peer->close_wait, peer->stuck);
	(void)fputs("<td class=\"bar\"><div class=\"track\">", to);
	sl_html_bar(to, "stuck", peer->stuck, scale);
	sl_html_bar(to, "wait", waiting, scale);
	sl_html_bar(to, "rest", beyond(peer->open, peer->stuck + waiting), scale);
	(void)fputs("</div></td>", to);
}

static void put_number(FILE *to, uint64_t value)
{
	fprintf(to, "<td class=\"n%s\">", value ? "" : " zero");
	sl_html_number(to, value);
	(void)fputs("</td>", to);
}

static void put_known(FILE *to, int64_t value)
{
	(void)fputs("<td class=\"n\">", to);
	sl_html_known(to, value);
	(void)fputs("</td>", to);
}

static void put_duration(FILE *to, int64_t ms, const char *unknown)
{
	(void)fputs("<td class=\"n\">", to);
	if (ms == SL_UNKNOWN)
		(void)fputs(unknown, to);
	else
		sl_html_duration(to, ms);
	(void)fputs("</td>", to);
}

static void put_peer(FILE *to, const struct sl_snapshot_peer *peer, bool out, uint64_t scale)
{
	char name[SL_TEXT_PEER_BYTES];
	sl_text_lead_peer(name, peer);
	(void)fputs("<tr><th scope=\"row\"><code>", to);
	sl_html_text(to, name);
	(void)fputs("</code></th>", to);
	put_bar(to, peer, scale);
	put_number(to, peer->stuck);
	put_number(to, peer->close_wait);
	put_number(to, peer->open);
	put_known(to, peer->growth_per_min);
	put_duration(to, peer->idle_before_fin_ms_p50, "&ndash;");
	if (out) {
		put_known(to, peer->ports_left);
		put_duration(to, peer->exhausted_in_ms, "&ndash;");
	}
	(void)fputs("</tr>\n", to);
}

static void put_head(FILE *to, const struct sl_snapshot *s, bool out, uint64_t scale)
{
	fprintf(to,
	        "<div class=\"wide\"><table class=\"peers\"><thead><tr><th>%s</th><th "
	        "class=\"bar\">",
	        out ? "Outbound peer" : "Inbound, by client and local port");
	if (out && ports_of(s)) {
		(void)fputs("of ", to);
		sl_html_number(to, scale);
		fprintf(to, " ports (%" PRId64 " to %" PRId64 ")", s->limits.port_low,
		        s->limits.port_high);
	} else {
		(void)fputs("the longest is ", to);
		sl_html_number(to, scale);
	}
	fprintf(to,
	        "</th><th class=\"n\">stuck</th><th class=\"n\">CLOSE_WAIT</th><th "
	        "class=\"n\">open</th>"
	        "<th class=\"n\">a minute</th><th class=\"n\" title=\"Median time without data "
	        "before the "
	        "peer closed\">closes after</th>%s</tr></thead><tbody>\n",
	        out ? "<th class=\"n\" title=\"At most: other users of the range are not "
	              "counted\">ports left</th><th class=\"n\">run out in</th>"
	            : "");
}

static void put_table(FILE *to, const struct sl_snapshot *s, bool out)
{
	const uint64_t scale = out && ports_of(s) ? ports_of(s) : largest(s, out);
	uint32_t rows = 0;
	for (uint32_t i = 0; i < s->peer_count; i++) {
		if (is_out(&s->peers[i]) != out)
			continue;
		if (rows++ == 0)
			put_head(to, s, out, scale);
		if (rows <= SL_HTML_PEERS)
			put_peer(to, &s->peers[i], out, scale);
	}
	if (!rows)
		return;
	(void)fputs("</tbody></table></div>\n", to);
	if (rows > SL_HTML_PEERS) {
		(void)fputs("<p class=\"quiet\">and ", to);
		sl_html_count(to, rows - SL_HTML_PEERS, "peer");
		(void)fputs(" more</p>\n", to);
	}
}

void sl_html_peers(FILE *to, const struct sl_snapshot *s)
{
	if (!s->peer_count) {
		(void)fputs("<p class=\"quiet\">No peer.</p>\n", to);
		return;
	}
	put_table(to, s, true);
	put_table(to, s, false);
	(void)fputs("<p class=\"legend\"><i class=\"stuck\"></i>stuck <i "
	            "class=\"wait\"></i>CLOSE_WAIT, not "
	            "stuck yet <i class=\"rest\"></i>other states</p>\n",
	            to);
}

void sl_html_listeners(FILE *to, const struct sl_snapshot *s)
{
	if (!s->listener_count)
		return;
	(void)fputs(
		"<section><h2>Listeners with a backlog</h2><div "
		"class=\"wide\"><table><thead><tr><th>local"
		"</th><th class=\"bar\">waiting to be accepted</th><th class=\"n\">backlog</th><th "
		"class=\"n\">limit</th><th class=\"n\">fd</th></tr></thead><tbody>\n",
		to);
	for (uint32_t i = 0; i < s->listener_count && i < SL_HTML_PEERS; i++) {
		const struct sl_snapshot_listener *listener = &s->listeners[i];
		(void)fputs("<tr><th scope=\"row\"><code>", to);
		sl_html_text(to, listener->local);
		(void)fputs("</code></th><td class=\"bar\"><div class=\"track\">", to);
		sl_html_bar(to, "wait", listener->backlog, listener->limit);
		(void)fputs("</div></td>", to);
		put_number(to, listener->backlog);
		put_number(to, listener->limit);
		fprintf(to, "<td class=\"n\">%d</td></tr>\n", listener->fd);
	}
	(void)fputs("</tbody></table></div>\n", to);
	if (s->listener_count > SL_HTML_PEERS) {
		(void)fputs("<p class=\"quiet\">and ", to);
		sl_html_count(to, s->listener_count - SL_HTML_PEERS, "listener");
		(void)fputs(" more</p>\n", to);
	}
	(void)fputs("</section>\n", to);
}
