/* dead.h - the dead sockets: what stands behind a neutralized fd number.
 *
 * One for each family, blocking and not, shared by all numbers that were neutralized: never connected, and shut down. shutdown(2) says
 * ENOTCONN and marks it all the same (inet_shutdown() in net/ipv4/af_inet.c); from then on recv() gives 0, send() EPIPE,
 * getpeername() ENOTCONN, poll() IN|OUT|HUP|RDHUP: what a connection shows that its peer has closed. The hooks
 * refuse what would wake one; that one is looked at before each use, and replaced if it is not as dead as it was.
 *
 * Layer: reclaim. Locks: none. Fork: the child has them too. errno: untouched.
 */
#ifndef SL_RECLAIM_DEAD_H
#define SL_RECLAIM_DEAD_H

#include <stdbool.h>
#include <stdint.h>

/* Worker: the dead socket of this family (AF_INET, AF_INET6): one of our own fds. -errno: none is to be had. Made, or made anew
 * where the program has changed the old one. */
int sl_dead_socket(int family, bool is_nonblocking);

/* Close those that are kept; numbers that have one keep it. Context: while no worker runs. */
void sl_dead_close(void);

/* Is the socket at fd as dead as it was made? Changes nothing. */
bool sl_dead_is_dead(int fd);

/* From a hook, before the real call: give the neutralized number fd a dead socket of its own. 0 or -errno. Takes the lowest free
 * number for a moment. The call is counted in the slot (sl_fdtable_write_begin()): the worker does not close the number meanwhile. */
int sl_dead_become_own(int fd);

#endif
