/* Build: -D_GNU_SOURCE */
/* load - a client that sends a line and waits for its echo, on so many connections at once; never under the library.
 *
 * `load PORT CONNECTIONS SECONDS kept|fresh` prints the exchanges a second; fresh: each on a connection of its own.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "bench.h"

static const char line[] = "0123456789abcdef0123456789abcde\n";
static int set;

static void begin(int port)
{
	int fd = connect_to(port);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	need(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
	need(write(fd, line, sizeof(line) - 1) == sizeof(line) - 1, "write");
}

int main(int argc, char **argv)
{
	struct epoll_event events[64];
	char bytes[4096];
	long done = 0;

	if (argc != 5)
		return 2;
	int port = atoi(argv[1]), is_kept = argv[4][0] == 'k';
	set = epoll_create1(0);
	for (int i = 0; i < atoi(argv[2]); i++)
		begin(port);
	double start = now_ns(CLOCK_MONOTONIC), end = start + atof(argv[3]) * 1e9;
	while (now_ns(CLOCK_MONOTONIC) < end) {
		int n = epoll_wait(set, events, 64, 1000);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			/* A line of this length comes in one piece over loopback. */
			need(read(fd, bytes, sizeof(bytes)) == sizeof(line) - 1, "read");
			done++;
			if (is_kept) {
				need(write(fd, line, sizeof(line) - 1) == sizeof(line) - 1,
				     "write");
				continue;
			}
			close(fd);
			begin(port);
		}
	}
	printf("%.1f\n", (double)done / ((now_ns(CLOCK_MONOTONIC) - start) / 1e9));
	return 0;
}
