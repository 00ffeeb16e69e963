/* rendered.h - a report as a string, written through a buffer of any size. */
#ifndef SL_TEST_RENDERED_H
#define SL_TEST_RENDERED_H

#include <stdbool.h>
#include <stddef.h>

#include "report/snapshot.h"
#include "report/text.h"

#define RENDERED_BYTES (1 << 20)

struct rendered {
	size_t length;
	size_t flushes;
	char text[RENDERED_BYTES]; /* ends with a NUL */
};

/* `buffer_bytes`: of the writer's own buffer, 1..RENDERED_BYTES. */
void render_text(struct rendered *to, const struct sl_snapshot *s, enum sl_text_form form,
                 bool colour, size_t buffer_bytes);
void render_json(struct rendered *to, const struct sl_snapshot *s, size_t buffer_bytes);

unsigned rendered_lines(const char *text);

/* Columns of the widest of the first `lines` lines; characters from U+1000 on count two. */
unsigned rendered_widest(const char *text, unsigned lines);

/* The line of the short report that begins with `label`; it is there, and at most 100 columns wide. Valid until the
 * next call. */
const char *rendered_line(struct rendered *to, const struct sl_snapshot *s, const char *label);

#define RENDERED_LEAD 10 /* lines: header, empty line, the eight */

#endif
