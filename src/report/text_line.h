/* text_line.h - one line of a text report that must fit a width.
 *
 * A line is put together in its own buffer, so that names of any length can be shortened in the
 * middle to what the rest of the line leaves them. Columns are counted, not bytes; characters from
 * U+1000 on count as two, which is never too few.
 *
 * Layer: report. Locks: none. Owner: the line holds its bytes; it must not be copied or moved.
 * Fork: no state. errno: untouched. Async-signal-safe: everything here, if the flush function of
 * the writer is. Units: columns.
 */
#ifndef SL_REPORT_TEXT_LINE_H
#define SL_REPORT_TEXT_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"

#define SL_TEXT_COLUMNS 100
#define SL_TEXT_LINE_BYTES 1024 /* 100 columns of four bytes each, and the colours */
#define SL_TEXT_NAME_MIN 5      /* a name is never made shorter than this */

enum sl_text_paint {
	SL_PAINT_RESET,
	SL_PAINT_BAD,   /* bold red */
	SL_PAINT_DOUBT, /* bold yellow */
	SL_PAINT_GOOD,  /* bold green */
	SL_PAINT_BLAME, /* bold */
	SL_PAINT_DIM,
	SL_PAINT_COUNT,
};

struct sl_text_line {
	struct sl_out out; /* append with the sl_out functions */
	bool has_colour;
	char bytes[SL_TEXT_LINE_BYTES];
};

void sl_text_line_start(struct sl_text_line *line, bool colour);
/* What each of the eight lines begins with: "WHERE", filled up to ten columns. */
void sl_text_line_label(struct sl_text_line *line, const char *label);
unsigned sl_text_line_columns(const struct sl_text_line *line);
/* Columns that `tail` would leave free behind what is in the line. `tail` may be NULL. */
unsigned sl_text_line_left(const struct sl_text_line *line, const struct sl_text_line *tail);
void sl_text_line_append(struct sl_text_line *line, const struct sl_text_line *tail);
/* The same, where it fits into SL_TEXT_COLUMNS; else nothing and false. */
bool sl_text_line_append_if_fits(struct sl_text_line *line, const struct sl_text_line *tail);
/* Adds text, a duration, text, where they fit; else nothing and false. A duration below 0, unknown,
 * adds nothing and is true. */
bool sl_text_line_add_duration(struct sl_text_line *line, const char *before, int64_t ms,
                               const char *after);
void sl_text_line_paint(struct sl_text_line *line, enum sl_text_paint paint);
/* A name from outside, escaped and shortened in the middle to `columns`. NULL is "?". */
void sl_text_line_name(struct sl_text_line *line, const char *name, unsigned columns);
/* Writes the line and a newline, and starts it anew. */
void sl_text_line_end(struct sl_text_line *line, struct sl_out *to);

void sl_text_paint(struct sl_out *out, bool colour, enum sl_text_paint paint);
/* Columns of a name from outside, once escaped. */
unsigned sl_text_name_columns(const char *name);
/* A name from outside, escaped, in full. NULL is "?". */
void sl_text_name(struct sl_out *out, const char *name);
/* A share, rounded down so that 100 % means all; "<1 %" for a little. */
void sl_text_percent(struct sl_out *out, uint64_t part, uint64_t whole);
/* A setting, which is not rounded as a measured time is: "90s", "1500ms". */
void sl_text_exact(struct sl_out *out, uint64_t ms);
/* "1 site", "2 sites": `noun` takes its plural by an s. */
void sl_text_count(struct sl_out *out, uint64_t count, const char *noun);

#endif
