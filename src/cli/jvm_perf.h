/* jvm_perf.h - what a HotSpot VM tells in its file of counters, /tmp/hsperfdata_USER/PID.
 *
 * Layer: cli. Context: one thread. Source: perfMemory.hpp of OpenJDK, version 2.0 of the format.
 */
#ifndef SL_CLI_JVM_PERF_H
#define SL_CLI_JVM_PERF_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/proc.h"

#define SL_JVM_PERF_TEXT_BYTES 1025 /* the VM cuts a text at 1024 */

struct sl_jvm_perf {
	char *bytes; /* to be freed */
	size_t n;
};

/* False: it has none (-XX:-UsePerfData), or none that can be trusted to be its own. */
bool sl_jvm_perf_open(const struct sl_proc *proc, struct sl_jvm_perf *perf);
void sl_jvm_perf_free(struct sl_jvm_perf *perf);

/* The text of this name. Any bytes are taken. False: there is none. */
bool sl_jvm_perf_text(const struct sl_jvm_perf *perf, const char *name,
                      char text[SL_JVM_PERF_TEXT_BYTES]);

#endif
