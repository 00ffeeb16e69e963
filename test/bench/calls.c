/* Build: -pthread -D_GNU_SOURCE */
/* calls - makes one kind of call over and over.
 *
 * `calls time KIND THREADS one|many N [PORT]` prints the nanoseconds of a processor that a call took: each thread makes N,
 * all of them on one fd or each on its own. `calls count N`, under callgrind, makes N calls of each kind on one fd, and has
 * callgrind write the sum of each. KIND is
 *
 *   send, recv, write, read             on a connected TCP socket, where they move no byte: the least that such a call can be
 *   send-, recv-, write-, read-         the same on a pipe, which nobody tracks
 *   exchange                            send() and recv() of a byte between two TCP sockets
 *   open:DEPTH                          socket(), connect() to PORT and close(), with DEPTH frames on the stack
 *   fresh:DEPTH                         the same, each from a stack that was not there before (4,000 at most)
 *   refused:DEPTH                       socket(), connect() to where no route leads, and close(): what an open costs without
 *                                       the work of the loopback device, which is a hundred times as much
 *   getpid                              that: the least that a system call can be
 *   accept                              accept() and close() of what another thread connects
 *
 * `calls mix N PORT` is a small workload of everything: N times an open of 16 frames, and ten exchanges.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "bench.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(text) (void)(text)
#endif

#define THREADS_MAX 64
#define FRAMES_BELOW \
	9 /* _start, two of libc, main, time_calls(), run_kind(), do_open(), descend(), open_once() */

struct work {
	const char *kind;
	int fd, other; /* two ends, or a pipe's */
	int port;
	int depth;
	long n;
};

static char byte, bytes[64];

static void __attribute__((noinline)) open_once(int port)
{
	close(connect_to(port));
}

static int is_refused; /* open_once() goes nowhere */

static void __attribute__((noinline)) open_refused(void)
{
	struct sockaddr_in place = loopback(1);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	place.sin_addr.s_addr = htonl(0x0a000001);
	need(connect(fd, (struct sockaddr *)&place, sizeof(place)) < 0 && errno == ENETUNREACH,
	     "connect to 10.0.0.1 (a network of its own has no route there)");
	close(fd);
}

/* The empty statements keep the calls from being the last thing done, which would drop the frame. */
static void __attribute__((noinline)) descend(int port, int depth)
{
	if (depth > 0)
		descend(port, depth - 1);
	else if (is_refused)
		open_refused();
	else
		open_once(port);
	__asm__ volatile("");
}

/* Each bit of `way` goes down by another line. */
static void __attribute__((noinline)) wander(int port, int depth, unsigned way)
{
	if (depth == 0)
		open_once(port);
	else if (way & 1) {
		wander(port, depth - 1, way >> 1);
		__asm__ volatile("# odd");
	} else {
		wander(port, depth - 1, way >> 1);
		__asm__ volatile("# even");
	}
	__asm__ volatile("");
}

static void __attribute__((noinline)) do_open(const struct work *work)
{
	for (long i = 0; i < work->n; i++)
		descend(work->port, work->depth);
	__asm__ volatile("");
}

static void __attribute__((noinline)) do_fresh(const struct work *work)
{
	for (long i = 0; i < work->n; i++)
		wander(work->port, work->depth, (unsigned)i);
	__asm__ volatile("");
}

static void do_exchange(const struct work *work)
{
	for (long i = 0; i < work->n; i++)
		need(send(work->fd, &byte, 1, 0) == 1 && recv(work->other, &byte, 1, 0) == 1,
		     "exchange");
}

static void *connect_all(void *arg)
{
	const struct work *work = arg;

	for (long i = 0; i < work->n; i++)
		open_once(work->port);
	return NULL;
}

/* The connections are all there before. */
static void do_accept(const struct work *work)
{
	for (long i = 0; i < work->n; i++) {
		int fd = accept(work->fd, NULL, NULL);
		need(fd >= 0, "accept");
		close(fd);
	}
}

static void do_getpid(const struct work *work)
{
	for (long i = 0; i < work->n; i++)
		syscall(SYS_getpid);
}

static void do_send(const struct work *work)
{
	for (long i = 0; i < work->n; i++)
		send(work->other, &byte, 0, 0);
}

static void do_write(const struct work *work)
{
	for (long i = 0; i < work->n; i++)
		write(work->other, &byte, 0);
}

static void do_recv(const struct work *work)
{
	for (long i = 0; i < work->n; i++)
		recv(work->fd, bytes, sizeof(bytes), 0);
}

static void do_read(const struct work *work)
{
	for (long i = 0; i < work->n; i++)
		read(work->fd, bytes, sizeof(bytes));
}

