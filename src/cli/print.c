/* print.c - see print.h. */
#include "cli/print.h"

#include "report/text_line.h"

#define SL_TABLE_COLUMNS_MAX 16

static void flush_into_file(struct sl_out *out)
{
	(void)fwrite(out->bytes, 1, out->length, out->context);
}

void sl_print_start(struct sl_print *print, FILE *file)
{
	sl_out_init(&print->out, print->bytes, sizeof(print->bytes), flush_into_file, file);
}

bool sl_print_end(struct sl_print *print)
{
	FILE *file = print->out.context;
	sl_out_flush(&print->out);
	return fflush(file) == 0 && !ferror(file);
}

void sl_print_name(FILE *file, const char *name)
{
	struct sl_print print;
	sl_print_start(&print, file);
	sl_out_terminal(&print.out, name);
	sl_out_flush(&print.out);
}

static void put_cell(struct sl_out *out, const char *cell, unsigned width, bool is_right,
                     bool is_last)
{
	unsigned columns = sl_text_name_columns(cell);
	unsigned fill = width > columns ? width - columns : 0;
	for (unsigned i = 0; is_right && i < fill; i++)
		sl_out_char(out, ' ');
	sl_out_terminal(out, cell);
	for (unsigned i = 0; !is_right && !is_last && i < fill; i++)
		sl_out_char(out, ' ');
	sl_out_text(out, is_last ? "\n" : "  ");
}

void sl_print_table(FILE *file, const char *const *cells, unsigned rows, unsigned columns,
                    unsigned rights)
{
	unsigned widths[SL_TABLE_COLUMNS_MAX] = {0};
	struct sl_print print;
	for (unsigned i = 0; i < rows * columns; i++) {
		unsigned width = sl_text_name_columns(cells[i]);
		if (width > widths[i % columns])
			widths[i % columns] = width;
	}
	sl_print_start(&print, file);
	for (unsigned i = 0; i < rows * columns; i++)
		put_cell(&print.out, cells[i], widths[i % columns], rights >> i % columns & 1,
		         i % columns == columns - 1);
	sl_out_flush(&print.out);
}
