/* json_elsewhere.h - what is not well, and is no leak of the program's, as JSON.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: as json_write.h.
 */
#ifndef SL_REPORT_JSON_ELSEWHERE_H
#define SL_REPORT_JSON_ELSEWHERE_H

#include "report/json_write.h"
#include "report/snapshot.h"

/* The member "elsewhere". */
void sl_json_elsewhere(struct sl_json *json, const struct sl_snapshot *s);

#endif
