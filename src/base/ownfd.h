/* ownfd.h - the fds that are ours, and that the program must not notice.
 *
 * They sit at 1,024 and above (select() of the program never meets them; just above, so that the fd table of the process
 * does not grow), close-on-exec. The program believes these numbers to be free.
 *
 * The usual soft limit is 1,024, so there would be no such number. It binds only while a number is given out: it is raised
 * towards the hard limit for that one call, and put back (getrlimit(2)). The same opens a report file when the program
 * has used up all its numbers; where the limits are equal, a reserved number does.
 *
 * Layer: base. Locks: none (atomics). Fork: the child has them too. errno: untouched.
 * Async-signal-safe: sl_ownfd_is(), sl_ownfd_yield(), sl_ownfd_first_in(); the rest is the worker's.
 */
#ifndef SL_BASE_OWNFD_H
#define SL_BASE_OWNFD_H

#include <stdbool.h>

#define SL_OWN_FD_FLOOR 1024
#define SL_OWN_FDS 8

/* Move fd to a number of ours. Returns the new one; -errno: none is to be had. The given number is closed either way. */
int sl_ownfd_take(int fd);

/* Close one of ours; nothing if the program has taken the number meanwhile. */
void sl_ownfd_close(int fd);

/* open(2), also when the process has no number left. Close with sl_sys_close(): it is kept for a moment only. */
int sl_ownfd_open(const char *path, int flags, unsigned mode);

/* See to it that a number is held in reserve. */
void sl_ownfd_reserve(void);

/* Is this number ours? A few instructions. */
bool sl_ownfd_is(int fd);

/* The program is about to put something of its own on this number: it is ours no more. */
void sl_ownfd_yield(int fd);

/* The lowest number of ours in first..last; -1: none. */
int sl_ownfd_first_in(unsigned first, unsigned last);

#endif
