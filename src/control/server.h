/* server.h - the control socket: a thread of its own that listens, answers the command `sockleak`, and never holds up anybody.
 *
 * Like the clerk it has an fd table of its own: nothing of it lies among the program's numbers, the program cannot close it, and it
 * answers when the program has no number left. One client at a time, each with little time to ask and to listen. It serves the
 * process's own user and root only (SO_PEERCRED, unix(7)); never the overflow uid, as whom every unmapped user appears.
 *
 * Layer: control. Locks: none. Fork: sl_server_forked(). errno: untouched.
 */
#ifndef SL_CONTROL_SERVER_H
#define SL_CONTROL_SERVER_H

#include <stdbool.h>

/* Start it, if control= says so and it is not there. Context: the worker. Errors: without a thread or a socket there is none. */
void sl_server_start(void);

/* End it; true: it is gone. Ask again until it is. Context: the worker, or whoever switches the library off. */
bool sl_server_end(void);

/* How many threads there are of it. */
unsigned sl_server_threads(void);

void sl_server_forked(void);

#endif
