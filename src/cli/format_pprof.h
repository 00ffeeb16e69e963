/* format_pprof.h - a snapshot as a profile for `pprof` and continuous-profiling servers: gzipped profile.proto.
 *
 * Sample types open, close_wait and stuck, each a count of connections. A sample is a site, or where sockets are
 * listed (detail=1) those connections of a site that share peer, cause and thread. Labels: direction, verdict of
 * the site, peer, cause, thread; one that is not known, or not the same for all connections of a sample, is left
 * out. The sums over all samples are the sites' counts.
 *
 * Layer: cli. Locks: none. Fork: no state. A failed write stays in the stream's error flag.
 * Errors: out of memory ends the command.
 */
#ifndef SL_CLI_FORMAT_PPROF_H
#define SL_CLI_FORMAT_PPROF_H

#include <stdio.h>

#include "cli/measure.h"
#include "report/snapshot.h"

/* `measure`: the sample type that is shown where none is chosen. */
void sl_format_pprof(FILE *to, const struct sl_snapshot *s, enum sl_measure measure);

#endif
