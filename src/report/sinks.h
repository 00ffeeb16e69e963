/* sinks.h - where reports go: the text to stderr or a file, the JSON to a file.
 *
 * No sink ever blocks the worker for long, none follows a link, and what one of them cannot take is said on stderr, once. All
 * draw on the budget of log.h.
 *
 * Layer: report. Locks: none: the worker only. errno: untouched.
 * Fork: sl_sinks_forked(): a child whose path has no %p writes to a file of its own.
 */
#ifndef SL_REPORT_SINKS_H
#define SL_REPORT_SINKS_H

#include <stddef.h>

#include "report/snapshot.h"

/* Write this report to every sink that the options name. */
void sl_sinks_write(const struct sl_snapshot *snapshot);

/* Write a path of the options with %p, %e, %h filled in; a forked child's own if it has no %p. NUL-terminated. */
void sl_sinks_expand(const char *path, char *expanded, size_t n);

void sl_sinks_forked(void);

#endif
