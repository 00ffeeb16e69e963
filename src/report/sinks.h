/* sinks.h - where reports go: the text to stderr or a file, the JSON to a file, the events to a file.
 *
 * No sink ever blocks the worker for long, none follows a link, and what one of them cannot take is said on stderr, once. All
 * draw on the budget of log.h.
 *
 * Layer: report. Locks: none: each function has its thread. errno: untouched.
 * Fork: sl_sinks_forked(), and sl_paths_forked(): a child whose path has no %p writes to a file of its own.
 */
#ifndef SL_REPORT_SINKS_H
#define SL_REPORT_SINKS_H

#include <stddef.h>

#include "report/snapshot.h"

/* The short text, where report= is stderr. Context: the worker. */
void sl_sinks_write_stderr(const struct sl_snapshot *snapshot);

/* Does the report go to a file? */
bool sl_sinks_want_files(void);
/* The files that the options name. Context: the clerk. Blocks: as long as the files do. */
void sl_sinks_write_files(const struct sl_snapshot *snapshot);
/* There is no clerk, or it hangs: complain. */
void sl_sinks_no_files(void);

/* Whole lines, each with its newline, on their way to the file of events=. */
struct sl_sinks_lines {
	const char *bytes;
	size_t length;
	size_t written; /* in: from where on; out: how far it came */
	int error;      /* out: 0, or -errno: then not all of them */
};
/* Append them; `context` is a struct sl_sinks_lines. Their bytes have been drawn from the budget before. In the file
 * there is never half a line, unless the disk is full and others write there too.
 * Context: the clerk. Blocks: as long as the file does; not for the reader of a pipe. */
void sl_sinks_append_events(void *context);

/* Draw from the budget of log.h; what is refused is said by sl_sinks_say(). Context: any thread of ours. */
bool sl_sinks_take_budget(size_t n);

/* Say what went wrong with a sink, once each. Context: the worker, while nobody writes files. */
void sl_sinks_say(void);

/* A new clerk, with a table of its own. Context: the worker, as it starts. */
void sl_sinks_start(void);

void sl_sinks_forked(void);

#endif
