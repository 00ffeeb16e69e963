/* top_model.h - what `sockleak top` shows: its tables in their order, the row at hand, the history. No terminal in here.
 *
 * Layer: cli. Context: one thread. Owner: snapshot and processes are the caller's, and must live until others are shown;
 * the rest is freed by sl_top_model_free(). Errors: out of memory ends the command.
 */
#ifndef SL_CLI_TOP_MODEL_H
#define SL_CLI_TOP_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/proc.h"
#include "report/snapshot.h"
#include "report/text_lead.h"
#include "report/text_unblamed.h"

#define SL_TOP_SAMPLES 60
#define SL_TOP_STACK_LINES 6 /* of a site, beside its frames: those above, and one below */
#define SL_TOP_LEVELS 9      /* of a bar of the history; 0: none */

enum sl_top_view {
	SL_TOP_PROCESSES,
	SL_TOP_PEERS,
	SL_TOP_SITES,
	SL_TOP_TABLES, /* how many tables */
	SL_TOP_STACK = SL_TOP_TABLES,
};

enum sl_top_kind { SL_TOP_COUNT, SL_TOP_RATE, SL_TOP_DURATION, SL_TOP_TEXT };

struct sl_top_column {
	const char *title;
	unsigned width; /* 0: a share of what the others leave */
	enum sl_top_kind kind;
};

struct sl_top_cell {
	int64_t number;                     /* SL_UNKNOWN: not known */
	const char *text;                   /* from outside, not escaped; NULL: not known */
	char bytes[SL_TEXT_UNBLAMED_BYTES]; /* where it may lie */
};

struct sl_top_process {
	int pid;
	char name[SL_PROC_NAME_BYTES];
	char blame[256]; /* "": nothing suspect */
	uint64_t uptime_ms, open, close_wait, stuck;
};

struct sl_top_table {
	uint32_t *order; /* shown row to row of the data */
	uint32_t count, selected, first;
	unsigned sort;  /* a column */
	bool is_chosen; /* the row was moved to: it is followed when the order changes */
	char identity[SL_TEXT_PEER_BYTES + 16]; /* of the selected row */
};

/* All zero shows nothing yet. */
struct sl_top_model {
	enum sl_top_view view;
	const struct sl_snapshot *snapshot; /* NULL: none */
	const struct sl_top_process *processes;
	uint32_t process_count;
	struct sl_top_table tables[SL_TOP_TABLES];
	uint64_t history[SL_TOP_SAMPLES]; /* CLOSE_WAIT, the newest last */
	unsigned history_count;
	uint32_t site; /* of the stack: its id */
	uint32_t stack_first;
};

/* The columns of a table. */
const struct sl_top_column *sl_top_model_columns(enum sl_top_view view, unsigned *count);

/* A new moment: a sample for the history, rows sorted, the row at hand found again. */
void sl_top_model_show(struct sl_top_model *top, const struct sl_snapshot *snapshot);
void sl_top_model_list(struct sl_top_model *top, const struct sl_top_process *processes,
                       uint32_t count);
/* No process any more, nor what was of it. */
void sl_top_model_forget(struct sl_top_model *top);
void sl_top_model_free(struct sl_top_model *top);

/* The table at hand; in the view of a stack that of the sites. */
struct sl_top_table *sl_top_model_table(struct sl_top_model *top);
void sl_top_model_cell(const struct sl_top_model *top, enum sl_top_view view, uint32_t row,
                       unsigned column, struct sl_top_cell *cell);
/* Numbers fall, texts rise. */
void sl_top_model_sort_next(struct sl_top_model *top);
/* Rows down, up where negative; not beyond the ends. */
void sl_top_model_move(struct sl_top_model *top, int64_t rows);
/* So many rows can be seen: scrolls to the selected one. */
void sl_top_model_fit(struct sl_top_model *top, uint32_t rows);

/* From the table of sites to the stack of the selected one. False: there is none. */
bool sl_top_model_open_stack(struct sl_top_model *top);
/* The site of the stack; NULL: it is in the snapshot no more. */
const struct sl_snapshot_site *sl_top_model_site(const struct sl_top_model *top);
/* The selected process; NULL: none. */
const struct sl_top_process *sl_top_model_process(const struct sl_top_model *top);

/* Of a sample, 0 the oldest: its share of the greatest, 0 .. SL_TOP_LEVELS - 1; only nothing is 0. */
unsigned sl_top_model_level(const struct sl_top_model *top, unsigned sample);
uint64_t sl_top_model_history_most(const struct sl_top_model *top);
/* The fewest that a peer has left; SL_UNKNOWN. */
int64_t sl_top_model_ports_left(const struct sl_snapshot *snapshot);

#endif
