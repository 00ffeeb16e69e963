/* formats.h - what a snapshot can be shown as: `report --format NAME`. One row each.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_FORMATS_H
#define SL_CLI_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/measure.h"
#include "report/snapshot.h"

/* Errors: those of the stream, which the caller looks at. */
typedef void sl_format_fn(FILE *file, const struct sl_snapshot *snapshot, enum sl_measure measure);

struct sl_format {
	const char *name;
	sl_format_fn *render;
	bool is_binary;   /* not for a terminal */
	bool has_measure; /* it shows one count, which can be chosen */
};

extern const struct sl_format sl_formats[];
extern const size_t sl_format_count;

/* NULL: none of that name. */
const struct sl_format *sl_format_find(const char *name);

/* Into a file, by rename: who reads it sees a whole report; or into what is no file: a pipe, a device. 0, or -errno,
 * and a file is as it was. */
int sl_format_to_file(const struct sl_format *format, const char *path,
                      const struct sl_snapshot *snapshot, enum sl_measure measure);

/* "text|json|..." */
void sl_format_names(char *text, size_t n);

#endif