static const struct {
	const char *name;
	void (*run)(const struct work *);
} kinds[] = {
	{"send", do_send},    {"recv", do_recv},     {"write", do_write},
	{"read", do_read},    {"send-", do_send},    {"recv-", do_recv},
	{"write-", do_write}, {"read-", do_read},    {"exchange", do_exchange},
	{"open", do_open},    {"refused", do_open},  {"getpid", do_getpid},
	{"fresh", do_fresh},  {"accept", do_accept},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* The fds of one thread's work. */
static void prepare(struct work *work)
{
	int ends[2], port;

	if (strchr(work->kind, '-')) {
		need(pipe(ends) == 0, "pipe");
	} else if (strcmp(work->kind, "accept") == 0) {
		ends[0] = ends[1] = listen_somewhere(&work->port);
		return (void)(work->fd = ends[0]);
	} else {
		int listener = listen_somewhere(&port);
		ends[1] = connect_to(port);
		ends[0] = accept(listener, NULL, NULL);
		need(ends[0] >= 0, "accept");
		close(listener);
	}
	if (strcmp(work->kind, "exchange") != 0)
		need(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0, "fcntl");
	work->fd = ends[0];
	work->other = ends[1];
}

static pthread_barrier_t together;

static void __attribute__((noinline)) run_kind(const struct work *work)
{
	size_t length = strcspn(work->kind, ":");

	for (size_t k = 0; k < KINDS; k++)
		if (strlen(kinds[k].name) == length && !strncmp(kinds[k].name, work->kind, length))
			return kinds[k].run(work);
	exit(2);
}

static void *run_thread(void *arg)
{
	pthread_barrier_wait(&together);
	run_kind(arg);
	pthread_barrier_wait(&together);
	return NULL;
}

static struct work work_of(const char *kind, long n, int port)
{
	struct work work = {.kind = kind, .port = port, .n = n};
	const char *depth = strchr(kind, ':');

	is_refused = strncmp(kind, "refused", 7) == 0;
	if (depth)
		work.depth = atoi(depth + 1) - FRAMES_BELOW;
	return work;
}

static void warm(const struct work *work)
{
	struct work little = *work;
	pthread_t connecting;

	little.n = 20;
	if (strcmp(work->kind, "accept") == 0) {
		little.n += work->n;
		need(!pthread_create(&connecting, NULL, connect_all, &little), "thread");
		need(!pthread_join(connecting, NULL), "join");
		little.n = 20;
	}
	if (strncmp(work->kind, "fresh", 5) != 0)
		run_kind(&little);
}

static void __attribute__((noinline))
time_calls(const char *kind, int threads, int is_many, long n, int port)
{
	static struct work work[THREADS_MAX];
	pthread_t thread;

	need(threads <= THREADS_MAX, "threads");
	need(!pthread_barrier_init(&together, NULL, (unsigned)threads + 1), "barrier");
	for (int i = 0; i < threads; i++) {
		work[i] = i && !is_many ? work[0] : work_of(kind, n, port);
		if (!i || is_many)
			prepare(&work[i]);
		if (!i)
			warm(work);
	}
	if (threads == 1) {
		double start = now_ns(CLOCK_THREAD_CPUTIME_ID);
		run_kind(work);
		printf("%.2f\n", (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / (double)n);
		return;
	}
	for (int i = 0; i < threads; i++)
		need(!pthread_create(&thread, NULL, run_thread, &work[i]), "thread");
	pthread_barrier_wait(&together);
	double start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	pthread_barrier_wait(&together);
	printf("%.2f\n", (now_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / (double)n / threads);
}

static void count_calls(long n)
{
	static const char *const counted[] = {"send",  "recv",  "write",  "read",
	                                      "send-", "recv-", "write-", "read-"};

	for (size_t k = 0; k < sizeof(counted) / sizeof(counted[0]); k++) {
		struct work work = work_of(counted[k], n, 0);
		prepare(&work);
		warm(&work);
		CALLGRIND_ZERO_STATS;
		run_kind(&work);
		CALLGRIND_DUMP_STATS_AT(counted[k]);
	}
}

static void mix(long n, int port)
{
	struct work open = work_of("open:16", 1, port), exchange = work_of("exchange", 10, port);

	prepare(&exchange);
	double start = now_ns(CLOCK_MONOTONIC);
	for (long i = 0; i < n; i++) {
		do_open(&open);
		do_exchange(&exchange);
	}
	printf("%.2f\n", (now_ns(CLOCK_MONOTONIC) - start) / (double)n);
}

int main(int argc, char **argv)
{
	/* What opens no TCP socket has no second thread under the library, and is no pair with one that has. */
	need(socket(AF_INET, SOCK_STREAM, 0) >= 0, "socket");
	if (argc >= 6 && strcmp(argv[1], "time") == 0)
		time_calls(argv[2], atoi(argv[3]), strcmp(argv[4], "many") == 0, atol(argv[5]),
		           argc > 6 ? atoi(argv[6]) : 0);
	else if (argc == 3 && strcmp(argv[1], "count") == 0)
		count_calls(atol(argv[2]));
	else if (argc == 4 && strcmp(argv[1], "mix") == 0)
		mix(atol(argv[2]), atoi(argv[3]));
	else
		return 2;
	fflush(stdout);
	_exit(0); /* not what an exit costs with threads and sockets */
}
