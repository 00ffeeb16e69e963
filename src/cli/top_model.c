/* top_model.c - see top_model.h. */
#include "cli/top_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/heap.h"
#include "report/text_unblamed.h"
#include "report/words.h"

static const struct sl_top_column process_columns[] = {
	{"stuck", 8, SL_TOP_COUNT}, {"CLOSE_WAIT", 10, SL_TOP_COUNT}, {"open", 8, SL_TOP_COUNT},
	{"pid", 8, SL_TOP_COUNT},   {"up", 7, SL_TOP_DURATION},       {"program", 0, SL_TOP_TEXT},
	{"worst", 0, SL_TOP_TEXT},
};
static const struct sl_top_column peer_columns[] = {
	{"stuck", 8, SL_TOP_COUNT}, {"CLOSE_WAIT", 10, SL_TOP_COUNT}, {"open", 8, SL_TOP_COUNT},
	{"/min", 7, SL_TOP_RATE},   {"left", 6, SL_TOP_COUNT},        {"dir", 3, SL_TOP_TEXT},
	{"peer", 0, SL_TOP_TEXT},
};
static const struct sl_top_column site_columns[] = {
	{"stuck", 8, SL_TOP_COUNT},     {"CLOSE_WAIT", 10, SL_TOP_COUNT}, {"open", 8, SL_TOP_COUNT},
	{"oldest", 7, SL_TOP_DURATION}, {"verdict", 7, SL_TOP_TEXT},      {"where", 0, SL_TOP_TEXT},
};

#define COUNT_OF(columns) (sizeof(columns) / sizeof(*(columns)))

const struct sl_top_column *sl_top_model_columns(enum sl_top_view view, unsigned *count)
{
	switch (view) {
	case SL_TOP_PROCESSES:
		*count = COUNT_OF(process_columns);
		return process_columns;
	case SL_TOP_PEERS:
		*count = COUNT_OF(peer_columns);
		return peer_columns;
	default:
		*count = COUNT_OF(site_columns);
		return site_columns;
	}
}

static void process_cell(const struct sl_top_process *process, unsigned column,
                         struct sl_top_cell *cell)
{
	const int64_t numbers[] = {(int64_t)process->stuck, (int64_t)process->close_wait,
	                           (int64_t)process->open, process->pid,
	                           (int64_t)process->uptime_ms};
	if (column < COUNT_OF(numbers))
		cell->number = numbers[column];
	else
		cell->text = column == COUNT_OF(numbers) ? process->name
		             : process->blame[0]         ? process->blame
		                                         : NULL;
}

static void peer_cell(const struct sl_snapshot_peer *peer, unsigned column,
                      struct sl_top_cell *cell)
{
	const int64_t numbers[] = {(int64_t)peer->stuck, (int64_t)peer->close_wait,
	                           (int64_t)peer->open, peer->growth_per_min, peer->ports_left};
	if (column < COUNT_OF(numbers)) {
		cell->number = numbers[column];
	} else if (column == COUNT_OF(numbers)) {
		cell->text = sl_words_direction(peer->direction);
	} else {
		sl_text_lead_peer(cell->bytes, peer);
		cell->text = cell->bytes;
	}
}

static void site_cell(const struct sl_snapshot_site *site, unsigned column,
                      struct sl_top_cell *cell)
{
	const int64_t numbers[] = {(int64_t)site->stuck, (int64_t)site->close_wait,
	                           (int64_t)site->open, site->oldest_close_wait_ms};
	if (column < COUNT_OF(numbers))
		cell->number = numbers[column];
	else if (column == COUNT_OF(numbers))
		cell->text = sl_words_site_verdict(site->verdict);
	else
		cell->text = sl_text_blame(cell->bytes, site, UINT32_MAX, NULL);
}

void sl_top_model_cell(const struct sl_top_model *top, enum sl_top_view view, uint32_t row,
                       unsigned column, struct sl_top_cell *cell)
{
	cell->number = SL_UNKNOWN;
	cell->text = NULL;
	if (view == SL_TOP_PROCESSES)
		process_cell(&top->processes[row], column, cell);
	else if (view == SL_TOP_PEERS)
		peer_cell(&top->snapshot->peers[row], column, cell);
	else
		site_cell(&top->snapshot->sites[row], column, cell);
}

