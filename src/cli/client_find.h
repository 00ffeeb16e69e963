/* client_find.h - a connection to the control socket of a process. A part of client.c.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_CLIENT_FIND_H
#define SL_CLI_CLIENT_FIND_H

#include "cli/proc.h"

/* A connected socket, of which nobody has checked who the server is; or -ENOENT, -EACCES; -ETIMEDOUT: so many wait there already that
 * there was no place in the queue. Blocks: patience_ms at most. */
int sl_client_connect(const struct sl_proc *proc, unsigned patience_ms);

#endif
