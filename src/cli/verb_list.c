/* verb_list.c - `sockleak list`: the processes that have the library, and, asked for, those without it that leak. */
#include <argp.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/again.h"
#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/format_openmetrics.h"
#include "cli/heap.h"
#include "cli/print.h"
#include "cli/proc.h"
#include "cli/say.h"
#include "cli/symbols.h"
#include "cli/take.h"
#include "cli/unit.h"
#include "cli/verbs.h"
#include "report/json_write.h"
#include "report/text_unblamed.h"
#include "report/words.h"

#define SL_LIST_PATIENCE_MS 2000
#define SL_LIST_COLUMNS 8
#define SL_CELL_BYTES 160

struct row {
	int pid;
	uid_t uid;
	char name[SL_PROC_NAME_BYTES];
	char blame[SL_CELL_BYTES]; /* what is said of the worst site; "": nothing */
	bool is_blamed;            /* a line of code is */
	uint64_t uptime_ms, open, close_wait, stuck;
	enum sl_verdict verdict;
	bool has_library;
	bool is_from_library;
};

/* A snapshot that is shown as a whole. */
struct kept {
	struct sl_arena arena;
	struct sl_snapshot snapshot;
	int pid;
	bool has_unit;
	char unit[SL_UNIT_BYTES];
};

