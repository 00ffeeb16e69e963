/* log.h - one line to the person who runs the program.
 *
 * Lines go to fd 2 as "sockleak: ..." and only while fd 2 is still the file that it was at start: daemons use the
 * number again. A line never blocks: what a full pipe or socket does not take is dropped and counted.
 * All output of the library, lines and reports, draws on one budget (max_output, bytes an hour).
 *
 * Layer: base. Locks: none (atomics). Fork: the child keeps the budget. errno: untouched.
 * Async-signal-safe: everything here.
 */
#ifndef SL_BASE_LOG_H
#define SL_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Remember what fd 2 is now. Called once at start. */
void sl_log_start(void);

/* One line: the parts one after the other, NULL ends them. Longer than 1,000 bytes is cut. */
void sl_log(const char *part, ...) __attribute__((sentinel));

/* fd 2 is the file of sl_log_start(). */
bool sl_log_stderr_is_ours(void);

/* Write n bytes to fd without ever blocking longer than wait_ms in all, past libc. Returns 0, or -errno
 * (-EAGAIN: the reader does not take it). */
int sl_log_write(int fd, const char *bytes, size_t n, unsigned wait_ms);

/* Draw n bytes from this hour's budget. False: it is used up; n is counted as held back. */
bool sl_log_budget_take(size_t n);
uint64_t sl_log_held_back_bytes(void);

#endif
