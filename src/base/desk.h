/* desk.h - one number of ours on which a description of the program can be looked at and acted on.
 *
 * A duplicate can never turn into another socket under our hands, as the program's own number can at any moment. It is put
 * on a number that is reserved beforehand (dup3(2)): so it takes none of the program's, and works when there is none left.
 *
 * The number must lie below the soft limit of open files, at 1,024 or above where that allows it, else just below the limit.
 *
 * Layer: base. Locks: none: one thread, the worker. Fork: sl_desk_forked(). errno: untouched.
 */
#ifndef SL_BASE_DESK_H
#define SL_BASE_DESK_H

/* Reserve the number. `filler`, one of our own fds, lies there while nothing else does. 0, or -errno: -EMFILE. */
int sl_desk_open(int filler);

/* Give the number up, until it is opened again. Context: while no worker runs. */
void sl_desk_close(void);

/* A duplicate of fd. -errno: -EBADF: nothing is at fd. Give it back with sl_desk_return(). */
int sl_desk_lend(int fd);
void sl_desk_return(void);

/* In a forked child: what lay there goes on in the parent only. */
void sl_desk_forked(void);

#endif
