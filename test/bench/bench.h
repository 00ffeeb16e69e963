/* bench.h - what the programs that are measured share: a loopback connection, a clock, and no patience. */
#ifndef SL_BENCH_H
#define SL_BENCH_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static inline double now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static inline struct sockaddr_in loopback(int port)
{
	struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};

	place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return place;
}

/* On a port that the kernel chose; *port says which. */
static inline int listen_somewhere(int *port)
{
	struct sockaddr_in place = loopback(0);
	socklen_t length = sizeof(place);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	need(bind(listener, (struct sockaddr *)&place, length) == 0, "bind");
	need(listen(listener, 4096) == 0, "listen");
	need(getsockname(listener, (struct sockaddr *)&place, &length) == 0, "getsockname");
	*port = ntohs(place.sin_port);
	return listener;
}

/* A connection that is reset when it is closed, so that no port waits in TIME_WAIT. */
static inline int connect_to(int port)
{
	struct sockaddr_in place = loopback(port);
	struct linger at_once = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	need(fd >= 0, "socket");
	need(connect(fd, (struct sockaddr *)&place, sizeof(place)) == 0, "connect");
	need(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0, "linger");
	return fd;
}

#endif
