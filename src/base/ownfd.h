/* ownfd.h - the fds of ours that lie among the program's, and that it must not notice.
 *
 * Files are opened elsewhere (clerk.h). What is left is what must have a number here: the pipe with which the stack walker
 * checks addresses. Such fds sit at 1,024 and above (select() of the program never meets them; just above, so that the fd
 * table of the process does not grow), close-on-exec. The program believes these numbers to be free.
 *
 * The usual soft limit is 1,024, so there would be no such number. It binds only while a number is given out: it is raised
 * towards the hard limit for that one call, and put back (getrlimit(2)). That happens as the worker starts, before the program
 * has its first TCP socket.
 *
 * Layer: base. Locks: none (atomics). Fork: the child has them too. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_BASE_OWNFD_H
#define SL_BASE_OWNFD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_OWN_FD_FLOOR 1024
#define SL_OWN_FDS 8

/* The number of ours on which a description of the program lies at present (desk.h); -1: none. */
extern _Atomic int sl_ownfd_lent;

/* Move fd to a number of ours. Returns the new one; -errno: none is to be had. The given number is closed either way. */
int sl_ownfd_take(int fd);

/* The same for a number that is high enough already. False: no place left to remember it. */
bool sl_ownfd_keep(int fd);

/* Close one of ours; nothing if the program has taken the number meanwhile. */
void sl_ownfd_close(int fd);

/* Is this number ours? A few instructions. */
bool sl_ownfd_is(int fd);

/* ... and is it still what we put there? A raw system call of the program may have closed it, and something of its own may
 * be there now: then the number is ours no more. One system call, none once the process is sandboxed. */
bool sl_ownfd_is_true(int fd);

/* The program is about to put something of its own on this number: it is ours no more. If that fails, what this returned
 * puts it back; 0: it was not ours. */
uint64_t sl_ownfd_yield(int fd);
void sl_ownfd_put_back(uint64_t yielded);

/* The lowest number in first..last that is truly ours; -1: none. */
int sl_ownfd_first_in(unsigned first, unsigned last);

#endif
