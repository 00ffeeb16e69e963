/* format_html.c - see format_html.h. */
#include "cli/format_html.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/options.h"
#include "base/version.h"
#include "cli/heap.h"
#include "cli/html.h"
#include "cli/html_ages.h"
#include "cli/html_flame.h"
#include "cli/html_peers.h"
#include "cli/html_sites.h"
#include "cli/page.h"
#include "report/json.h"
#include "report/advice.h"
#include "report/text_head.h"
#include "report/text_elsewhere.h"
#include "report/text_lead.h"
#include "report/text_next.h"
#include "report/words.h"

#define NONCE_BYTES 16

/* ---- head ---- */

/* Names the page's own script: what a name smuggled in could not know it. */
static void make_nonce(char nonce[2 * NONCE_BYTES + 1])
{
	unsigned char bytes[NONCE_BYTES] = {0};
	(void)!getrandom(bytes, sizeof(bytes), 0);
	for (int i = 0; i < NONCE_BYTES; i++)
		(void)sprintf(nonce + 2 * (size_t)i, "%02x", bytes[i]);
}

static const char *verdict_of(const struct sl_snapshot *s)
{
	const char *word = sl_words_verdict(s->verdict);
	return word ? word : "UNKNOWN";
}

static void put_head(FILE *to, const struct sl_snapshot *s, const char *nonce)
{
	fprintf(to,
	        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	        "style-src 'unsafe-inline'; script-src 'nonce-%s'; base-uri 'none'; form-action "
	        "'none'\">\n"
	        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	        "<meta name=\"color-scheme\" content=\"light dark\">\n"
	        "<meta name=\"referrer\" content=\"no-referrer\">\n<title>%s: ",
	        nonce, verdict_of(s));
	sl_html_text(to, s->process.name);
	fprintf(to, " (pid %d)</title>\n<style>\n%s</style>\n</head>\n<body class=\"%s\">\n",
	        s->process.pid, sl_page_css, verdict_of(s));
}

static void put_banner(FILE *to, const struct sl_snapshot *s)
{
	(void)fputs("<header>\n<div class=\"who\"><h1>", to);
	sl_html_text(to, s->process.name);
	fprintf(to, "</h1><p>pid %d on ", s->process.pid);
	sl_html_text(to, s->process.hostname);
	(void)fputs(", up ", to);
	sl_html_duration(to, (int64_t)s->process.uptime_ms);
	(void)fputs("; taken ", to);
	sl_html_time(to, s->taken_wall_ms);
	fprintf(to, " (%s)", sl_words_trigger(s->trigger) ? sl_words_trigger(s->trigger) : "?");
	if (s->mode != SL_MODE_PRELOAD && sl_words_mode(s->mode))
		fprintf(to, ", %s", sl_words_mode(s->mode));
	(void)fputs("</p></div>\n<button type=\"button\" id=\"theme\" class=\"script\" "
	            "title=\"Light or "
	            "dark\">Light / dark</button>\n</header>\n",
	            to);
}

/* ---- the eight lines, as the text report has them ---- */

#define LABEL_COLUMNS 10

static void put_lead_line(FILE *to, char *line)
{
	char label[LABEL_COLUMNS + 1] = {0};
	size_t n = strlen(line);
	if (n < LABEL_COLUMNS)
		return;
	memcpy(label, line, LABEL_COLUMNS);
	for (size_t i = LABEL_COLUMNS; i > 0 && label[i - 1] == ' '; i--)
		label[i - 1] = '\0';
	const bool is_command = strcmp(label, "NOW") == 0 || strcmp(label, "WHERE") == 0;
	(void)fputs("<div><dt>", to);
	sl_html_text(to, label);
	(void)fputs(is_command ? "</dt><dd><code>" : "</dt><dd>", to);
	sl_html_text(to, line + LABEL_COLUMNS);
	(void)fputs(is_command ? "</code></dd></div>\n" : "</dd></div>\n", to);
}

