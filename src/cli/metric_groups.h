/* metric_groups.h - the peers and sites of a snapshot as few series as one wants, and the labels of OpenMetrics.
 *
 * Layer: cli. Locks: none. Fork: no state. Errors: out of memory ends the command.
 */
#ifndef SL_CLI_METRIC_GROUPS_H
#define SL_CLI_METRIC_GROUPS_H

#include <stdint.h>

#include "report/snapshot.h"

/* name="value", the value valid UTF-8 without control characters, and escaped. NULL is "?". The caller frees it. */
char *sl_metric_label(const char *name, const char *value);
/* Joined by commas; frees what it was given. The caller frees the result. */
char *sl_metric_labels(unsigned n, char **labels);

struct sl_metric_group {
	char *labels; /* no two groups have the same */
	int64_t open, established, close_wait, stuck;
	int64_t ports_left, exhausted_in_ms; /* SL_UNKNOWN */
};

struct sl_metric_groups {
	struct sl_metric_group
		*rows; /* the worst first; what they do not hold is summed in the last */
	unsigned count;
	unsigned top;
};

/* Fill a fresh struct with at most `top` groups and one of the others. */
void sl_metric_groups_peers(struct sl_metric_groups *groups, const struct sl_snapshot *s,
                            unsigned top); /* outbound; label peer */
void sl_metric_groups_inbound(struct sl_metric_groups *groups, const struct sl_snapshot *s,
                              unsigned top); /* label port: our own */
void sl_metric_groups_sites(struct sl_metric_groups *groups, const struct sl_snapshot *s,
                            unsigned top); /* labels blame, kind, direction */
void sl_metric_groups_free(struct sl_metric_groups *groups);

#endif
