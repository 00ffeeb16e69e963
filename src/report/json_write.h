/* json_write.h - members and elements of JSON, with their commas.
 *
 * A writer appends to an sl_out as it goes and keeps one bit: whether a comma is due.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here,
 * if the flush function of the writer is.
 */
#ifndef SL_REPORT_JSON_WRITE_H
#define SL_REPORT_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"

struct sl_json {
	struct sl_out *out;
	bool needs_comma;
};

/* Opens with '{' or '[', as a member where name is not NULL, else as an element (or the whole). */
void sl_json_open(struct sl_json *json, const char *name, char bracket);
void sl_json_close(struct sl_json *json, char bracket);
/* A line break before what comes next: elements of long arrays stand on lines of their own. */
void sl_json_break(struct sl_json *json);

void sl_json_text(struct sl_json *json, const char *name, const char *value); /* NULL: null */
void sl_json_unsigned(struct sl_json *json, const char *name, uint64_t value);
void sl_json_known(struct sl_json *json, const char *name, int64_t value); /* SL_UNKNOWN: null */
void sl_json_bool(struct sl_json *json, const char *name, bool value);
void sl_json_null(struct sl_json *json, const char *name);
void sl_json_time(struct sl_json *json, const char *name, uint64_t wall_ms); /* RFC 3339 */
/* With its milliseconds: "2026-11-22T06:03:07.123Z". */
void sl_json_moment(struct sl_json *json, const char *name, uint64_t wall_ms);
void sl_json_identity(struct sl_json *json, const char *name,
                      uint64_t value); /* a string: 64 bits */

#endif
