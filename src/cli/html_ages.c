/* html_ages.c - see html_ages.h. */
#include "cli/html_ages.h"

#include <netinet/tcp.h>
#include <stdbool.h>

#include "cli/html.h"
#include "cli/measure.h"
#include "report/text_unblamed.h"

struct age {
	const char *label;
	int64_t below_ms;
	uint64_t count, stuck;
};

#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define AGES                                                                                \
	{                                                                                   \
		{"<1s", SECOND, 0, 0}, {"1s", 5 * SECOND, 0, 0}, {"5s", 15 * SECOND, 0, 0}, \
			{"15s", 30 * SECOND, 0, 0}, {"30s", MINUTE, 0, 0},                  \
			{"1min", 5 * MINUTE, 0, 0}, {"5min", 15 * MINUTE, 0, 0},            \
			{"15min", 30 * MINUTE, 0, 0}, {"30min", HOUR, 0, 0},                \
			{"1h", 2 * HOUR, 0, 0}, {"2h", 6 * HOUR, 0, 0}, {"6h", DAY, 0, 0},  \
			{"1d", 7 * DAY, 0, 0}, {"7d", INT64_MAX, 0, 0},                     \
	}

static void count(struct age *ages, const struct sl_snapshot *s,
                  const struct sl_snapshot_socket *socket)
{
	if (socket->state != TCP_CLOSE_WAIT || socket->close_wait_ms == SL_UNKNOWN)
		return;
	while (socket->close_wait_ms >= ages->below_ms && ages->below_ms != INT64_MAX)
		ages++;
	ages->count++;
	ages->stuck += sl_measure_is_stuck(s, socket);
}

static void put_column(FILE *to, const struct age *age, uint64_t most)
{
	(void)fputs("<div class=\"column\"><b>", to);
	if (age->count)
		sl_html_number(to, age->count);
	(void)fputs("</b><div class=\"stack\" style=\"height:", to);
	sl_html_percent(to, age->count, most);
	(void)fputs("\"><span class=\"wait\" style=\"height:", to);
	sl_html_percent(to, age->count - age->stuck, age->count);
	(void)fputs("\"></span><span class=\"stuck\" style=\"height:", to);
	sl_html_percent(to, age->stuck, age->count);
	(void)fputs("\"></span></div><small>", to);
	sl_html_text(to, age->label);
	(void)fputs("</small></div>\n", to);
}

static void put_histogram(FILE *to, const struct sl_snapshot *s)
{
	struct age ages[] = AGES;
	const unsigned n = sizeof(ages) / sizeof(ages[0]);
	uint64_t most = 0;
	unsigned first = n, last = 0;
	for (uint32_t i = 0; i < s->socket_count; i++)
		count(ages, s, &s->sockets[i]);
	for (unsigned i = 0; i < n; i++) {
		most = ages[i].count > most ? ages[i].count : most;
		if (ages[i].count) {
			first = i < first ? i : first;
			last = i;
		}
	}
	if (!most) {
		(void)fputs("<p class=\"quiet\">No connection is in CLOSE_WAIT.</p>\n", to);
		return;
	}
	/* A neighbour on each side: where the crowd ends is part of the picture. */
	(void)fputs("<div class=\"ages\" role=\"img\" aria-label=\"Connections by time in "
	            "CLOSE_WAIT\">\n",
	            to);
	for (unsigned i = first ? first - 1 : 0; i <= last + 1 && i < n; i++)
		put_column(to, &ages[i], most);
	(void)fputs("</div>\n<p class=\"legend\"><i class=\"stuck\"></i>stuck: quiet for ", to);
	sl_html_duration(to, (int64_t)s->deadline_ms);
	(void)fputs(" or more <i class=\"wait\"></i>not stuck yet. A column holds the ages from "
	            "its label "
	            "to the next.</p>\n",
	            to);
}

static void put_oldest(FILE *to, const struct sl_snapshot *s)
{
	int64_t most = 0;
	uint32_t rows = 0;
	for (uint32_t i = 0; i < s->site_count; i++)
		if (s->sites[i].oldest_close_wait_ms > most)
			most = s->sites[i].oldest_close_wait_ms;
	(void)fputs("<p class=\"quiet\">The ages of single connections are not in this report: the "
	            "option "
	            "detail=1 adds them. Known is the oldest of each site.</p>\n",
	            to);
	for (uint32_t i = 0; i < s->site_count && rows < SL_HTML_OLDEST; i++) {
		const struct sl_snapshot_site *site = &s->sites[i];
		char text[SL_TEXT_UNBLAMED_BYTES];
		if (site->oldest_close_wait_ms == SL_UNKNOWN)
			continue;
		if (rows++ == 0)
			(void)fputs("<div class=\"wide\"><table><tbody>\n", to);
		(void)fputs("<tr><th scope=\"row\"><code>", to);
		sl_html_text(to, sl_text_blame(text, site, UINT32_MAX, sl_measure_no_stack));
		(void)fputs("</code></th><td class=\"bar\"><div class=\"track\">", to);
		sl_html_bar(to, "stuck", (uint64_t)site->oldest_close_wait_ms, (uint64_t)most);
		(void)fputs("</div></td><td class=\"n\">", to);
		sl_html_duration(to, site->oldest_close_wait_ms);
		(void)fputs("</td></tr>\n", to);
	}
	if (rows)
		(void)fputs("</tbody></table></div>\n", to);
}

void sl_html_ages(FILE *to, const struct sl_snapshot *s)
{
	if (s->sockets)
		put_histogram(to, s);
	else if (s->totals.close_wait)
		put_oldest(to, s);
	else
		(void)fputs("<p class=\"quiet\">No connection is in CLOSE_WAIT.</p>\n", to);
}