struct comparison {
	const struct sl_top_model *top;
	enum sl_top_view view;
	unsigned column;
	bool is_text;
};

/* What is not known comes last; what is equal stays as it was, worst first. */
static int compare(const void *a, const void *b, void *context)
{
	const struct comparison *by = context;
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	struct sl_top_cell left, right;
	int result = 0;
	sl_top_model_cell(by->top, by->view, x, by->column, &left);
	sl_top_model_cell(by->top, by->view, y, by->column, &right);
	if (!by->is_text)
		result = left.number > right.number ? -1 : left.number < right.number;
	else if (left.text && right.text)
		result = strcmp(left.text, right.text);
	else
		result = left.text ? -1 : right.text ? 1 : 0;
	return result ? result : x < y ? -1 : x > y;
}

static void name_row(const struct sl_top_model *top, enum sl_top_view view, uint32_t row,
                     char *text, size_t n)
{
	char peer[SL_TEXT_PEER_BYTES];
	if (view == SL_TOP_PROCESSES) {
		(void)snprintf(text, n, "%d", top->processes[row].pid);
	} else if (view == SL_TOP_SITES) {
		(void)snprintf(text, n, "%u", top->snapshot->sites[row].id);
	} else {
		sl_text_lead_peer(peer, &top->snapshot->peers[row]);
		(void)snprintf(text, n, "%d %s", (int)top->snapshot->peers[row].direction, peer);
	}
}

static void remember_row(const struct sl_top_model *top, enum sl_top_view view,
                         struct sl_top_table *table)
{
	table->identity[0] = '\0';
	if (table->count)
		name_row(top, view, table->order[table->selected], table->identity,
		         sizeof(table->identity));
}

static void find_row(const struct sl_top_model *top, enum sl_top_view view,
                     struct sl_top_table *table)
{
	char identity[sizeof(table->identity)];
	for (uint32_t i = 0; table->is_chosen && i < table->count; i++) {
		name_row(top, view, table->order[i], identity, sizeof(identity));
		if (strcmp(identity, table->identity) == 0) {
			table->selected = i;
			return;
		}
	}
	if (table->selected >= table->count)
		table->selected = table->count ? table->count - 1 : 0;
}

static void arrange(struct sl_top_model *top, enum sl_top_view view, uint32_t count)
{
	struct sl_top_table *table = &top->tables[view];
	unsigned columns;
	struct comparison by = {.top = top, .view = view, .column = table->sort};
	by.is_text = sl_top_model_columns(view, &columns)[table->sort].kind == SL_TOP_TEXT;
	if (count)
		table->order = sl_heap_grow(table->order, count * sizeof(*table->order));
	table->count = count;
	for (uint32_t i = 0; i < count; i++)
		table->order[i] = i;
	if (count)
		qsort_r(table->order, count, sizeof(*table->order), compare, &by);
	find_row(top, view, table);
	remember_row(top, view, table);
}

void sl_top_model_show(struct sl_top_model *top, const struct sl_snapshot *snapshot)
{
	top->snapshot = snapshot;
	if (top->history_count == SL_TOP_SAMPLES)
		memmove(top->history, top->history + 1,
		        (SL_TOP_SAMPLES - 1) * sizeof(*top->history));
	else
		top->history_count++;
	top->history[top->history_count - 1] = snapshot->totals.close_wait;
	arrange(top, SL_TOP_PEERS, snapshot->peer_count);
	arrange(top, SL_TOP_SITES, snapshot->site_count);
}

void sl_top_model_list(struct sl_top_model *top, const struct sl_top_process *processes,
                       uint32_t count)
{
	top->processes = processes;
	top->process_count = count;
	arrange(top, SL_TOP_PROCESSES, count);
}

void sl_top_model_forget(struct sl_top_model *top)
{
	top->snapshot = NULL;
	top->history_count = 0;
	for (int view = SL_TOP_PEERS; view <= SL_TOP_SITES; view++) {
		free(top->tables[view].order);
		top->tables[view] = (struct sl_top_table){.sort = top->tables[view].sort};
	}
}

