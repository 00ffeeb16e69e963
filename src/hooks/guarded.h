/* guarded.h - writes to a socket that the worker has marked (sl_fd_mark), and calls that would wake a dead one.
 *
 * While an action may come, a write counts itself in the slot, and the worker acts only while the count is 0: so no write
 * is ever under way when its socket is shut down. After an action a write says EPIPE, as for any connection that is closed, and
 * raises no SIGPIPE (MSG_NOSIGNAL, send(2)): without us the first write to that CLOSE_WAIT would have succeeded, and the signal
 * ends the program. Trying to send on what we ended is a regret.
 *
 * Layer: hooks. Locks: none; waits for an action's few system calls. Async-signal-safe: everything here.
 */
#ifndef SL_HOOKS_GUARDED_H
#define SL_HOOKS_GUARDED_H

#include <stdbool.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Each does what the function of its name does. */
ssize_t sl_guarded_write(int fd, const void *bytes, size_t n);
ssize_t sl_guarded_writev(int fd, const struct iovec *iov, int count);
ssize_t sl_guarded_send(int fd, const void *bytes, size_t n, int flags);
ssize_t sl_guarded_sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to,
                          socklen_t length);
ssize_t sl_guarded_sendmsg(int fd, const struct msghdr *message, int flags);
int sl_guarded_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
ssize_t sl_guarded_sendfile(int to, int from, off_t *offset, size_t n);
ssize_t sl_guarded_splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t n,
                          unsigned flags);

/* Did we end the socket at fd? Then connect(), bind() and listen() on it fail as they did while it was in CLOSE_WAIT. */
bool sl_guarded_is_ended(int fd);

/* dprintf() writes past the hooks: false where it would meet an end that we made. errno is set then. */
bool sl_guarded_may_print(int fd);

#endif
