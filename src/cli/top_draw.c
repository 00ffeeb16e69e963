/* top_draw.c - see top_draw.h. */
#include "cli/top_draw.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/top_screen.h"
#include "cli/top_stack.h"
#include "report/text_head.h"
#include "report/text_line.h"
#include "report/words.h"

#define SL_LEAST_ROWS 10
#define SL_LEAST_COLUMNS 60
#define SL_BODY_ROW 4       /* below the head of a process: tabs or a title, then the rest */
#define SL_LIST_ROW 2       /* the same below that of the list */
#define SL_ROWS_BELOW 2     /* the remark and the keys */
#define SL_FLEXIBLE_SHARE 3 /* of the first column of several that have no width */

static void put_line(unsigned row, enum sl_top_look look, struct sl_text_line *line)
{
	sl_top_screen_put_line(row, 0, sl_top_screen_columns(), look, line);
}

static void put_text(unsigned row, enum sl_top_look look, const char *text)
{
	sl_top_screen_put(row, 0, sl_top_screen_columns(), look, text);
}

static void add_count(struct sl_text_line *line, const char *before, uint64_t count)
{
	sl_out_text(&line->out, before);
	sl_out_unsigned(&line->out, count);
}

static void put_clock(char text[64], const struct sl_top_watch *watch)
{
	const time_t at = (time_t)(watch->snapshot.taken_wall_ms / 1000);
	struct tm tm;
	char clock[16] = "";
	if (localtime_r(&at, &tm))
		(void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (watch->taken.is_from_library)
		(void)snprintf(text, 64, "  action=%s  %s",
		               sl_words_action(watch->snapshot.reclaim.asked), clock);
	else
		(void)snprintf(text, 64, "  mode external  %s", clock);
}

static void put_name(const struct sl_top_watch *watch)
{
	const struct sl_snapshot *s = &watch->snapshot;
	struct sl_text_line line, tail;
	char clock[64];
	const unsigned columns = sl_top_screen_columns();
	put_clock(clock, watch);
	sl_text_line_start(&line, false);
	sl_text_line_start(&tail, false);
	sl_out_text(&tail.out, "  pid ");
	sl_out_signed(&tail.out, watch->proc.pid);
	sl_out_text(&tail.out, "  up ");
	sl_out_duration(&tail.out, s->process.uptime_ms);
	const unsigned used = sl_text_line_columns(&tail) + (unsigned)strlen(clock);
	sl_text_line_name(&line, s->process.name, columns > used ? columns - used : 0);
	sl_text_line_append(&line, &tail);
	put_line(0, SL_TOP_BOLD, &line);
	if (columns > strlen(clock))
		sl_top_screen_put(0, columns - (unsigned)strlen(clock), (unsigned)strlen(clock),
		                  SL_TOP_PLAIN, clock);
}

/* To the last clause that fits: a half one misleads. */
static void cut_clauses(struct sl_text_line *line, unsigned columns)
{
	while (sl_text_line_columns(line) > columns && line->out.length) {
		size_t n = line->out.length - 1;
		while (n && !strchr(";,", line->bytes[n]))
			n--;
		if (!n)
			return;
		line->out.length = n;
	}
}

static void put_verdict(const struct sl_snapshot *s)
{
	struct sl_text_line line;
	sl_text_line_start(&line, false);
	sl_text_head_verdict(&line.out, s, false);
	if (line.out.length && line.bytes[line.out.length - 1] == '\n')
		line.out.length--;
	cut_clauses(&line, sl_top_screen_columns());
	put_line(1,
	         s->verdict == SL_VERDICT_OK     ? SL_TOP_GOOD
	         : s->verdict == SL_VERDICT_LEAK ? SL_TOP_BAD
	                                         : SL_TOP_DOUBT,
	         &line);
}

static void put_totals(const struct sl_snapshot *s)
{
	struct sl_text_line line;
	const int64_t ports = sl_top_model_ports_left(s);
	sl_text_line_start(&line, false);
	add_count(&line, "open ", s->totals.open);
	add_count(&line, "  CLOSE_WAIT ", s->totals.close_wait);
	if (s->totals.growth_per_min != SL_UNKNOWN && s->totals.growth_per_min) {
		sl_out_text(&line.out, s->totals.growth_per_min > 0 ? " +" : " ");
		sl_out_signed(&line.out, s->totals.growth_per_min);
		sl_out_text(&line.out, "/min");
	}
	add_count(&line, "  stuck ", s->totals.stuck);
	sl_out_text(&line.out, "  ports left ");
	if (ports == SL_UNKNOWN)
		sl_out_text(&line.out, "-");
	else
		sl_out_signed(&line.out, ports);
	if (s->limits.nofile_used >= 0 && s->limits.nofile_soft > 0) {
		sl_out_text(&line.out, "  fds ");
		sl_text_percent(&line.out, (uint64_t)s->limits.nofile_used,
		                (uint64_t)s->limits.nofile_soft);
	}
	put_line(2, SL_TOP_PLAIN, &line);
}

/* As many of the newest samples as there is room for. */
static void put_history(const struct sl_top_model *top)
{
	struct sl_text_line line, most;
	sl_text_line_start(&line, false);
	sl_text_line_start(&most, false);
	add_count(&most, " most ", sl_top_model_history_most(top));
	sl_out_text(&line.out, "CLOSE_WAIT ");
	const unsigned used = 11 + sl_text_line_columns(&most);
	const unsigned columns = sl_top_screen_columns();
	const unsigned room = columns > used ? columns - used : 0;
	const unsigned first = top->history_count > room ? top->history_count - room : 0;
	for (unsigned i = first; i < top->history_count; i++)
		sl_out_text(&line.out, sl_top_screen_bar(sl_top_model_level(top, i)));
	sl_text_line_append(&line, &most);
	put_line(3, SL_TOP_PLAIN, &line);
}

/* ---- tables ---- */

static void format_cell(const struct sl_top_column *column, const struct sl_top_cell *cell,
                        struct sl_text_line *line, unsigned width)
{
	if (column->kind == SL_TOP_TEXT) {
		if (cell->text)
			sl_text_line_name(line, cell->text, width);
		else
			sl_out_char(&line->out, '-');
	} else if (cell->number == SL_UNKNOWN) {
		sl_out_char(&line->out, '-');
	} else if (column->kind == SL_TOP_DURATION && cell->number >= 0) {
		sl_out_duration(&line->out, (uint64_t)cell->number);
	} else {
		if (column->kind == SL_TOP_RATE && cell->number > 0)
			sl_out_char(&line->out, '+');
		sl_out_signed(&line->out, cell->number);
	}
}

/* Where each column begins, and how wide it is; columns that find no room have no width. */
static void lay_out(const struct sl_top_column *columns, unsigned count, unsigned *begins,
                    unsigned *widths)
{
	unsigned fixed = 1 + count, flexible = 0, at = 1; /* of the mark, and blanks between */
	for (unsigned i = 0; i < count; i++) {
		fixed += columns[i].width;
		flexible += columns[i].width == 0;
	}
	unsigned left = sl_top_screen_columns() > fixed ? sl_top_screen_columns() - fixed : 0;
	for (unsigned i = 0; i < count; i++) {
		begins[i] = at;
		widths[i] = columns[i].width;
		if (!widths[i] && flexible--)
			widths[i] = flexible ? left / SL_FLEXIBLE_SHARE : left;
		if (!columns[i].width)
			left -= widths[i];
		at += widths[i] + 1;
	}
}

static void put_cell(unsigned row, unsigned begin, unsigned width, enum sl_top_look look,
                     bool is_right, struct sl_text_line *line)
{
	const unsigned used = sl_text_line_columns(line);
	const unsigned blank = is_right && used < width ? width - used : 0;
	sl_top_screen_put_line(row, begin + blank, width - blank, look, line);
}

static void put_row(const struct sl_top_model *top, enum sl_top_view view, uint32_t index,
                    unsigned row, enum sl_top_look look)
{
	unsigned count, begins[16], widths[16];
	const struct sl_top_column *columns = sl_top_model_columns(view, &count);
	lay_out(columns, count, begins, widths);
	put_text(row, look, look == SL_TOP_REVERSE ? ">" : "");
	for (unsigned i = 0; i < count; i++) {
		struct sl_top_cell cell;
		struct sl_text_line line;
		sl_text_line_start(&line, false);
		sl_top_model_cell(top, view, index, i, &cell);
		format_cell(&columns[i], &cell, &line, widths[i]);
		put_cell(row, begins[i], widths[i], look, columns[i].kind != SL_TOP_TEXT, &line);
	}
}

static void put_titles(enum sl_top_view view, unsigned row)
{
	unsigned count, begins[16], widths[16];
	const struct sl_top_column *columns = sl_top_model_columns(view, &count);
	lay_out(columns, count, begins, widths);
	put_text(row, SL_TOP_BOLD, "");
	for (unsigned i = 0; i < count; i++) {
		struct sl_text_line line;
		sl_text_line_start(&line, false);
		sl_out_text(&line.out, columns[i].title);
		put_cell(row, begins[i], widths[i], SL_TOP_BOLD, columns[i].kind != SL_TOP_TEXT,
		         &line);
	}
}

/* Below what is above, and above the remark and the keys. */
static unsigned rows_from(unsigned first)
{
	const unsigned rows = sl_top_screen_rows();
	return rows > first + SL_ROWS_BELOW ? rows - first - SL_ROWS_BELOW : 0;
}

static unsigned first_row(const struct sl_top_model *top)
{
	if (top->view == SL_TOP_PROCESSES)
		return SL_LIST_ROW + 1;
	return top->view == SL_TOP_STACK ? SL_BODY_ROW + 1 : SL_BODY_ROW + 2;
}

unsigned sl_top_draw_page_rows(const struct sl_top_model *top)
{
	return rows_from(first_row(top));
}

static void put_table(struct sl_top_model *top, const char *nothing)
{
	const struct sl_top_table *table = sl_top_model_table(top);
	const unsigned first = first_row(top), rows = rows_from(first);
	put_titles(top->view, first - 1);
	if (!table->count)
		put_text(first, SL_TOP_DIM, nothing);
	for (unsigned i = 0; i < rows && table->first + i < table->count; i++)
		put_row(top, top->view, table->order[table->first + i], first + i,
		        table->first + i == table->selected ? SL_TOP_REVERSE : SL_TOP_PLAIN);
}

static void put_tabs(const struct sl_top_model *top)
{
	unsigned count;
	char text[160];
	const char *sorted =
		sl_top_model_columns(top->view, &count)[top->tables[top->view].sort].title;
	(void)snprintf(text, sizeof(text),
	               top->view == SL_TOP_PEERS ? "[Peers %u]  Sites %u   sorted by %s"
	                                         : " Peers %u  [Sites %u]  sorted by %s",
	               top->snapshot->peer_count, top->snapshot->site_count, sorted);
	put_text(SL_BODY_ROW, SL_TOP_BOLD, text);
}

/* ---- all of it ---- */

static void put_stack(const struct sl_top_model *top)
{
	const struct sl_snapshot_site *site = sl_top_model_site(top);
	const unsigned first = first_row(top), rows = rows_from(first);
	char title[64];
	(void)snprintf(title, sizeof(title), "Site %u: %s", top->site,
	               site ? sl_words_site_verdict(site->verdict) : "gone");
	put_text(first - 1, SL_TOP_BOLD, title);
	if (site)
		sl_top_stack_put(site, top->stack_first, first, rows);
}

static void put_process(struct sl_top_watch *watch)
{
	const struct sl_snapshot *s = &watch->snapshot;
	put_name(watch);
	put_verdict(s);
	put_totals(s);
	put_history(watch->top);
}

static void put_list_head(const struct sl_top_watch *watch)
{
	struct sl_text_line line;
	unsigned count;
	uint64_t open = 0, close_wait = 0, stuck = 0;
	for (uint32_t i = 0; i < watch->process_count; i++) {
		open += watch->processes[i].open;
		close_wait += watch->processes[i].close_wait;
		stuck += watch->processes[i].stuck;
	}
	sl_text_line_start(&line, false);
	add_count(&line, "Processes with the library: ", watch->process_count);
	sl_out_text(&line.out, "  sorted by ");
	sl_out_text(&line.out,
	            sl_top_model_columns(SL_TOP_PROCESSES,
	                                 &count)[watch->top->tables[SL_TOP_PROCESSES].sort]
	                    .title);
	put_line(0, SL_TOP_BOLD, &line);
	sl_text_line_start(&line, false);
	add_count(&line, "open ", open);
	add_count(&line, "  CLOSE_WAIT ", close_wait);
	add_count(&line, "  stuck ", stuck);
	put_line(1, SL_TOP_PLAIN, &line);
}

static void put_page(const struct sl_top_model *top, const char *const *page)
{
	const unsigned first = top->view == SL_TOP_PROCESSES ? SL_LIST_ROW : SL_BODY_ROW;
	for (unsigned i = 0; i < rows_from(first) && page[i]; i++)
		put_text(first + i, SL_TOP_PLAIN, page[i]);
}

static void put_remark(const struct sl_top_watch *watch, const struct sl_top_around *around)
{
	const unsigned row = sl_top_screen_rows() - SL_ROWS_BELOW;
	char ended[96];
	(void)snprintf(ended, sizeof(ended), "process %d has ended: this is the last picture of it",
	               watch->proc.pid);
	if (around->question)
		put_text(row, SL_TOP_BOLD, around->question);
	else if (watch->said[0])
		put_text(row, SL_TOP_BOLD, watch->said);
	else if (watch->proc.pid && watch->has_ended)
		put_text(row, SL_TOP_BAD, ended);
	else if (around->is_paused)
		put_text(row, SL_TOP_DOUBT, "paused: p goes on");
	else if (watch->proc.pid)
		put_text(row, SL_TOP_DIM, watch->taken.note);
}

static const char *keys(const struct sl_top_watch *watch, const struct sl_top_around *around)
{
	if (around->page || around->question)
		return "";
	if (!watch->proc.pid)
		return "Enter open  s sort  r refresh  p pause  ? help  q quit";
	if (watch->top->view == SL_TOP_STACK)
		return "q back  a action  w save  r refresh  p pause  ? help";
	if (around->has_list)
		return "Tab table  Enter stack  s sort  a action  w save  p pause  ? help  q back";
	return "Tab table  Enter stack  s sort  a action  w save  p pause  ? help  q quit";
}

void sl_top_draw(struct sl_top_watch *watch, const struct sl_top_around *around)
{
	struct sl_top_model *top = watch->top;
	sl_top_screen_clear();
	if (sl_top_screen_rows() < SL_LEAST_ROWS || sl_top_screen_columns() < SL_LEAST_COLUMNS) {
		put_text(0, SL_TOP_PLAIN, "too small: 60x10");
		sl_top_screen_show();
		return;
	}
	sl_top_model_fit(top, rows_from(first_row(top)));
	if (watch->proc.pid)
		put_process(watch);
	else
		put_list_head(watch);
	if (around->page) {
		put_page(top, around->page);
	} else if (top->view == SL_TOP_STACK) {
		put_stack(top);
	} else if (top->view == SL_TOP_PROCESSES) {
		put_table(
			top,
			" none yet: 'sockleak attach PID', or 'sockleak run -- CMD' for a new one");
	} else {
		put_tabs(top);
		put_table(top, top->view == SL_TOP_SITES && watch->snapshot.no_sites
		                       ? watch->snapshot.no_sites
		                       : " none");
	}
	put_remark(watch, around);
	put_text(sl_top_screen_rows() - 1, SL_TOP_DIM, keys(watch, around));
	sl_top_screen_show();
}
