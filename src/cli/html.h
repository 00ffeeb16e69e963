/* html.h - writing HTML: text escaped, numbers, bars. No locale: a comma would break a style.
 *
 * Layer: cli. Context: one thread. Locks: none. A failed write stays in the stream's error flag.
 */
#ifndef SL_CLI_HTML_H
#define SL_CLI_HTML_H

#include <stdint.h>
#include <stdio.h>

/* A string from outside, for text and for attributes in double quotes: & < > " ' as references, control characters and
 * what is not UTF-8 as \xHH. NULL writes "?". */
void sl_html_text(FILE *to, const char *text);

/* "12,719": digits in groups. */
void sl_html_number(FILE *to, uint64_t value);
/* The same, "?" where not known (SL_UNKNOWN). */
void sl_html_known(FILE *to, int64_t value);
/* As in the text report: "1h58m"; "?" where not known. */
void sl_html_duration(FILE *to, int64_t ms);
/* "2026-11-22 06:03:07 UTC" in a <time> element. */
void sl_html_time(FILE *to, uint64_t wall_ms);
/* part / whole as CSS has it, "41.0872%", at most 100; whole 0 is 0. */
void sl_html_percent(FILE *to, uint64_t part, uint64_t whole);
/* As one says it: "41 %", "<1 %". */
void sl_html_share(FILE *to, uint64_t part, uint64_t whole);
/* A piece of a bar: <span class="CLASS" style="width:...">; nothing where part is 0. */
void sl_html_bar(FILE *to, const char *class, uint64_t part, uint64_t whole);
/* "1 site", "2 sites". */
void sl_html_count(FILE *to, uint64_t count, const char *noun);

#endif
