/* top_draw.h - the picture of `sockleak top`: the head, the tables, a stack, a page of text, a question.
 *
 * Layer: cli. Context: one thread, the screen is started.
 */
#ifndef SL_CLI_TOP_DRAW_H
#define SL_CLI_TOP_DRAW_H

#include <stdbool.h>

#include "cli/top_watch.h"

/* What stands around the data. All zero is nothing. */
struct sl_top_around {
	bool is_paused;
	bool has_list;           /* behind the process: q goes there */
	const char *const *page; /* lines in place of the table, NULL at the end; NULL: none */
	const char *question;    /* in place of the last remark; NULL: none */
};

/* Draws all of it. The model is scrolled to its selected row. */
void sl_top_draw(struct sl_top_watch *watch, const struct sl_top_around *around);

/* Rows that a page of the table has now. */
unsigned sl_top_draw_page_rows(const struct sl_top_model *top);

#endif
