/* walker.h - the stack walker's own pipe, seen from the doors.
 *
 * libunwind tries the addresses that it is about to read (write_validate(), src/x86_64/Ginit.c): it takes a byte from a pipe of
 * its own, opens another one where that fails, and has the kernel write a byte from the address. All of that comes through the
 * doors. The numbers are ours (ownfd.h), but only until the program takes them, by a dup2() or a close past the hooks; libunwind
 * goes on to use them. So the door of read() answers for a pipe that is not there any more, and another one is opened.
 *
 * Layer: hooks. Locks: none (atomics). Fork: the child has the pipe too. Async-signal-safe: everything here.
 */
#ifndef SL_HOOKS_WALKER_H
#define SL_HOOKS_WALKER_H

#include <stdbool.h>

/* Open its first pipe for it, before it asks: by the thread of the program that is about to start the worker. The two low numbers
 * that a new pipe has for a moment are then in nobody's way, where the worker would be at it while the program runs.
 * Once in a process's life. */
void sl_walker_reserve(void);

/* Before a pipe is opened: true: the walker asks, and has the reserved one. */
bool sl_walker_gets(int fds[2]);

/* After a pipe was opened: one of the walker's is moved to numbers of ours. What pipe() is to return. */
int sl_walker_opened(int fds[2]);

/* Is this read, of one byte, the walker's, and its pipe gone? Then errno says so, and nothing is read. */
bool sl_walker_has_lost(int fd);

/* Is this close the walker's, of a number of that pipe? It knows no better: what lies there is ours, and closed here, or the program's
 * by now. */
bool sl_walker_closes(int fd);

#endif
