/* Build: -D_GNU_SOURCE */
/* peer - the other side of the connections; never under the library. Prints "ready PORT".
 *
 *   peer close   accepts and closes
 *   peer hold    accepts, reads what comes, keeps; a line "close" on standard input closes all that there are
 *   peer answer  accepts, reads a request, answers like an HTTP server, closes
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "bench.h"

#define FDS_MAX 65536

static int set, listener;
static char held[FDS_MAX], bytes[65536];
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

static void watch(int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	need(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void take_all(char mode)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		if (mode == 'c') {
			close(fd);
			continue;
		}
		need(fd < FDS_MAX, "fds");
		held[fd] = 1;
		watch(fd);
	}
}

static void let_go(int fd)
{
	held[fd] = 0;
	close(fd);
}

static void obey(void)
{
	int count = 0;

	if (read(0, bytes, sizeof(bytes)) <= 0)
		exit(0);
	for (int fd = 0; fd < FDS_MAX; fd++) {
		if (!held[fd])
			continue;
		let_go(fd);
		count++;
	}
	printf("ok %d\n", count);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	int port;

	if (argc != 2)
		return 2;
	set = epoll_create1(0);
	listener = listen_somewhere(&port);
	need(fcntl(listener, F_SETFL, O_NONBLOCK) == 0, "fcntl");
	watch(listener);
	watch(0);
	printf("ready %d\n", port);
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(set, events, 256, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listener) {
				take_all(argv[1][0]);
			} else if (fd == 0) {
				obey();
			} else if (held[fd]) {
				ssize_t got = read(fd, bytes, sizeof(bytes));
				if (got > 0 && argv[1][0] == 'a')
					(void)!write(fd, answer, sizeof(answer) - 1);
				if ((got <= 0 && errno != EAGAIN) || got == 0 || argv[1][0] == 'a')
					let_go(fd);
			}
		}
	}
}
