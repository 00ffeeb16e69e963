/* outside.h - the sockets of any process, seen from outside: nothing is put into it, and it is not stopped.
 *
 * Each fd is copied by pidfd_getfd(2), which takes the rights of ptrace(2), asked, and closed. Where that is not permitted, its
 * inodes in /proc/PID/fd are looked up among the sockets of its network namespace (diag.h); those in state CLOSE are missing
 * there.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_OUTSIDE_H
#define SL_CLI_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/kinds.h"
#include "ledger/peers.h"
#include "watch/kernel.h"

struct sl_outside_socket {
	uint64_t inode;
	uint64_t cookie; /* 0: not known */
	int fd;          /* the lowest that has it */
	bool is_shared;  /* several fds of this process have it */
	bool is_listener;
	bool has_peer;
	bool has_keepalive;
	bool is_eof_known; /* whether the program has read the end: of CLOSE_WAIT alone, and not always */
	bool has_read_eof;
	bool is_close_notify; /* what waits unread is a lone one of TLS */
	enum sl_direction direction;
	struct sl_kernel_tcp tcp;
	struct sl_endpoint local, peer;
	uint32_t unread, unsent;
};

struct sl_outside {
	struct sl_outside_socket *sockets; /* TCP, each once */
	uint32_t count;
	uint64_t fds; /* in use, of whatever kind */
	uint64_t by_kind[SL_KIND_COUNT];
	bool is_by_diag; /* the second way was taken */
};

/* 0; -ESRCH; -EACCES: its fds are not ours to see; -EPERM: its network namespace; -ENOMEM. */
int sl_outside_look(int pid, struct sl_outside *outside);
void sl_outside_free(struct sl_outside *outside);

/* A copy of one fd, -errno: -EPERM. `pidfd` is of pidfd_open(2). */
int sl_outside_copy(int pidfd, int fd);

/* All that is asked through a copy. False: no TCP socket. */
bool sl_outside_ask(int copy, struct sl_outside_socket *socket);

#endif
