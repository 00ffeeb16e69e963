/* advice.h - what to look at next: a line for each thing that the evidence tells, most telling first.
 *
 * FIX says what to change in general; this says what the cause, the peer's habit and the share of what stays tell about where and how.
 *
 * Layer: report. No state: a pure function of a snapshot. Async-signal-safe.
 */
#ifndef SL_REPORT_ADVICE_H
#define SL_REPORT_ADVICE_H

#include "report/snapshot.h"

#define SL_ADVICE_MAX 6
#define SL_ADVICE_BYTES 160

/* before, name, after, one behind the other. The name came from outside: to be escaped. */
struct sl_advice {
	const char *about; /* "eof-ignored": what it follows from; constant */
	char before[SL_ADVICE_BYTES];
	const char *name; /* NULL: none */
	const char *after;
};

/* How many there are; at most SL_ADVICE_MAX. None for a healthy process. */
unsigned sl_advice_of(const struct sl_snapshot *s, struct sl_advice advice[SL_ADVICE_MAX]);

#endif
