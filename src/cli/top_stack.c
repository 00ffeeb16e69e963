/* top_stack.c - see top_stack.h. */
#include "cli/top_stack.h"

#include "cli/measure.h"
#include "cli/top_model.h"
#include "cli/top_screen.h"
#include "report/text_line.h"
#include "report/text_unblamed.h"
#include "report/words.h"

static void add_count(struct sl_text_line *line, const char *before, uint64_t count)
{
	sl_out_text(&line->out, before);
	sl_out_unsigned(&line->out, count);
}

static void add_causes(struct sl_text_line *line, const struct sl_snapshot_site *site)
{
	const char *separator = "cause    ";
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++) {
		if (!site->causes[cause])
			continue;
		sl_out_text(&line->out, separator);
		sl_out_text(&line->out, sl_words_cause((enum sl_cause)cause));
		add_count(line, " ", site->causes[cause]);
		separator = ", ";
	}
	if (*separator == 'c')
		sl_out_text(&line->out, "cause    none");
}

static void add_threads(struct sl_text_line *line, const struct sl_snapshot_site *site)
{
	sl_out_text(&line->out, "threads  ");
	for (uint32_t i = 0; i < site->thread_names; i++) {
		sl_out_text(&line->out, i ? ", " : "");
		sl_text_name(&line->out, site->threads[i]);
	}
	if (site->thread_count > site->thread_names) {
		add_count(line, " and ", site->thread_count - site->thread_names);
		sl_out_text(&line->out, " more");
	}
}

static void add_counts(struct sl_text_line *line, const struct sl_snapshot_site *site)
{
	add_count(line, "", site->stuck);
	add_count(line, " stuck, ", site->close_wait);
	add_count(line, " CLOSE_WAIT of ", site->open);
	add_count(line, " open; opened ", site->opened);
	add_count(line, ", closed ", site->closed);
}

/* The last line says whether the stack was cut. */
static void put_stack_line(const struct sl_snapshot_site *site, uint32_t index, unsigned row)
{
	struct sl_text_line line;
	enum sl_top_look look = SL_TOP_PLAIN;
	const uint32_t frame = index - (SL_TOP_STACK_LINES - 1);
	const unsigned columns = sl_top_screen_columns();
	sl_text_line_start(&line, false);
	if (index == 0) {
		char text[SL_TEXT_UNBLAMED_BYTES];
		sl_out_text(&line.out, "blame    ");
		sl_text_line_name(&line, sl_text_blame(text, site, columns - 9, "not known"),
		                  columns - 9);
		look = SL_TOP_BOLD;
	} else if (index == 1) {
		add_counts(&line, site);
	} else if (index == 2) {
		add_causes(&line, site);
	} else if (index == 3) {
		add_threads(&line, site);
	} else if (index == SL_TOP_STACK_LINES - 2) {
		sl_out_text(&line.out, site->frame_count ? "stack, the innermost call first:"
		                                         : sl_measure_no_stack);
	} else if (frame < site->frame_count) {
		const bool is_blamed = frame == site->blame_frame;
		sl_out_text(&line.out, is_blamed ? "  > " : "    ");
		sl_text_line_name(&line, sl_measure_frame(site->frames[frame]), columns - 4);
		look = is_blamed                                      ? SL_TOP_BOLD
		       : site->frames[frame]->role == SL_ROLE_RUNTIME ? SL_TOP_DIM
		                                                      : SL_TOP_PLAIN;
	} else if (site->frames_cut) {
		sl_out_text(&line.out, "    ... the stack was deeper than depth=");
	}
	sl_top_screen_put_line(row, 0, columns, look, &line);
}

void sl_top_stack_put(const struct sl_snapshot_site *site, uint32_t from, unsigned row,
                      unsigned rows)
{
	for (unsigned i = 0; i < rows && from + i < site->frame_count + SL_TOP_STACK_LINES; i++)
		put_stack_line(site, from + i, row + i);
}
