/* json.h - the report for a program: a snapshot as JSON, schema "sockleak-snapshot/1".
 *
 * docs/snapshot.md describes each member, docs/snapshot.schema.json is the schema: members are
 * added there, never renamed. What is not known is null. Valid UTF-8 and valid JSON whatever the
 * strings hold.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched.
 * Async-signal-safe: everything here, if the writer's flush function is.
 */
#ifndef SL_REPORT_JSON_H
#define SL_REPORT_JSON_H

#include "base/out.h"
#include "report/snapshot.h"

#define SL_JSON_SCHEMA "sockleak-snapshot/1"

/* One object and a newline. The options are those of the snapshot, or of the process, sl_options.
 * Context: one thread; `s` must not change meanwhile. */
void sl_json_render(struct sl_out *out, const struct sl_snapshot *s);

#endif