static void put_verdict(FILE *to, const char *line)
{
	const size_t word = strcspn(line, ",: ");
	const size_t rest = word + strspn(line + word, ",: ");
	fprintf(to, "<p class=\"verdict\"><strong>");
	char *first = sl_heap_grow(NULL, word + 1);
	memcpy(first, line, word);
	first[word] = '\0';
	sl_html_text(to, first);
	free(first);
	(void)fputs("</strong> ", to);
	sl_html_text(to, line + rest);
	(void)fputs("</p>\n", to);
}

/* The same lines as in the text, without their heading. */
static void put_elsewhere(FILE *to, const struct sl_snapshot *s)
{
	char text[16384];
	struct sl_out out;
	if (s->elsewhere_count == 0)
		return;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_text_elsewhere(&out, s, false);
	text[out.length] = '\0';
	char *rest, *line = strtok_r(text, "\n", &rest);
	(void)fputs("<h3>No leak, and not well</h3>\n<ul>\n", to);
	while ((line = strtok_r(NULL, "\n", &rest))) {
		(void)fputs("<li>", to);
		sl_html_text(to, line + strspn(line, " "));
		(void)fputs("</li>\n", to);
	}
	(void)fputs("</ul>\n", to);
}

static void put_lead(FILE *to, const struct sl_snapshot *s)
{
	char text[16384];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_text_lead(&out, s, false);
	sl_text_next(&out, s, SL_ADVICE_MAX, false);
	text[out.length] = '\0';
	char *rest = strstr(text, "\n\n"); /* behind the header, which the banner shows */
	char *line = rest ? strtok_r(rest, "\n", &rest) : NULL;
	(void)fputs("<section class=\"lead\">\n", to);
	if (line)
		put_verdict(to, line);
	if (s->pressure) {
		(void)fputs("<p class=\"pressure\">A call failed: <code>", to);
		sl_html_text(to, s->pressure);
		(void)fputs("</code></p>\n", to);
	}
	(void)fputs("<dl>\n", to);
	while ((line = strtok_r(NULL, "\n", &rest)))
		put_lead_line(to, line);
	(void)fputs("</dl>\n", to);
	put_elsewhere(to, s);
	(void)fputs("</section>\n", to);
}

/* ---- totals ---- */

static void begin_tile(FILE *to, const char *class, const char *name)
{
	fprintf(to, "<div class=\"tile %s\"><span>%s</span><b>", class, name);
}

static void end_tile(FILE *to)
{
	(void)fputs("</small></div>\n", to);
}

static void put_tile(FILE *to, const char *class, const char *name, uint64_t value)
{
	begin_tile(to, value ? class : "", name);
	sl_html_number(to, value);
	(void)fputs("</b><small>", to);
}

static void put_fds_tile(FILE *to, const struct sl_snapshot *s)
{
	if (s->limits.nofile_used == SL_UNKNOWN)
		return;
	begin_tile(to, "", "fds");
	sl_html_known(to, s->limits.nofile_used);
	(void)fputs("</b><small>", to);
	if (s->limits.nofile_soft > 0) {
		sl_html_share(to, (uint64_t)s->limits.nofile_used, (uint64_t)s->limits.nofile_soft);
		(void)fputs(" of ", to);
		sl_html_known(to, s->limits.nofile_soft);
		if (s->limits.fds_exhausted_in_ms != SL_UNKNOWN) {
			(void)fputs(", gone in ", to);
			sl_html_duration(to, s->limits.fds_exhausted_in_ms);
		}
	}
	end_tile(to);
}

static void put_tiles(FILE *to, const struct sl_snapshot *s)
{
	(void)fputs("<div class=\"tiles\">\n", to);
	put_tile(to, "bad", "stuck", s->totals.stuck);
	if (s->totals.oldest_stuck_ms != SL_UNKNOWN) {
		(void)fputs("oldest ", to);
		sl_html_duration(to, s->totals.oldest_stuck_ms);
	}
	end_tile(to);
	put_tile(to, "doubt", "CLOSE_WAIT", s->totals.close_wait);
	if (s->totals.growth_per_min != SL_UNKNOWN) {
		(void)fputs(s->totals.growth_per_min > 0 ? "+" : "", to);
		sl_html_known(to, s->totals.growth_per_min);
		(void)fputs(" a minute", to);
	}
	end_tile(to);
	put_tile(to, "doubt", "dead-but-open", s->totals.dead);
	end_tile(to);
	put_tile(to, "", "open", s->totals.open);
	sl_html_number(to, s->totals.opened);
	(void)fputs(" opened, ", to);
	sl_html_number(to, s->totals.closed);
	(void)fputs(" closed", to);
	end_tile(to);
	put_fds_tile(to, s);
	if (s->totals.backlog) {
		put_tile(to, "doubt", "backlog", s->totals.backlog);
		(void)fputs("not accepted yet", to);
		end_tile(to);
	}
	(void)fputs("</div>\n", to);
}

