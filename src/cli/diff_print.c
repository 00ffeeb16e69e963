/* diff_print.c - see diff_print.h. */
#include "cli/diff_print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/heap.h"
#include "cli/measure.h"
#include "cli/print.h"
#include "report/json_write.h"
#include "report/text_lead.h"
#include "report/text_line.h"
#include "report/words.h"

#define CELL_BYTES 48

/* What is compared over the whole process. */
struct total {
	const char *label; /* of the text */
	const char *name;  /* of the JSON */
	size_t offset;     /* in the snapshot */
};

static const struct total totals[] = {
	{"stuck", "stuck", offsetof(struct sl_snapshot, totals.stuck)},
	{"CLOSE_WAIT", "close_wait", offsetof(struct sl_snapshot, totals.close_wait)},
	{"dead-but-open", "dead", offsetof(struct sl_snapshot, totals.dead)},
	{"open", "open", offsetof(struct sl_snapshot, totals.open)},
	{"opened", "opened", offsetof(struct sl_snapshot, totals.opened)},
	{"closed", "closed", offsetof(struct sl_snapshot, totals.closed)},
	{"fds", "fds", offsetof(struct sl_snapshot, limits.nofile_used)},
};
#define TOTALS (sizeof(totals) / sizeof(totals[0]))

static int64_t value_of(const struct sl_snapshot *s, const struct total *total)
{
	return *(const int64_t *)((const char *)s + total->offset);
}

static int64_t growth_of(int64_t before, int64_t after)
{
	return before == SL_UNKNOWN || after == SL_UNKNOWN ? SL_UNKNOWN : after - before;
}

/* The name of a row as people know it, not escaped yet; valid until the next call. */
static const char *name_of(const struct sl_diff_row *row)
{
	static char peer[SL_TEXT_PEER_BYTES];
	if (row->peer) {
		sl_text_lead_peer(peer, row->peer);
		return peer;
	}
	return row->site->blame         ? row->site->blame
	       : row->site->frame_count ? sl_measure_frame(row->site->frames[0])
	                                : sl_measure_no_stack;
}

static bool is_changed(const struct sl_diff_row *row)
{
	return strcmp(sl_diff_word(row), "same") != 0;
}

/* ---- text ---- */

static void put_number(char cell[CELL_BYTES], int64_t value, bool is_growth)
{
	if (value == SL_UNKNOWN)
		(void)snprintf(cell, CELL_BYTES, "?");
	else if (is_growth && value == 0)
		(void)snprintf(cell, CELL_BYTES, "=");
	else
		(void)snprintf(cell, CELL_BYTES, is_growth ? "%+" PRId64 : "%" PRId64, value);
}

static void put_which(FILE *to, const char *label, const struct sl_snapshot *s)
{
	struct sl_print print;
	sl_print_start(&print, to);
	sl_out_text(&print.out, label);
	sl_out_rfc3339(&print.out, s->taken_wall_ms);
	sl_out_text(&print.out, "  ");
	sl_text_name(&print.out, s->process.name);
	sl_out_text(&print.out, "  pid ");
	sl_out_signed(&print.out, s->process.pid);
	sl_out_text(&print.out, " on ");
	sl_text_name(&print.out, s->process.hostname);
	sl_out_text(&print.out, "  up ");
	sl_out_duration(&print.out, s->process.uptime_ms);
	sl_out_text(&print.out, "  ");
	sl_out_text(&print.out, sl_words_verdict(s->verdict));
	sl_out_char(&print.out, '\n');
	sl_out_flush(&print.out);
}

static void put_head(FILE *to, const struct sl_diff *diff)
{
	struct sl_print print;
	put_which(to, "before  ", diff->before);
	put_which(to, "after   ", diff->after);
	sl_print_start(&print, to);
	if (diff->elapsed_ms < 0)
		sl_out_text(&print.out, "WRONG WAY ROUND? The second was taken ");
	sl_out_duration(&print.out, (uint64_t)llabs(diff->elapsed_ms));
	sl_out_text(&print.out, diff->elapsed_ms < 0 ? " before the first.\n" : " later.");
	if (!diff->is_same_process)
		sl_out_text(&print.out, diff->elapsed_ms < 0 ? "Different processes.\n"
		                                             : " Different processes.\n");
	else if (diff->elapsed_ms >= 0)
		sl_out_text(&print.out, " The same process.\n");
	sl_out_flush(&print.out);
}

