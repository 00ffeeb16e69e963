/* html.c - see html.h. */
#include "cli/html.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/out.h"
#include "cli/heap.h"
#include "cli/print.h"
#include "report/snapshot.h"
#include "report/text_line.h"

void sl_html_text(FILE *to, const char *text)
{
	char *shown = sl_heap_shown(text ? text : "?");
	for (const char *c = shown; *c; c++) {
		switch (*c) {
		case '&':
			(void)fputs("&amp;", to);
			break;
		case '<':
			(void)fputs("&lt;", to);
			break;
		case '>':
			(void)fputs("&gt;", to);
			break;
		case '"':
			(void)fputs("&quot;", to);
			break;
		case '\'':
			(void)fputs("&#39;", to);
			break;
		default:
			(void)putc(*c, to);
		}
	}
	free(shown);
}

void sl_html_number(FILE *to, uint64_t value)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);
	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			(void)putc(',', to);
		(void)putc(digits[i], to);
	}
}

void sl_html_known(FILE *to, int64_t value)
{
	if (value == SL_UNKNOWN) {
		(void)putc('?', to);
		return;
	}
	if (value < 0)
		(void)fputs("&minus;", to);
	sl_html_number(to, value < 0 ? (uint64_t)-value : (uint64_t)value);
}

void sl_html_duration(FILE *to, int64_t ms)
{
	struct sl_print print;
	if (ms == SL_UNKNOWN || ms < 0) {
		(void)putc('?', to);
		return;
	}
	sl_print_start(&print, to);
	sl_out_duration(&print.out, (uint64_t)ms);
	sl_out_flush(&print.out);
}

void sl_html_time(FILE *to, uint64_t wall_ms)
{
	char text[32];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_out_rfc3339(&out, wall_ms);
	text[out.length] = '\0';
	fprintf(to, "<time datetime=\"%s\">%.10s %.8s UTC</time>", text, text,
	        out.length > 11 ? text + 11 : "");
}

void sl_html_percent(FILE *to, uint64_t part, uint64_t whole)
{
	const uint64_t unit = 10000, all = 100 * unit;
	uint64_t share = 0;
	if (whole)
		share = part >= whole ? all : (uint64_t)((unsigned __int128)part * all / whole);
	fprintf(to, "%" PRIu64 ".%04" PRIu64 "%%", share / unit, share % unit);
}

void sl_html_share(FILE *to, uint64_t part, uint64_t whole)
{
	char text[32];
	struct sl_out out;
	if (!whole)
		return;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_text_percent(&out, part, whole);
	text[out.length] = '\0';
	sl_html_text(to, text);
}

void sl_html_bar(FILE *to, const char *class, uint64_t part, uint64_t whole)
{
	if (!part)
		return;
	fprintf(to, "<span class=\"%s\" style=\"width:", class);
	sl_html_percent(to, part, whole);
	(void)fputs("\"></span>", to);
}

void sl_html_count(FILE *to, uint64_t count, const char *noun)
{
	sl_html_number(to, count);
	fprintf(to, " %s%s", noun, count == 1 ? "" : "s");
}
