/* range.h - close_range() by its number, for libcs that have no such function.
 *
 * Layer: hooks. Locks: none. Fork: no state. Async-signal-safe.
 */
#ifndef SL_HOOKS_RANGE_H
#define SL_HOOKS_RANGE_H

/* What syscall(SYS_close_range) does: numbers of ours stay, and what is recorded in the range is forgotten. */
int sl_close_range_past_libc(unsigned first, unsigned last, int flags);

#endif
