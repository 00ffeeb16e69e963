/* epoll_ignores_eof - a server on epoll, edge-triggered, that takes a read of 0 for "nothing more just now". */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

static void take_clients(int epoll, int listener)
{
	int fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) { /* LEAK */
		struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	}
}

static void serve(int fd)
{
	char request[4096];
	ssize_t n;
	while ((n = recv(fd, request, sizeof(request), 0)) > 0) /* EOF */
		if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
			break;
	if (n < 0 && errno != EAGAIN)
		close(fd);
}

static int listen_at(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	                         .sin_port = htons((uint16_t)port),
	                         .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 128) < 0)
		exit(1);
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	int listener = listen_at(atoi(argv[1])), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	alarm(120); /* whoever started it may be gone */
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				take_clients(epoll, listener);
			else
				serve(events[i].data.fd);
		}
	}
}