static void put_totals(FILE *to, const struct sl_diff *diff)
{
	enum { WIDE = 5 };
	static char text[(TOTALS + 1) * WIDE][CELL_BYTES];
	const char *cells[(TOTALS + 1) * WIDE] = {"TOTALS", "before", "after", "growth",
	                                          "a minute"};
	for (size_t i = 0; i < TOTALS; i++) {
		char(*row)[CELL_BYTES] = &text[(i + 1) * WIDE];
		const int64_t before = value_of(diff->before, &totals[i]);
		const int64_t after = value_of(diff->after, &totals[i]);
		const int64_t growth = growth_of(before, after);
		(void)snprintf(row[0], CELL_BYTES, "  %s", totals[i].label);
		put_number(row[1], before, false);
		put_number(row[2], after, false);
		put_number(row[3], growth, true);
		row[4][0] = '\0';
		if (growth != SL_UNKNOWN && growth && diff->elapsed_ms > 0)
			(void)snprintf(row[4], CELL_BYTES, "%+.1f",
			               (double)growth * 60000.0 / (double)diff->elapsed_ms);
		for (int column = 0; column < WIDE; column++)
			cells[(i + 1) * WIDE + (size_t)column] = row[column];
	}
	(void)putc('\n', to);
	sl_print_table(to, cells, TOTALS + 1, WIDE, 0x1e);
}

#define NUMBERS 6
#define COLUMNS (NUMBERS + 2)

/* One row of the table: its cells hold what is shown. */
struct shown {
	char numbers[NUMBERS][CELL_BYTES];
	char *name;
};

static void fill(struct shown *shown, const char **cells, const struct sl_diff_row *row)
{
	const int64_t pairs[][2] = {
		{row->before.stuck, row->after.stuck},
		{row->before.close_wait, row->after.close_wait},
		{row->before.open, row->after.open},
	};
	for (size_t i = 0; i < NUMBERS / 2; i++) {
		put_number(shown->numbers[2 * i], pairs[i][1] - pairs[i][0], true);
		put_number(shown->numbers[2 * i + 1], pairs[i][1], false);
	}
	for (size_t i = 0; i < NUMBERS; i++)
		cells[i] = shown->numbers[i];
	shown->name = sl_heap_shown(name_of(row));
	cells[NUMBERS] = sl_diff_word(row);
	cells[NUMBERS + 1] = shown->name;
}

/* The first `most` rows that changed: their growth, what there is now, what became of them, their name. */
static void put_table(FILE *to, const struct sl_diff_rows *rows, uint32_t most)
{
	static const char *const heads[COLUMNS] = {"  stuck", "(now)", "CLOSE_WAIT", "(now)",
	                                           "open",    "(now)", "",           "which"};
	const char **cells = sl_heap_grow(NULL, (size_t)(most + 1) * COLUMNS * sizeof(*cells));
	struct shown *shown = sl_heap_grow(NULL, most * sizeof(*shown));
	uint32_t n = 0;
	memcpy(cells, heads, sizeof(heads));
	for (uint32_t i = 0; n < most; i++) {
		if (!is_changed(&rows->rows[i]))
			continue;
		fill(&shown[n], &cells[(size_t)(n + 1) * COLUMNS], &rows->rows[i]);
		n++;
	}
	sl_print_table(to, cells, most + 1, COLUMNS, (1u << NUMBERS) - 1);
	for (uint32_t i = 0; i < most; i++)
		free(shown[i].name);
	free(shown);
	free(cells);
}

static void put_rows(FILE *to, const char *title, const struct sl_diff_rows *rows)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < rows->count; i++)
		n += is_changed(&rows->rows[i]);
	fprintf(to, "\n%s", title);
	if (!n) {
		fprintf(to, ": none of %" PRIu32 " changed\n", rows->count);
		return;
	}
	(void)fputs(", the most growth first\n", to);
	put_table(to, rows, n < SL_DIFF_ROWS ? n : SL_DIFF_ROWS);
	if (n > SL_DIFF_ROWS)
		fprintf(to, "  and %" PRIu32 " more that changed: --json has all\n",
		        n - SL_DIFF_ROWS);
	if (rows->count > n)
		fprintf(to, "  %" PRIu32 " did not change\n", rows->count - n);
}

