/* text_line.c - see text_line.h. */
#include "report/text_line.h"

#include "base/poison.h"

#define ESCAPE '\033'

void sl_text_line_start(struct sl_text_line *line, bool colour)
{
	sl_out_init(&line->out, line->bytes, sizeof(line->bytes), NULL, NULL);
	line->has_colour = colour;
}

void sl_text_line_label(struct sl_text_line *line, const char *label)
{
	sl_out_padded(&line->out, label, 10);
}

static bool starts_character(unsigned char byte)
{
	return (byte & 0xc0) != 0x80;
}

/* Columns of the character that begins with this byte; no terminal's table is at hand, so the wide
 * scripts are told by their range. */
static unsigned width_of(unsigned char first_byte)
{
	return first_byte >= 0xe1 ? 2 : 1;
}

unsigned sl_text_line_columns(const struct sl_text_line *line)
{
	unsigned columns = 0;
	for (size_t i = 0; i < line->out.length; i++) {
		unsigned char byte = (unsigned char)line->bytes[i];
		if (byte == ESCAPE) { /* only our own colours have one: names are escaped */
			while (i < line->out.length && line->bytes[i] != 'm')
				i++;
		} else if (starts_character(byte)) {
			columns += width_of(byte);
		}
	}
	return columns;
}

unsigned sl_text_line_left(const struct sl_text_line *line, const struct sl_text_line *tail)
{
	unsigned used = sl_text_line_columns(line) + (tail ? sl_text_line_columns(tail) : 0);
	return used < SL_TEXT_COLUMNS ? SL_TEXT_COLUMNS - used : 0;
}

void sl_text_line_append(struct sl_text_line *line, const struct sl_text_line *tail)
{
	sl_out_bytes(&line->out, tail->bytes, tail->out.length);
}

bool sl_text_line_append_if_fits(struct sl_text_line *line, const struct sl_text_line *tail)
{
	if (sl_text_line_columns(line) + sl_text_line_columns(tail) > SL_TEXT_COLUMNS)
		return false;
	sl_text_line_append(line, tail);
	return true;
}

void sl_text_paint(struct sl_out *out, bool colour, enum sl_text_paint paint)
{
	static const char *const sequences[SL_PAINT_COUNT] = {
		[SL_PAINT_RESET] = "\033[0m",    [SL_PAINT_BAD] = "\033[1;31m",
		[SL_PAINT_DOUBT] = "\033[1;33m", [SL_PAINT_GOOD] = "\033[1;32m",
		[SL_PAINT_BLAME] = "\033[1m",    [SL_PAINT_DIM] = "\033[2m",
	};
	if (colour)
		sl_out_text(out, sequences[paint]);
}

void sl_text_line_paint(struct sl_text_line *line, enum sl_text_paint paint)
{
	sl_text_paint(&line->out, line->has_colour, paint);
}

/* Escaped bytes pass through here on their way into a line; all but the first `head` columns and
 * those from `tail_from` on become "..". */
struct squeeze {
	struct sl_out *to; /* NULL: only count */
	unsigned column;
	unsigned head;
	unsigned tail_from;
	bool keeps; /* the character we are in */
	bool is_elided;
};

static void squeeze_flush(struct sl_out *out)
{
	struct squeeze *squeeze = out->context;
	for (size_t i = 0; i < out->length; i++) {
		unsigned char byte = (unsigned char)out->bytes[i];
		if (starts_character(byte)) {
			unsigned start = squeeze->column;
			squeeze->column += width_of(byte);
			squeeze->keeps =
				squeeze->column <= squeeze->head || start >= squeeze->tail_from;
			if (!squeeze->keeps && !squeeze->is_elided && squeeze->to) {
				sl_out_text(squeeze->to, "..");
				squeeze->is_elided = true;
			}
		}
		if (squeeze->keeps && squeeze->to)
			sl_out_char(squeeze->to, out->bytes[i]);
	}
}

static unsigned squeeze_name(struct squeeze *squeeze, const char *name)
{
	char bytes[64];
	struct sl_out out;
	sl_out_init(&out, bytes, sizeof(bytes), squeeze_flush, squeeze);
	sl_text_name(&out, name);
	sl_out_flush(&out);
	return squeeze->column;
}

unsigned sl_text_name_columns(const char *name)
{
	struct squeeze count = {.to = NULL};
	return squeeze_name(&count, name);
}

void sl_text_line_name(struct sl_text_line *line, const char *name, unsigned columns)
{
	unsigned total = sl_text_name_columns(name);
	if (columns < SL_TEXT_NAME_MIN)
		columns = SL_TEXT_NAME_MIN;
	struct squeeze squeeze = {.to = &line->out, .head = total, .tail_from = total};
	if (total > columns) {
		unsigned kept = columns - 2;
		squeeze.head = kept / 3; /* the end of a name tells more: file, line, last label */
		squeeze.tail_from = total - (kept - squeeze.head);
	}
	(void)squeeze_name(&squeeze, name);
}

void sl_text_line_end(struct sl_text_line *line, struct sl_out *to)
{
	sl_out_bytes(to, line->bytes, line->out.length);
	sl_out_char(to, '\n');
	sl_text_line_start(line, line->has_colour);
}

bool sl_text_line_add_duration(struct sl_text_line *line, const char *before, int64_t ms,
                               const char *after)
{
	struct sl_text_line clause;
	if (ms < 0)
		return true;
	sl_text_line_start(&clause, line->has_colour);
	sl_out_text(&clause.out, before);
	sl_out_duration(&clause.out, (uint64_t)ms);
	sl_out_text(&clause.out, after);
	return sl_text_line_append_if_fits(line, &clause);
}

void sl_text_name(struct sl_out *out, const char *name)
{
	sl_out_terminal(out, name ? name : "?");
}

void sl_text_percent(struct sl_out *out, uint64_t part, uint64_t whole)
{
	while (part > UINT64_MAX / 100) { /* keep the product in range */
		part >>= 1;
		whole >>= 1;
	}
	uint64_t percent = whole ? part * 100 / whole : 0;
	if (part && whole && !percent)
		sl_out_text(out, "<1");
	else
		sl_out_unsigned(out, percent);
	sl_out_text(out, " %");
}

void sl_text_count(struct sl_out *out, uint64_t count, const char *noun)
{
	sl_out_unsigned(out, count);
	sl_out_char(out, ' ');
	sl_out_text(out, noun);
	if (count != 1)
		sl_out_char(out, 's');
}

void sl_text_exact(struct sl_out *out, uint64_t ms)
{
	sl_out_unsigned(out, ms % 1000 ? ms : ms / 1000);
	sl_out_text(out, ms % 1000 ? "ms" : "s");
}
