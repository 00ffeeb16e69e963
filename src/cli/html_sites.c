/* html_sites.c - see html_sites.h. */
#include "cli/html_sites.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/heap.h"
#include "cli/html.h"
#include "cli/measure.h"
#include "report/guilty.h"
#include "report/text_head.h"
#include "report/text_unblamed.h"
#include "report/words.h"

/* ---- one site ---- */

static void put_blame(FILE *to, const struct sl_snapshot_site *site)
{
	char text[SL_TEXT_UNBLAMED_BYTES];
	sl_html_text(to, sl_text_blame(text, site, UINT32_MAX,
	                               site->unseen ? site->unseen : "no stack was kept"));
}

static void put_summary(FILE *to, const struct sl_snapshot *s, const struct sl_snapshot_site *site)
{
	const enum sl_measure measure = sl_measure_of(SL_MEASURE_AUTO, s);
	const char *verdict = sl_words_site_verdict(site->verdict);
	fprintf(to, "<summary><span class=\"badge %s\">%s</span><code class=\"%s\">",
	        verdict ? verdict : "unknown", verdict ? verdict : "?",
	        site->blame ? "blamed" : "quiet");
	put_blame(to, site);
	(void)fputs("</code><span class=\"counts\"><b>", to);
	sl_html_number(to, site->stuck);
	(void)fputs("</b> stuck <b>", to);
	sl_html_number(to, site->close_wait);
	(void)fputs("</b> CLOSE_WAIT <b>", to);
	sl_html_number(to, site->open);
	(void)fputs("</b> open</span><span class=\"track\">", to);
	sl_html_bar(to, measure == SL_MEASURE_STUCK ? "stuck" : "rest",
	            sl_measure_site(measure, site), sl_measure_total(measure, s));
	(void)fputs("</span></summary>\n", to);
}

static void begin_fact(FILE *to, const char *name)
{
	fprintf(to, "<div><dt>%s</dt><dd>", name);
}

static void end_fact(FILE *to)
{
	(void)fputs("</dd></div>\n", to);
}

static void put_fact_number(FILE *to, const char *name, uint64_t value)
{
	begin_fact(to, name);
	sl_html_number(to, value);
	end_fact(to);
}

static void put_causes(FILE *to, const struct sl_snapshot_site *site)
{
	bool is_first = true;
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++) {
		if (!site->causes[cause])
			continue;
		if (is_first)
			begin_fact(to, "cause");
		else
			(void)fputs(", ", to);
		sl_html_number(to, site->causes[cause]);
		fprintf(to, " %s", sl_words_cause_phrase((enum sl_cause)cause));
		is_first = false;
	}
	if (!is_first)
		end_fact(to);
}

static void put_threads(FILE *to, const struct sl_snapshot_site *site)
{
	if (!site->thread_names)
		return;
	begin_fact(to, site->thread_count == 1 ? "thread" : "threads");
	for (uint32_t i = 0; i < site->thread_names; i++) {
		(void)fputs(i ? ", <code>" : "<code>", to);
		sl_html_text(to, site->threads[i]);
		(void)fputs("</code>", to);
	}
	if (site->thread_count > site->thread_names) {
		(void)fputs(" and ", to);
		sl_html_number(to, site->thread_count - site->thread_names);
		(void)fputs(" more names", to);
	}
	end_fact(to);
}

static void put_facts(FILE *to, const struct sl_snapshot_site *site)
{
	(void)fputs("<dl class=\"facts\">\n", to);
	put_causes(to, site);
	if (site->oldest_close_wait_ms != SL_UNKNOWN) {
		begin_fact(to, "oldest CLOSE_WAIT");
		sl_html_duration(to, site->oldest_close_wait_ms);
		end_fact(to);
	}
	put_fact_number(to, "opened", site->opened);
	put_fact_number(to, "closed", site->closed);
	if (site->retracted)
		put_fact_number(to, "retracted", site->retracted);
	if (site->reclaimed)
		put_fact_number(to, "ended by sockleak", site->reclaimed);
	if (site->regretted)
		put_fact_number(to, "regretted", site->regretted);
	if (sl_words_direction(site->direction)) {
		begin_fact(to, "direction");
		(void)fputs(sl_words_direction(site->direction), to);
		end_fact(to);
	}
	put_threads(to, site);
	put_fact_number(to, "site", site->id);
	(void)fputs("</dl>\n", to);
}

static void put_frame(FILE *to, const struct sl_frame *frame, bool is_blame)
{
	fprintf(to, "<li class=\"%s%s\">", sl_words_role(frame->role), is_blame ? " blame" : "");
	(void)fputs("<code>", to);
	sl_html_text(to, sl_measure_frame(frame));
	(void)fputs("</code>", to);
	if (frame->module && frame->file && frame->line > 0) {
		(void)fputs(" <small>", to);
		sl_html_text(to, frame->file);
		fprintf(to, ":%" PRId32 "</small>", frame->line);
	}
	fprintf(to, "<em>%s</em></li>\n", is_blame ? "blamed" : sl_words_role(frame->role));
}

static void put_stack(FILE *to, const struct sl_snapshot_site *site)
{
	if (!site->frame_count)
		return;
	(void)fputs("<ol class=\"frames\" aria-label=\"Stack, innermost frame first\">\n", to);
	for (uint32_t i = 0; i < site->frame_count; i++)
		put_frame(to, site->frames[i], i == site->blame_frame);
	if (site->frames_cut)
		(void)fputs("<li class=\"quiet\">deeper frames were cut (option depth)</li>\n", to);
	(void)fputs("</ol>\n", to);
}

