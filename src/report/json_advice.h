/* json_advice.h - the member `advice` of a snapshot: what to look at next, see advice.h.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched.
 */
#ifndef SL_REPORT_JSON_ADVICE_H
#define SL_REPORT_JSON_ADVICE_H

#include "report/json_write.h"
#include "report/snapshot.h"

void sl_json_advice(struct sl_json *json, const struct sl_snapshot *s);

#endif