static void put_states(FILE *to, const struct sl_snapshot *s)
{
	(void)fputs("<p class=\"states\">", to);
	for (unsigned state = 0; state < SL_WORDS_STATES; state++) {
		if (!s->totals.by_state[state])
			continue;
		(void)fputs("<span>", to);
		(void)fputs(sl_words_state(state) ? sl_words_state(state) : "unknown", to);
		(void)fputs(" <b>", to);
		sl_html_number(to, s->totals.by_state[state]);
		(void)fputs("</b></span> ", to);
	}
	for (int kind = SL_KIND_TCP + 1; kind < SL_KIND_COUNT; kind++) {
		if (!s->totals.by_kind[kind])
			continue;
		fprintf(to, "<span class=\"quiet\">%s <b>", sl_words_kind((enum sl_kind)kind));
		sl_html_number(to, s->totals.by_kind[kind]);
		(void)fputs("</b></span> ", to);
	}
	(void)fputs("</p>\n", to);
}

/* ---- what is folded away ---- */

static void begin_more(FILE *to, const char *title)
{
	fprintf(to,
	        "<details class=\"more\"><summary>%s</summary>\n<table class=\"pairs\"><tbody>\n",
	        title);
}

static void put_pair(FILE *to, const char *name, const char *value, bool is_strong)
{
	fprintf(to, "<tr%s><th scope=\"row\">", is_strong ? " class=\"set\"" : "");
	sl_html_text(to, name);
	(void)fputs("</th><td><code>", to);
	sl_html_text(to, value);
	(void)fputs("</code></td></tr>\n", to);
}

static void put_pair_number(FILE *to, const char *name, uint64_t value)
{
	fprintf(to, "<tr><th scope=\"row\">%s</th><td>", name);
	sl_html_number(to, value);
	(void)fputs("</td></tr>\n", to);
}

static void end_more(FILE *to)
{
	(void)fputs("</tbody></table></details>\n", to);
}

struct standard {
	const char *key; /* looked for */
	const char *value;
	bool is_same;
};

static void compare_to_standard(void *context, const char *key, const char *value)
{
	struct standard *standard = context;
	if (strcmp(key, standard->key) == 0)
		standard->is_same = strcmp(value, standard->value) == 0;
}

static void put_option(FILE *to, const struct sl_options *defaults, const char *key,
                       const char *value)
{
	struct standard standard = {.key = key, .value = value};
	sl_options_each(defaults, compare_to_standard, &standard);
	put_pair(to, key, value, !standard.is_same);
}

struct own_options {
	FILE *to;
	const struct sl_options *defaults;
};

static void put_own_option(void *context, const char *key, const char *value)
{
	const struct own_options *own = context;
	put_option(own->to, own->defaults, key, value);
}

static void put_options(FILE *to, const struct sl_snapshot *s)
{
	static struct sl_options defaults;
	struct own_options own = {to, &defaults};
	if (s->options && !s->option_count)
		return;
	sl_options_defaults(&defaults);
	begin_more(to, "Options in force (bold: not the default)");
	if (!s->options)
		sl_options_each(&sl_options, put_own_option, &own);
	for (uint32_t i = 0; s->options && i < s->option_count; i++)
		put_option(to, &defaults, s->options[i].key, s->options[i].value);
	end_more(to);
}