void sl_html_sites(FILE *to, const struct sl_snapshot *s)
{
	if (s->no_sites) {
		(void)fputs("<p class=\"quiet\">Not known: ", to);
		sl_html_text(to, s->no_sites);
		(void)fputs("</p>\n", to);
		return;
	}
	if (s->site_count)
		(void)fputs("<p class=\"quiet\">Stacks from the inside out: the call that opened "
		            "the socket "
		            "stands first.</p>\n",
		            to);
	if (s->site_count > 1)
		(void)fputs("<p class=\"script tools\"><button type=\"button\" id=\"unfold\">Open "
		            "all</button></p>\n",
		            to);
	const struct sl_snapshot_site *guilty = sl_guilty_site(s);
	for (uint32_t i = 0; i < s->site_count && i < SL_HTML_SITES; i++) {
		const bool is_open = guilty ? &s->sites[i] == guilty : i == 0;
		fprintf(to, "<details class=\"site\"%s>\n", is_open ? " open" : "");
		put_summary(to, s, &s->sites[i]);
		put_facts(to, &s->sites[i]);
		put_stack(to, &s->sites[i]);
		(void)fputs("</details>\n", to);
	}
	if (!s->site_count)
		(void)fputs("<p class=\"quiet\">No site.</p>\n", to);
	if (s->site_count > SL_HTML_SITES) {
		(void)fputs("<p class=\"quiet\">and ", to);
		sl_html_count(to, s->site_count - SL_HTML_SITES, "site");
		(void)fputs(" more, with fewer connections</p>\n", to);
	}
	if (s->sites_cut) {
		(void)fputs("<p class=\"quiet\">", to);
		sl_html_count(to, s->sites_cut, "stack");
		(void)fputs(" did not fit the site table</p>\n", to);
	}
}

/* ---- connections ---- */

static int compare(int64_t x, int64_t y)
{
	return x > y ? -1 : x < y;
}

static int quieter(const void *a, const void *b)
{
	const struct sl_snapshot_socket *x = *(const struct sl_snapshot_socket *const *)a;
	const struct sl_snapshot_socket *y = *(const struct sl_snapshot_socket *const *)b;
	return x->quiet_ms != y->quiet_ms ? compare(x->quiet_ms, y->quiet_ms)
	                                  : compare((int64_t)x->age_ms, (int64_t)y->age_ms);
}

static void put_duration_cell(FILE *to, int64_t ms)
{
	(void)fputs("<td class=\"n\">", to);
	if (ms == SL_UNKNOWN)
		(void)fputs("&ndash;", to);
	else
		sl_html_duration(to, ms);
	(void)fputs("</td>", to);
}

static void put_text_cell(FILE *to, const char *text)
{
	(void)fputs("<td><code>", to);
	if (text)
		sl_html_text(to, text);
	else
		(void)fputs("&ndash;", to);
	(void)fputs("</code></td>", to);
}

static void put_socket(FILE *to, const struct sl_snapshot *s,
                       const struct sl_snapshot_socket *socket)
{
	fprintf(to, "<tr><td class=\"n\">%d</td>", socket->fd);
	put_text_cell(to, sl_words_state(socket->state));
	put_text_cell(to, socket->local);
	put_text_cell(to, socket->peer);
	put_duration_cell(to, socket->close_wait_ms);
	put_duration_cell(to, socket->quiet_ms);
	put_text_cell(to, sl_words_cause(socket->cause));
	(void)fputs("<td class=\"n\">", to);
	if (socket->unread_bytes == SL_UNKNOWN)
		(void)fputs("&ndash;", to);
	else
		sl_html_known(to, socket->unread_bytes);
	(void)fputs("</td>", to);
	put_text_cell(to, socket->thread);
	if (s->no_sites)
		(void)fputs("<td>&ndash;</td>", to);
	else
		fprintf(to, "<td class=\"n\">%" PRIu32 "</td>", socket->site);
	put_text_cell(to, sl_words_rung(socket->rung));
	(void)fputs("</tr>\n", to);
}

void sl_html_sockets(FILE *to, const struct sl_snapshot *s)
{
	if (!s->sockets || !s->socket_count)
		return;
	const struct sl_snapshot_socket **sorted =
		sl_heap_grow(NULL, s->socket_count * sizeof(*sorted));
	for (uint32_t i = 0; i < s->socket_count; i++)
		sorted[i] = &s->sockets[i];
	qsort(sorted, s->socket_count, sizeof(*sorted), quieter);
	const uint32_t rows = s->socket_count < SL_HTML_SOCKETS ? s->socket_count : SL_HTML_SOCKETS;
	(void)fputs("<details class=\"more\"><summary>Connections: ", to);
	if (rows < s->socket_count)
		fprintf(to, "the %" PRIu32 " quietest of ", rows);
	sl_html_number(to, s->socket_count);
	(void)fputs("</summary><div class=\"wide\"><table><thead><tr><th "
	            "class=\"n\">fd</th><th>state</th>"
	            "<th>local</th><th>peer</th><th class=\"n\">CLOSE_WAIT for</th><th "
	            "class=\"n\">quiet "
	            "for</th><th>cause</th><th class=\"n\">unread</th><th>thread</th><th "
	            "class=\"n\">site</th><th>done</th></tr></thead><tbody>\n",
	            to);
	for (uint32_t i = 0; i < rows; i++)
		put_socket(to, s, sorted[i]);
	(void)fputs("</tbody></table></div></details>\n", to);
	free(sorted);
}
