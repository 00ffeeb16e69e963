/* json_ports.h - limits, and the ports of a peer, as JSON.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: as json_write.h.
 */
#ifndef SL_REPORT_JSON_PORTS_H
#define SL_REPORT_JSON_PORTS_H

#include "report/json_write.h"
#include "report/snapshot.h"

/* The member "limits". */
void sl_json_limits(struct sl_json *json, const struct sl_snapshot *s);
/* Members of an object of "peers", the last ones of it. */
void sl_json_ports(struct sl_json *json, const struct sl_snapshot_peer *peer);

#endif