static void put_done(FILE *to, const struct sl_snapshot *s)
{
	begin_more(to, "Counts since the start");
	put_pair_number(to, "opened", s->totals.opened);
	put_pair_number(to, "closed", s->totals.closed);
	put_pair_number(to, "adopted", s->totals.adopted);
	put_pair_number(to, "dropped", s->totals.dropped);
	put_pair_number(to, "stuck, then used or closed by the program", s->totals.retracted);
	put_pair_number(to, "probed", s->totals.probed);
	put_pair_number(to, "of those ended by the probe", s->totals.ended_by_probe);
	put_pair_number(to, "shut down", s->totals.shutdown);
	put_pair_number(to, "neutralized", s->totals.neutralized);
	put_pair_number(to, "closed by sockleak", s->totals.closed_by_us);
	put_pair_number(to, "closed by the program after a shutdown", s->totals.app_reacted);
	put_pair_number(to, "ended by keepalive", s->totals.ended_by_keepalive);
	put_pair_number(to, "late closes absorbed", s->totals.absorbed);
	put_pair_number(to, "calls rescued", s->totals.rescued);
	put_pair_number(to, "regretted", s->totals.regretted);
	put_pair_number(to, "bytes of output held back", s->totals.held_back_bytes);
	end_more(to);
}

static void put_process(FILE *to, const struct sl_snapshot *s)
{
	begin_more(to, "Process");
	put_pair(to, "executable", s->process.exe, false);
	for (const char *const *argument = s->process.argv; argument && *argument; argument++)
		put_pair(to, argument == s->process.argv ? "arguments" : "",
		         **argument ? *argument : "\"\"", false);
	(void)fputs("<tr><th scope=\"row\">started</th><td>", to);
	sl_html_time(to, s->process.started_wall_ms);
	(void)fputs("</td></tr>\n", to);
	put_pair(to, "runtime", s->process.is_jvm ? "jvm" : "native", false);
	put_pair(to, "action in force", sl_words_action(s->reclaim.action), false);
	if (s->reclaim.is_dry_run)
		put_pair(to, "", "dry run", false);
	if (s->reclaim.is_stopped)
		put_pair(to, "", "stopped by regrets", false);
	end_more(to);
}

static void put_flame(FILE *to, const struct sl_snapshot *s, enum sl_measure measure)
{
	(void)fputs("<section><h2>Who opened them</h2>\n", to);
	if (s->no_sites) {
		(void)fputs("<p class=\"quiet\">Not known: ", to);
		sl_html_text(to, s->no_sites);
		(void)fputs("</p>\n", to);
	} else if (!s->totals.open) {
		(void)fputs("<p class=\"quiet\">No connection is open.</p>\n", to);
	} else {
		sl_html_flame(to, s, measure);
	}
	(void)fputs("</section>\n", to);
}

void sl_format_html(FILE *to, const struct sl_snapshot *s, enum sl_measure measure)
{
	char nonce[2 * NONCE_BYTES + 1];
	make_nonce(nonce);
	put_head(to, s, nonce);
	put_banner(to, s);
	(void)fputs("<main>\n", to);
	put_lead(to, s);
	put_tiles(to, s);
	put_states(to, s);
	put_flame(to, s, measure);
	(void)fputs("<section><h2>Peers</h2>\n", to);
	sl_html_peers(to, s);
	(void)fputs("</section>\n", to);
	sl_html_listeners(to, s);
	(void)fputs("<section><h2>Time in CLOSE_WAIT</h2>\n", to);
	sl_html_ages(to, s);
	(void)fputs("</section>\n<section><h2>Sites, worst first</h2>\n", to);
	sl_html_sites(to, s);
	(void)fputs("</section>\n<section><h2>More</h2>\n", to);
	sl_html_sockets(to, s);
	put_done(to, s);
	put_options(to, s);
	put_process(to, s);
	(void)fputs("</section>\n</main>\n<footer>sockleak ", to);
	sl_html_text(to, s->version ? s->version : SL_VERSION);
	fprintf(to,
	        ", from a snapshot of schema %s. This page loads nothing and sends "
	        "nothing.</footer>\n"
	        "<script nonce=\"%s\">\n%s</script>\n</body>\n</html>\n",
	        SL_JSON_SCHEMA, nonce, sl_page_js);
}
