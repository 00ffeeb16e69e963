/* Build: -D_GNU_SOURCE */
/* crowd - a program with many connections that it does nothing with. Prints "ready"; obeys lines, and answers "ok ...".
 *
 * `crowd PORT N SITES` connects N times, from SITES different stacks.
 *
 *   busy        a byte out on each of them
 *   poll TIMES  nanoseconds of a processor for each socket: poll() for POLLRDHUP, 1,024 at a time, as a sweep asks
 *   info        the same of getsockopt(TCP_INFO), as a report asks
 *   gap MS      calls recv() for so long; microseconds of the longest pause between two, and how many there were
 */
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>

#include "bench.h"

#define BATCH 1024

#define MOST (1 << 20)

static int fds[MOST] __attribute__((aligned(4096))),
	n; /* not on the heap: a library has other things there */

static int __attribute__((noinline)) wander(int port, int depth, unsigned way)
{
	int fd;

	if (depth == 0)
		fd = connect_to(port);
	else if (way & 1) {
		fd = wander(port, depth - 1, way >> 1);
		__asm__ volatile("# odd");
	} else {
		fd = wander(port, depth - 1, way >> 1);
		__asm__ volatile("# even");
	}
	__asm__ volatile("");
	return fd;
}

static void be_busy(void)
{
	for (int i = 0; i < n; i++)
		need(send(fds[i], "x", 1, MSG_NOSIGNAL) == 1, "send");
	puts("ok");
}

static void price_poll(int times)
{
	struct pollfd polled[BATCH];
	double start = now_ns(CLOCK_THREAD_CPUTIME_ID);

	for (int t = 0; t < times; t++) {
		for (int first = 0; first < n; first += BATCH) {
			int count = n - first < BATCH ? n - first : BATCH;
			for (int i = 0; i < count; i++)
				polled[i] = (struct pollfd){fds[first + i], POLLRDHUP, 0};
			need(poll(polled, (nfds_t)count, 0) >= 0, "poll");
		}
	}
	printf("ok %.2f\n", (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / times / n);
}

static void price_info(void)
{
	struct tcp_info info;
	double start = now_ns(CLOCK_THREAD_CPUTIME_ID);

	for (int i = 0; i < n; i++) {
		socklen_t length = sizeof(info);
		need(getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, &info, &length) == 0, "getsockopt");
	}
	printf("ok %.2f\n", (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / n);
}

static void look_for_gap(double ms)
{
	double start = now_ns(CLOCK_MONOTONIC), last = start, longest = 0;
	long calls = 0;
	char byte;

	while (last < start + ms * 1e6) {
		recv(fds[0], &byte, 1, MSG_DONTWAIT);
		double now = now_ns(CLOCK_MONOTONIC);
		if (now - last > longest)
			longest = now - last;
		last = now;
		calls++;
	}
	printf("ok %.1f %ld\n", longest / 1e3, calls);
}

int main(int argc, char **argv)
{
	char line[128];
	struct rlimit limit;

	if (argc != 4)
		return 2;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	n = atoi(argv[2]);
	need(n <= MOST, "a number that is not too large");
	for (int i = 0; i < n; i++)
		fds[i] = wander(atoi(argv[1]), 14, (unsigned)(i % atoi(argv[3])));
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "busy", 4) == 0)
			be_busy();
		else if (strncmp(line, "poll ", 5) == 0)
			price_poll(atoi(line + 5));
		else if (strncmp(line, "info", 4) == 0)
			price_info();
		else if (strncmp(line, "gap ", 4) == 0)
			look_for_gap(atof(line + 4));
		else
			return 2;
		fflush(stdout);
	}
	_exit(0);
}
