/* warnings.h - warn_at: one line when ports, fds or patience run short.
 *
 * Layer: report. Locks: none: the worker only. Fork: the child starts anew. errno: untouched.
 */
#ifndef SL_REPORT_WARNINGS_H
#define SL_REPORT_WARNINGS_H

#include <stdbool.h>
#include <stdint.h>

/* A step that is warned of once while it lasts: 50, 75, 90 % of a limit. */
struct sl_warning_step {
	unsigned said; /* the last step said; 0: none */
};

/* Is `used` of `limit` past a step that was not said yet? Gives that step, in percent. Falling below 40 % forgets.
 * Pure. */
bool sl_warnings_step(struct sl_warning_step *step, uint64_t used, uint64_t limit,
                      unsigned *percent);

/* Is `stuck` at the threshold, or at twice the last one said? Falling below half the threshold begins anew. Pure. */
bool sl_warnings_doubling(uint64_t *next, uint64_t first, uint64_t stuck);

/* After a sweep. fds: open fds of the process, or -1. */
void sl_warnings_look(uint64_t now_ms, int64_t fds);

void sl_warnings_forked(void);

#endif
