/* diag.h - the TCP sockets of a network namespace, as the kernel lists them (sock_diag(7)).
 *
 * Layer: cli. Context: one thread: the calling one may enter another namespace for a moment.
 */
#ifndef SL_CLI_DIAG_H
#define SL_CLI_DIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/peers.h"
#include "watch/kernel.h"

struct sl_diag_socket {
	uint64_t inode; /* 0: no process has it, as in TIME_WAIT */
	uint64_t cookie;
	uint8_t state; /* TCP_* */
	bool has_tcp;
	struct sl_kernel_tcp tcp;
	struct sl_endpoint local, peer;
	uint32_t unread, unsent; /* of a listener: the backlog and its limit */
	bool has_keepalive;
	bool is_aged;      /* in TIME_WAIT for more than a second */
	bool has_read_eof; /* in CLOSE_WAIT: the program has read the end, and has not closed */
};

typedef void sl_diag_fn(void *context, const struct sl_diag_socket *socket);

#define SL_DIAG_ALL (~0u)

/* Every TCP socket of the namespace that the process is in, of these states (a bit 1 << TCP_* each). 0, or -errno: -EPERM where that namespace may not be entered.
 * What is in state CLOSE is in no list of the kernel's. */
int sl_diag_each(int pid, uint32_t states, sl_diag_fn *each, void *context);

/* A whole number of a file of /proc/sys/net as that namespace sees it, or two; how many were read, or -errno. */
int sl_diag_setting(int pid, const char *path, long values[2]);

#endif
