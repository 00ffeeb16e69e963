/* kernel.h - what the kernel says of one socket.
 *
 * Only questions that change nothing: never SO_ERROR, nor MSG_PEEK where nothing is known to wait, which take away what the program
 * should see.
 *
 * Layer: watch. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 * Source: tcp_get_info() in net/ipv4/tcp.c; socket(7), tcp(7).
 */
#ifndef SL_WATCH_KERNEL_H
#define SL_WATCH_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/kinds.h"
#include "ledger/peers.h"

/* TCP_INFO, as far as it is used. Ages are ms before the call. */
struct sl_kernel_tcp {
	uint8_t state; /* TCP_* of netinet/tcp.h */
	uint8_t retransmits;
	uint8_t probes;
	uint32_t backlog; /* of a listener: connections that wait to be accepted */
	uint32_t backlog_limit;
	uint32_t last_data_sent_ms;
	uint32_t last_data_recv_ms;
	uint32_t last_ack_recv_ms;
	uint64_t bytes_sent; /* each byte once: what was sent again does not count */
	uint64_t bytes_acked;
	bool was_established; /* bytes have gone: the SYN of a connect() counts as one, that of an accept() not */
	bool has_unsent; /* not sent, or not acknowledged */
};

struct tcp_info;
/* From what the kernel gave; zeroed where it gave less than the whole. */
void sl_kernel_tcp_of(const struct tcp_info *info, struct sl_kernel_tcp *tcp);

/* 0, or -errno: -ENOTSOCK and -EOPNOTSUPP where fd is something else by now. */
int sl_kernel_tcp(int fd, struct sl_kernel_tcp *tcp);

/* SIOCINQ and SIOCOUTQ. 0 where the kernel does not say. */
uint32_t sl_kernel_unread_bytes(int fd);
uint32_t sl_kernel_unsent_bytes(int fd);

/* Are these unread bytes a lone TLS close_notify, an alert of 31 bytes in TLS 1.2 and of 24 in 1.3 (RFC 5246, 7.2.1; RFC 8446, 5.2
 * and 6.1)? Only then are they looked at, with MSG_PEEK: data that waits is shown before a pending error would be
 * taken, and stays. */
#define SL_CLOSE_NOTIFY_MAX 31u
bool sl_kernel_is_close_notify(int fd, uint32_t unread_bytes);

/* SO_COOKIE: one number for one socket, for as long as the machine runs. 0: not to be had. */
uint64_t sl_kernel_cookie(int fd);

bool sl_kernel_local(int fd, struct sl_endpoint *endpoint);
bool sl_kernel_peer(int fd, struct sl_endpoint *endpoint);

/* The kind of socket that socket(domain, type, protocol) makes, or that fd is; SL_KIND_NONE: no socket. */
enum sl_kind sl_kernel_kind_of(int domain, int type, int protocol);
enum sl_kind sl_kernel_kind(int fd);
bool sl_kernel_is_listener(int fd);

#endif
