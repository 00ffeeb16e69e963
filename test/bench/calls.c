/* calls - makes one kind of call over and over, and prints what one of them took.
 *
 * `calls WHAT N` prints nanoseconds for each of N rounds. A round is
 *   tracked    send() and recv() of a byte on a connected TCP socket pair
 *   untracked  write() and read() of a byte on a pipe
 *   connect    socket(), connect() to a listener, close(), and the other side's accept() and close()
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in place;
static int listener;

static void need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void start_listening(void)
{
	socklen_t length = sizeof(place);

	listener = socket(AF_INET, SOCK_STREAM, 0);
	place.sin_family = AF_INET;
	place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	need(bind(listener, (struct sockaddr *)&place, length) == 0, "bind");
	need(listen(listener, 16) == 0, "listen");
	need(getsockname(listener, (struct sockaddr *)&place, &length) == 0, "getsockname");
}

/* Both ends of a new connection. The client resets it at the end, so that no port waits in TIME_WAIT. */
static void connect_pair(int ends[2])
{
	struct linger at_once = {.l_onoff = 1};

	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	need(connect(ends[0], (struct sockaddr *)&place, sizeof(place)) == 0, "connect");
	need(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0, "linger");
	ends[1] = accept(listener, NULL, NULL);
	need(ends[1] >= 0, "accept");
}

static void __attribute__((noinline)) connect_once(void)
{
	int ends[2];

	connect_pair(ends);
	close(ends[0]);
	close(ends[1]);
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	int ends[2], pipes[2];
	char byte = 0;

	if (argc != 3)
		return 2;
	long n = atol(argv[2]);
	start_listening();
	connect_pair(ends);
	need(pipe(pipes) == 0, "pipe");
	double start = now_ns();
	if (strcmp(argv[1], "tracked") == 0) {
		for (long i = 0; i < n; i++)
			need(send(ends[0], &byte, 1, 0) == 1 && recv(ends[1], &byte, 1, 0) == 1,
			     "send");
	} else if (strcmp(argv[1], "untracked") == 0) {
		for (long i = 0; i < n; i++)
			need(write(pipes[1], &byte, 1) == 1 && read(pipes[0], &byte, 1) == 1,
			     "write");
	} else if (strcmp(argv[1], "connect") == 0) {
		for (long i = 0; i < n; i++)
			connect_once();
	} else {
		return 2;
	}
	printf("%.0f\n", (now_ns() - start) / (double)n);
	return 0;
}
