/* snapshot_read_rows.h - the arrays of a snapshot: peers, sites, listeners, sockets. A part of snapshot_read.c.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_SNAPSHOT_READ_ROWS_H
#define SL_CLI_SNAPSHOT_READ_ROWS_H

#include "cli/json_get.h"
#include "report/snapshot.h"

/* Parts of it, in a file of their own. */
void sl_snapshot_read_ports(struct sl_json_get *get, json_t *peer, struct sl_snapshot_ports *ports);
void sl_snapshot_read_elsewhere(struct sl_json_get *get, json_t *root, struct sl_snapshot *s);

void sl_snapshot_read_rows(struct sl_json_get *get, json_t *root, struct sl_snapshot *s);

#endif