struct list {
	bool is_all, is_json, is_openmetrics;
	struct kept **kept;   /* openmetrics: as many as rows */
	const char *expected; /* a glob; NULL: nothing is */
	struct row *rows;
	unsigned count, room;
	unsigned matching, missing; /* of the expected: all, and those without the library */
	unsigned hidden;            /* not ours to see */
	unsigned kept_count;
};

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct list *list = state->input;
	switch (key) {
	case 'a':
		list->is_all = true;
		return 0;
	case 'j':
		list->is_json = true;
		return 0;
	case 'f':
		list->is_json = strcmp(argument, "json") == 0;
		list->is_openmetrics = strcmp(argument, "openmetrics") == 0;
		if (!list->is_json && !list->is_openmetrics && strcmp(argument, "table") != 0)
			sl_args_fail(state, "no format '%s': table|json|openmetrics", argument);
		return 0;
	case 'e':
		list->expected = argument;
		return 0;
	case ARGP_KEY_ARG:
		sl_args_fail(state, "no argument is taken; for one process: sockleak report %s",
		             argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void add(struct list *list, const struct row *row)
{
	if (list->count == list->room) {
		unsigned room = list->room ? list->room * 2 : 64;
		struct row *more = realloc(list->rows, room * sizeof(*more));
		if (!more)
			return;
		list->rows = more;
		list->room = room;
	}
	list->rows[list->count++] = *row;
}

static void summarize(const struct sl_snapshot *snapshot, const struct sl_proc *proc,
                      struct row *row)
{
	*row = (struct row){
		.pid = proc->pid,
		.uid = proc->uid,
		.uptime_ms = proc->uptime_ms,
		.open = snapshot->totals.open,
		.close_wait = snapshot->totals.close_wait,
		.stuck = snapshot->totals.stuck,
		.verdict = snapshot->verdict,
	};
	const char *name = snapshot->process.name;
	(void)snprintf(row->name, sizeof(row->name), "%s", name && *name ? name : proc->name);
	const struct sl_snapshot_site *worst = snapshot->site_count ? &snapshot->sites[0] : NULL;
	if (!worst || !(worst->stuck || worst->close_wait))
		return;
	char text[SL_TEXT_UNBLAMED_BYTES];
	(void)snprintf(row->blame, sizeof(row->blame), "%s",
	               sl_text_blame(text, worst, UINT32_MAX, ""));
	row->is_blamed = worst->blame != NULL;
}

/* Is it one that was expected to have the library? Says so where it has not. */
static void check_expected(struct list *list, const struct sl_proc *proc, int has_library)
{
	if (!list->expected || fnmatch(list->expected, proc->name, 0) != 0)
		return;
	list->matching++;
	if (has_library == 1)
		return;
	list->missing++;
	sl_say_note("process %d (%s) %s", proc->pid, proc->name,
	            has_library == 0 ? "does not have the library" : "is not ours to see");
}

static void keep(struct list *list, struct kept *kept)
{
	list->kept = sl_heap_grow(list->kept, (list->kept_count + 1) * sizeof(*list->kept));
	list->kept[list->kept_count++] = kept;
	kept->has_unit = sl_unit_of(kept->pid, kept->unit);
}

static void drop(struct kept *kept)
{
	sl_arena_free(&kept->arena);
	free(kept);
}

static bool look(void *context, int pid)
{
	struct list *list = context;
	struct sl_taken taken;
	struct sl_proc proc;
	struct row row;
	if (pid == getpid() || sl_proc_read(pid, &proc) || (geteuid() != 0 && proc.uid != getuid()))
		return true;
	int has_library = sl_proc_has_object(pid, "libsockleak.so", NULL);
	if (has_library == -ESRCH)
		return true;
	check_expected(list, &proc, has_library);
	list->hidden += has_library < 0;
	if (has_library < 0 || (!has_library && !list->is_all))
		return true;
	struct kept *kept = sl_heap_grow(NULL, sizeof(*kept));
	*kept = (struct kept){.arena = SL_ARENA(1 << 18, 0), .pid = pid};
	struct sl_snapshot *snapshot = &kept->snapshot;
	bool is_shown = false;
	if (sl_take(&kept->arena, &proc, SL_LIST_PATIENCE_MS, snapshot, &taken) == 0) {
		/* Of a row only the worst is shown. */
		if (!list->is_openmetrics)
			snapshot->site_count = snapshot->site_count ? 1 : 0;
		(void)sl_symbols_apply(&kept->arena, snapshot, pid);
		summarize(snapshot, &proc, &row);
		row.has_library = taken.has_library;
		row.is_from_library = taken.is_from_library;
		is_shown = row.has_library || row.close_wait;
		if (is_shown)
			add(list, &row);
	}
	if (is_shown && list->is_openmetrics)
		keep(list, kept);
	else
		drop(kept);
	return true;
}

static int worst_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	if (x->stuck != y->stuck)
		return x->stuck > y->stuck ? -1 : 1;
	if (x->close_wait != y->close_wait)
		return x->close_wait > y->close_wait ? -1 : 1;
	if (x->open != y->open)
		return x->open > y->open ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void print_json(const struct list *list)
{
	struct sl_print print;
	struct sl_json json = {.out = &print.out};
	sl_print_start(&print, stdout);
	sl_json_open(&json, NULL, '[');
	for (unsigned i = 0; i < list->count; i++) {
		const struct row *row = &list->rows[i];
		sl_json_break(&json);
		sl_json_open(&json, NULL, '{');
		sl_json_unsigned(&json, "pid", (uint64_t)row->pid);
		sl_json_text(&json, "name", row->name);
		sl_json_unsigned(&json, "uid", row->uid);
		sl_json_unsigned(&json, "uptime_ms", row->uptime_ms);
		sl_json_unsigned(&json, "open", row->open);
		sl_json_unsigned(&json, "close_wait", row->close_wait);
		sl_json_unsigned(&json, "stuck", row->stuck);
		sl_json_text(&json, "verdict", sl_words_verdict(row->verdict));
		sl_json_text(&json, "blame", row->is_blamed ? row->blame : NULL);
		sl_json_bool(&json, "instrumented", row->has_library);
		sl_json_text(&json, "seen", row->is_from_library ? "library" : "outside");
		sl_json_close(&json, '}');
	}
	sl_json_close(&json, ']');
	sl_out_char(&print.out, '\n');
	(void)sl_print_end(&print);
}

static void print_openmetrics(const struct list *list)
{
	struct sl_openmetrics_source *sources =
		sl_heap_grow(NULL, list->kept_count * sizeof(*sources));
	for (unsigned i = 0; i < list->kept_count; i++)
		sources[i] = (struct sl_openmetrics_source){
			.snapshot = &list->kept[i]->snapshot,
			.pid = list->kept[i]->pid,
			.unit = list->kept[i]->has_unit ? list->kept[i]->unit : NULL,
		};
	sl_format_openmetrics(stdout, sources, list->kept_count, SL_OPENMETRICS_TOP);
	free(sources);
}

static void put_row(const struct row *row, char cells[SL_LIST_COLUMNS][SL_CELL_BYTES])
{
	struct sl_out out;
	(void)snprintf(cells[0], SL_CELL_BYTES, "%d", row->pid);
	(void)snprintf(cells[1], SL_CELL_BYTES, "%s", row->name);
	sl_out_init(&out, cells[2], SL_CELL_BYTES - 1, NULL, NULL);
	sl_out_duration(&out, row->uptime_ms);
	cells[2][out.length] = 0;
	(void)snprintf(cells[3], SL_CELL_BYTES, "%llu", (unsigned long long)row->open);
	(void)snprintf(cells[4], SL_CELL_BYTES, "%llu", (unsigned long long)row->close_wait);
	(void)snprintf(cells[5], SL_CELL_BYTES, "%llu", (unsigned long long)row->stuck);
	(void)snprintf(cells[6], SL_CELL_BYTES, "%s", row->has_library ? "yes" : "no");
	(void)snprintf(cells[7], SL_CELL_BYTES, "%s", row->blame[0] ? row->blame : "-");
}

static void print_table(const struct list *list)
{
	static const char *const heads[SL_LIST_COLUMNS] = {
		"PID", "NAME", "UP", "OPEN", "CLOSE_WAIT", "STUCK", "LIBRARY", "WORST BLAME"};
	char(*text)[SL_LIST_COLUMNS][SL_CELL_BYTES] = calloc(list->count + 1, sizeof(*text));
	const char **cells = calloc((size_t)(list->count + 1) * SL_LIST_COLUMNS, sizeof(*cells));
	for (unsigned i = 0; text && cells && i <= list->count; i++) {
		if (i > 0)
			put_row(&list->rows[i - 1], text[i]);
		for (unsigned column = 0; column < SL_LIST_COLUMNS; column++)
			cells[i * SL_LIST_COLUMNS + column] = i ? text[i][column] : heads[column];
	}
	if (text && cells)
		sl_print_table(stdout, cells, list->count + 1, SL_LIST_COLUMNS, 0x3d);
	free(text);
	free(cells);
}

static int end(const struct list *list)
{
	if (list->hidden)
		sl_say_note("%u process%s not ours to see%s%s", list->hidden,
		            list->hidden == 1 ? " was" : "es were",
		            geteuid() == 0 ? "" : "; this would be: sudo sockleak ",
		            geteuid() == 0 ? "" : sl_again_words());
	if (!list->expected)
		return SL_EXIT_FINE;
	if (!list->matching)
		return sl_say(SL_EXIT_NO_PROCESS, "no process is named %s", list->expected);
	return list->missing ? SL_EXIT_FOUND : SL_EXIT_FINE;
}

int sl_verb_list(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"all", 'a', NULL, 0,
	         "processes without the library as well, where they hold CLOSE_WAIT connections",
	         0},
		{"expect", 'e', "GLOB", 0,
	         "exit with 1 if a process with such a file name does not have the library, with 3 "
	         "if there is none",
	         0},
		{"format", 'f', "FORMAT", 0, "table (the default), json, openmetrics", 0},
		{"json", 'j', NULL, 0, "the same as --format=json: an array", 0},
		{0},
	};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.doc = "List the processes that have the library, worst first: yours, as root "
		       "everybody's.",
	};
	struct list list = {0};
	sl_args_parse(&argp, argc, argv, 0, &list);
	sl_proc_each(look, &list);
	if (list.count)
		qsort(list.rows, list.count, sizeof(*list.rows), worst_first);
	if (list.is_openmetrics)
		print_openmetrics(&list);
	else if (list.is_json)
		print_json(&list);
	else if (list.count)
		print_table(&list);
	else
		sl_say_note("no process has the library%s",
		            list.is_all ? ", and none without it holds a CLOSE_WAIT connection"
		                        : "; see --all");
	free(list.rows);
	for (unsigned i = 0; i < list.kept_count; i++)
		drop(list.kept[i]);
	free(list.kept);
	return end(&list);
}
