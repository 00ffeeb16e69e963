/* totals.h - the counts of the last sweep, for the program itself to read.
 *
 * Layer: report. Locks: none: the worker publishes, any thread reads. Fork: sl_totals_forked(). errno: untouched.
 */
#ifndef SL_REPORT_TOTALS_H
#define SL_REPORT_TOTALS_H

#include <stdbool.h>
#include <stdint.h>

struct sl_totals {
	uint64_t swept_at_ms;
	uint64_t opened, closed, open, close_wait, stuck, retracted, regretted;
};

/* After a sweep. Context: the worker. */
void sl_totals_publish(uint64_t now_ms);

/* All of one sweep. False: there was none yet. Async-signal-safe. */
bool sl_totals_read(struct sl_totals *totals);

void sl_totals_forked(void);

#endif
