/* threads.h - threads of a case: begin, wait for a condition, wait until one blocks in a system call.
 *
 * Conditions are asked for again and again, never slept for. What a thread on a small stack observes it notes in its struct; the
 * main thread tells it.
 */
#ifndef THREADS_H
#define THREADS_H

#include "cases.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#define PATIENCE_S 40

static inline bool is_time_up(time_t *begin)
{
	struct timespec now, pause = {0, 200000};
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (*begin == 0)
		*begin = now.tv_sec;
	nanosleep(&pause, NULL);
	return now.tv_sec - *begin > PATIENCE_S;
}

#define AWAIT(condition)                               \
	do {                                           \
		time_t await_begin = 0;                \
		while (!(condition))                   \
			if (is_time_up(&await_begin))  \
				cases_die(#condition); \
	} while (0)

static inline int get(const int *value)
{
	return __atomic_load_n(value, __ATOMIC_SEQ_CST);
}

static inline void set(int *value, int to)
{
	__atomic_store_n(value, to, __ATOMIC_SEQ_CST);
}

static inline int own_tid(void)
{
	return (int)syscall(SYS_gettid);
}

static inline pthread_t begin(void *(*run)(void *), void *context)
{
	pthread_t thread;
	errno = pthread_create(&thread, NULL, run, context);
	if (errno)
		cases_die("pthread_create");
	return thread;
}

static inline void *end_of(pthread_t thread)
{
	void *value;
	errno = pthread_join(thread, &value);
	if (errno)
		cases_die("pthread_join");
	return value;
}

/* The system call that a thread of this process is in, past libc; -1: none. */
static inline long call_of(int tid)
{
	char path[64], text[64];
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	long n = fd < 0 ? -1 : syscall(SYS_read, fd, text, sizeof(text) - 1);
	if (fd >= 0)
		syscall(SYS_close, fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	return text[0] >= '0' && text[0] <= '9' ? atol(text) : -1;
}

/* Wait until the thread with this tid blocks in the system call. */
static inline void await_call(const int *tid, long number)
{
	AWAIT(get(tid) != 0 && call_of(get(tid)) == number);
}

/* The same for other threads: all there are but the caller's own, one of which blocks so. */
static inline bool is_gone(int tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) != 0;
}

/* Nothing of what was sent is on its way: no answer will make room. */
static inline bool is_at_rest(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
	return info.tcpi_unacked == 0;
}

/* Fill what the peer does not read; the socket is left blocking. */
static inline void fill(int fd)
{
	static char bytes[4096];
	int small = 4096;
	time_t begin_s = 0;
	MUST(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
	for (;;) {
		bool was_at_rest = is_at_rest(fd);
		bool has_room = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0;
		if (was_at_rest && !has_room && is_at_rest(fd))
			return;
		if (!has_room && is_time_up(&begin_s))
			cases_die("fill");
	}
}

/* All that is there to read. */
static inline void drain(int fd)
{
	char bytes[4096];
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* A listener that takes no more: a connect() to it blocks. held[0] listens, held[1] is the one that waits to be accepted. */
static inline void full_listener(struct sockaddr_in *address, int held[2])
{
	held[0] = listener(address);
	MUST(listen(held[0], 0));
	held[1] = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(held[1], (struct sockaddr *)address, sizeof(*address)));
}

#endif