void sl_top_model_free(struct sl_top_model *top)
{
	sl_top_model_forget(top);
	free(top->tables[SL_TOP_PROCESSES].order);
	*top = (struct sl_top_model){0};
}

struct sl_top_table *sl_top_model_table(struct sl_top_model *top)
{
	return &top->tables[top->view == SL_TOP_STACK ? SL_TOP_SITES : top->view];
}

void sl_top_model_sort_next(struct sl_top_model *top)
{
	unsigned columns;
	if (top->view == SL_TOP_STACK)
		return;
	struct sl_top_table *table = sl_top_model_table(top);
	(void)sl_top_model_columns(top->view, &columns);
	table->sort = (table->sort + 1) % columns;
	arrange(top, top->view, table->count);
}

static uint32_t moved(uint32_t from, int64_t rows, uint32_t count)
{
	int64_t to = (int64_t)from + rows;
	if (to >= count)
		to = (int64_t)count - 1;
	return to < 0 ? 0 : (uint32_t)to;
}

static uint32_t stack_lines(const struct sl_top_model *top)
{
	const struct sl_snapshot_site *site = sl_top_model_site(top);
	return site ? site->frame_count + SL_TOP_STACK_LINES : 1;
}

void sl_top_model_move(struct sl_top_model *top, int64_t rows)
{
	if (top->view == SL_TOP_STACK) {
		top->stack_first = moved(top->stack_first, rows, stack_lines(top));
		return;
	}
	struct sl_top_table *table = sl_top_model_table(top);
	table->selected = moved(table->selected, rows, table->count);
	table->is_chosen = table->selected > 0;
	remember_row(top, top->view, table);
}

void sl_top_model_fit(struct sl_top_model *top, uint32_t rows)
{
	struct sl_top_table *table = sl_top_model_table(top);
	if (top->view == SL_TOP_STACK) {
		uint32_t lines = stack_lines(top), last = lines > rows ? lines - rows : 0;
		top->stack_first = top->stack_first < last ? top->stack_first : last;
		return;
	}
	if (rows && table->selected >= table->first + rows)
		table->first = table->selected - rows + 1;
	if (table->selected < table->first)
		table->first = table->selected;
	if (table->first && table->first + rows > table->count)
		table->first = table->count > rows ? table->count - rows : 0;
}

bool sl_top_model_open_stack(struct sl_top_model *top)
{
	const struct sl_top_table *table = &top->tables[SL_TOP_SITES];
	if (top->view != SL_TOP_SITES || !table->count)
		return false;
	top->site = top->snapshot->sites[table->order[table->selected]].id;
	top->stack_first = 0;
	top->view = SL_TOP_STACK;
	return true;
}

const struct sl_snapshot_site *sl_top_model_site(const struct sl_top_model *top)
{
	for (uint32_t i = 0; top->snapshot && i < top->snapshot->site_count; i++)
		if (top->snapshot->sites[i].id == top->site)
			return &top->snapshot->sites[i];
	return NULL;
}

const struct sl_top_process *sl_top_model_process(const struct sl_top_model *top)
{
	const struct sl_top_table *table = &top->tables[SL_TOP_PROCESSES];
	return table->count ? &top->processes[table->order[table->selected]] : NULL;
}

uint64_t sl_top_model_history_most(const struct sl_top_model *top)
{
	uint64_t most = 0;
	for (unsigned i = 0; i < top->history_count; i++)
		most = top->history[i] > most ? top->history[i] : most;
	return most;
}

unsigned sl_top_model_level(const struct sl_top_model *top, unsigned sample)
{
	uint64_t most = sl_top_model_history_most(top);
	if (sample >= top->history_count || !top->history[sample])
		return 0;
	return 1 + (unsigned)((double)top->history[sample] / (double)most * (SL_TOP_LEVELS - 2));
}

int64_t sl_top_model_ports_left(const struct sl_snapshot *snapshot)
{
	int64_t fewest = SL_UNKNOWN;
	for (uint32_t i = 0; i < snapshot->peer_count; i++) {
		int64_t left = snapshot->peers[i].ports_left;
		if (left != SL_UNKNOWN && (fewest == SL_UNKNOWN || left < fewest))
			fewest = left;
	}
	return fewest;
}
