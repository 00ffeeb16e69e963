/* tcp.h - TCP connections on the loopback for the tests, and waiting for what the kernel makes of them.
 *
 * Whatever fails, fails the test that called. Nothing here records anything: tcp_record() does, as the doors would.
 */
#ifndef SL_TEST_TCP_H
#define SL_TEST_TCP_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_MS 4000

/* Both ends of one connection, and what it came from; -1: closed. */
struct tcp_pair {
	int listener;
	uint16_t port;
	int client;
	int server;
};

/* A listener on 127.0.0.1, or on :: for IPv4 and IPv6. */
int tcp_listen(bool is_v6, int backlog, uint16_t *port);
/* A connection to 127.0.0.1; through an IPv6 socket as ::ffff:127.0.0.1. */
int tcp_connect(bool is_v6, uint16_t port);

void tcp_open(struct tcp_pair *pair);
void tcp_close(struct tcp_pair *pair);

/* Close so that the other end gets a RST. */
void tcp_reset(int fd);

/* From now on this end drops whatever comes in: to the other one it is dead. */
void tcp_deafen(int fd);
void tcp_hear_again(int fd);

/* Integer socket options. */
int tcp_option(int fd, int level, int name);
void tcp_set_option(int fd, int level, int name, int value);

/* It is established, and a byte goes from the client to the server. */
void tcp_check_alive(const struct tcp_pair *pair);
/* The end of the stream comes, and no error: a FIN and no RST. */
void tcp_check_fin(int fd);

/* TCP_* of netinet/tcp.h. */
int tcp_state(int fd);
void tcp_await_state(int fd, int state);
/* Until that many bytes wait to be read. */
void tcp_await_unread(int fd, int bytes);
/* Until everything sent is acknowledged. */
void tcp_await_sent(int fd);

/* From the client to the server only little is under way at a time: TCP_TOO_MUCH in one write hangs until the server reads. */
#define TCP_TOO_MUCH (1u << 20)
void tcp_narrow(const struct tcp_pair *pair);

/* Until it holds; fails after PATIENCE_MS and says what was awaited. */
typedef bool await_fn(void *context);
bool holds_soon(await_fn *holds, void *context); /* the same for a child: false in vain */
void await(await_fn *holds, void *context, const char *what);

/* Record fd in the ledger, with these flags and this site. */
void tcp_record(int fd, uint32_t flags, uint32_t site);
/* As a hook would: forget, then close. */
void tcp_close_recorded(int fd);

#endif