void sl_diff_print_text(FILE *to, const struct sl_diff *diff)
{
	put_head(to, diff);
	put_totals(to, diff);
	const char *no_sites =
		diff->after->no_sites ? diff->after->no_sites : diff->before->no_sites;
	if (no_sites) {
		(void)fputs("\nSITES: not known: ", to);
		sl_print_name(to, no_sites);
		(void)putc('\n', to);
	} else {
		put_rows(to, "SITES", &diff->sites);
	}
	put_rows(to, "PEERS", &diff->peers);
}

/* ---- JSON ---- */

static void put_which_json(struct sl_json *json, const char *name, const struct sl_snapshot *s)
{
	sl_json_break(json);
	sl_json_open(json, name, '{');
	sl_json_time(json, "taken_at", s->taken_wall_ms);
	sl_json_text(json, "verdict", sl_words_verdict(s->verdict));
	sl_json_known(json, "pid", s->process.pid);
	sl_json_text(json, "name", s->process.name);
	sl_json_text(json, "hostname", s->process.hostname);
	sl_json_time(json, "started_at", s->process.started_wall_ms);
	sl_json_unsigned(json, "uptime_ms", s->process.uptime_ms);
	sl_json_close(json, '}');
}

static void put_change(struct sl_json *json, const char *name, int64_t before, int64_t after)
{
	sl_json_open(json, name, '{');
	sl_json_known(json, "before", before);
	sl_json_known(json, "after", after);
	sl_json_known(json, "growth", growth_of(before, after));
	sl_json_close(json, '}');
}

static void put_row_json(struct sl_json *json, const struct sl_diff_row *row)
{
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_text(json, "change", sl_diff_word(row));
	if (row->peer) {
		sl_json_text(json, "direction", sl_words_direction(row->peer->direction));
		sl_json_text(json, "address", row->peer->address);
		sl_json_known(json, "port", row->peer->port);
	} else {
		sl_json_text(json, "kind", sl_words_stack_kind(row->site->kind));
		sl_json_text(json, "direction", sl_words_direction(row->site->direction));
		sl_json_text(json, "blame", row->site->blame);
		sl_json_text(json, "innermost",
		             row->site->frame_count ? sl_measure_frame(row->site->frames[0])
		                                    : NULL);
	}
	put_change(json, "stuck", row->before.stuck, row->after.stuck);
	put_change(json, "close_wait", row->before.close_wait, row->after.close_wait);
	put_change(json, "open", row->before.open, row->after.open);
	sl_json_close(json, '}');
}

static void put_rows_json(struct sl_json *json, const char *name, const struct sl_diff_rows *rows)
{
	sl_json_break(json);
	sl_json_open(json, name, '[');
	for (uint32_t i = 0; i < rows->count; i++)
		put_row_json(json, &rows->rows[i]);
	sl_json_close(json, ']');
}

void sl_diff_print_json(FILE *to, const struct sl_diff *diff)
{
	struct sl_print print;
	struct sl_json json = {.out = &print.out};
	sl_print_start(&print, to);
	sl_json_open(&json, NULL, '{');
	sl_json_text(&json, "schema", "sockleak-diff/1");
	sl_json_bool(&json, "same_process", diff->is_same_process);
	sl_json_known(&json, "elapsed_ms", diff->elapsed_ms);
	put_which_json(&json, "before", diff->before);
	put_which_json(&json, "after", diff->after);
	sl_json_break(&json);
	sl_json_open(&json, "totals", '{');
	for (size_t i = 0; i < TOTALS; i++)
		put_change(&json, totals[i].name, value_of(diff->before, &totals[i]),
		           value_of(diff->after, &totals[i]));
	sl_json_close(&json, '}');
	if (diff->before->no_sites || diff->after->no_sites)
		sl_json_null(&json, "sites");
	else
		put_rows_json(&json, "sites", &diff->sites);
	put_rows_json(&json, "peers", &diff->peers);
	sl_json_close(&json, '}');
	sl_out_char(&print.out, '\n');
	sl_out_flush(&print.out);
}
