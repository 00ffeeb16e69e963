/* jvm_socket.h - the attach socket of a HotSpot VM, /tmp/.java_pidPID: found, opened by the VM where it is not there yet, and asked.
 *
 * The VM opens it when it gets SIGQUIT while a file .attach_pidPID of its user lies in its /tmp or its working directory; without that
 * file SIGQUIT makes it print all its stacks, and where it does not catch the signal it would die.
 *
 * Layer: cli. Context: one thread, sl_held_signals_begin(). Source: attachListener_linux.cpp (since JDK 21 attachListener_posix.cpp). The
 * VM serves its own user, in JDK 8 not even root: all this is done as that user.
 */
#ifndef SL_CLI_JVM_SOCKET_H
#define SL_CLI_JVM_SOCKET_H

#include <stdbool.h>

#include "cli/jvm_protocol.h"
#include "cli/proc.h"

/* Does it lie there? Nobody is asked. */
bool sl_jvm_socket_exists(const struct sl_proc *proc);

/* A connected socket of that very process. -ENOENT: it has none; -EPERM: another process answers there, or we cannot be its user;
 * -EAGAIN: too many wait there already. */
int sl_jvm_socket_connect(const struct sl_proc *proc);

/* Have the VM open it, and connect. -EROFS: neither folder takes the file; -EEXIST: one of another user is there; -ENXIO: it does not
 * catch SIGQUIT; -ESRCH: it has ended; -ETIMEDOUT; -EINTR: a signal wants to end us. Blocks: patience_ms at most. */
int sl_jvm_socket_wake(const struct sl_proc *proc, unsigned patience_ms);

/* Ask and read all of the answer, which ends with the connection. Takes fd. 0; -ETIMEDOUT; -EINTR; -EPROTO: it was closed without
 * a word; -EFBIG: the request is longer than the VM takes. */
int sl_jvm_socket_ask(int fd, const char *verb, const char *const arguments[SL_JVM_ARGUMENTS],
                      unsigned patience_ms, struct sl_jvm_answer *answer);

#endif
