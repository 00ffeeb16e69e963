/* format_openmetrics.h - snapshots as OpenMetrics text, for one process or for all of a host.
 *
 * Every sample has the labels program and pid, and unit where it is known. Only the `top` worst outbound peers and
 * sites have series of their own, the rest is summed as "others"; inbound connections are told by our own port,
 * never by the client. What is not known has no sample.
 *
 * Layer: cli. Locks: none. Fork: no state. A failed write stays in the stream's error flag.
 * Errors: out of memory ends the command.
 */
#ifndef SL_CLI_FORMAT_OPENMETRICS_H
#define SL_CLI_FORMAT_OPENMETRICS_H

#include <stddef.h>
#include <stdio.h>

#include "report/snapshot.h"

#define SL_OPENMETRICS_TOP 10

struct sl_openmetrics_source {
	const struct sl_snapshot *snapshot;
	int pid;          /* on this host; 0: the snapshot's, which is of its own namespace */
	const char *unit; /* systemd unit; NULL: none, or not known */
};

void sl_format_openmetrics(FILE *to, const struct sl_openmetrics_source *sources, size_t n,
                           unsigned top);

#endif
