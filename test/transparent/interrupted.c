/* interrupted - calls that block until a handler of the program has run: which of them go on, and which say EINTR (signal(7)).
 *
 * A second thread waits until the call sleeps in the kernel, sends the signal, and once the handler has run gives the call
 * what it waits for: so one that goes on ends as well.
 */
#include "cases.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static int ends[2], at, pipes[2];
static struct sockaddr_in address;
static sem_t semaphore;
static volatile sig_atomic_t handled, is_ready, is_done;

static void handle(int number)
{
	handled += number > 0;
}

/* ---- calls, and what ends them ---- */

static char bytes[1 << 22];

static long call_read(void)
{
	return read(ends[0], bytes, 4);
}

static long call_readv(void)
{
	struct iovec one = {bytes, 4};
	return readv(ends[0], &one, 1);
}

static long call_recv(void)
{
	return recv(ends[0], bytes, 4, 0);
}

static long call_recvmsg(void)
{
	struct iovec one = {bytes, 4};
	struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
	return recvmsg(ends[0], &message, 0);
}

static long call_recv_with_timeout(void)
{
	struct timeval patience = {30, 0};
	MUST(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	long result = recv(ends[0], bytes, 4, 0);
	int error = errno;
	patience.tv_sec = 0;
	MUST(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	errno = error;
	return result;
}

static void end_reading(void)
{
	MUST(write(ends[1], "here", 4));
}

/* More than the buffers take: a part is written before it sleeps. */
static long call_write(void)
{
	return write(ends[0], bytes, sizeof(bytes)) > 0 ? 1 : -1;
}

static long call_send(void)
{
	return send(ends[0], bytes, sizeof(bytes), 0) > 0 ? 1 : -1;
}

/* Reads until all is written. */
static void end_writing(void)
{
	static char sink[1 << 16];
	struct pollfd more = {.fd = ends[1], .events = POLLIN};
	while (!is_done)
		if (poll(&more, 1, 10) == 1)
			MUST(read(ends[1], sink, sizeof(sink)));
}

static long call_accept(void)
{
	int fd = accept(at, NULL, NULL);
	return fd < 0 ? -1 : close(fd);
}

static void end_accepting(void)
{
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	MUST(close(fd));
}

static long call_poll(void)
{
	struct pollfd one = {.fd = ends[0], .events = POLLIN};
	return poll(&one, 1, -1);
}

static long call_select(void)
{
	fd_set one;
	FD_ZERO(&one);
	FD_SET(ends[0], &one);
	return select(ends[0] + 1, &one, NULL, NULL, NULL);
}

static long call_epoll_wait(void)
{
	struct epoll_event event = {.events = EPOLLIN}, found;
	int set = (int)MUST(epoll_create1(0));
	MUST(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
	long result = epoll_wait(set, &found, 1, -1);
	int error = errno;
	close(set);
	errno = error;
	return result;
}

static long call_read_pipe(void)
{
	return read(pipes[0], bytes, 4);
}

static void end_reading_pipe(void)
{
	MUST(write(pipes[1], "here", 4));
}

static long call_sem_wait(void)
{
	return sem_wait(&semaphore);
}

static void end_waiting(void)
{
	MUST(sem_post(&semaphore));
}

static long call_nanosleep(void)
{
	struct timespec time = {30, 0};
	return nanosleep(&time, NULL);
}

static long call_sleep(void)
{
	return sleep(30) > 0 ? -1 : 0;
}

static long call_pause(void)
{
	return pause();
}

static void end_nothing(void)
{
}

static const struct call {
	const char *name;
	long (*make)(void);
	void (*end)(void);
} calls[] = {
	{"read", call_read, end_reading},
	{"readv", call_readv, end_reading},
	{"recv", call_recv, end_reading},
	{"recvmsg", call_recvmsg, end_reading},
	{"recv with a timeout", call_recv_with_timeout, end_reading},
	{"write", call_write, end_writing},
	{"send", call_send, end_writing},
	{"accept", call_accept, end_accepting},
	{"poll", call_poll, end_reading},
	{"select", call_select, end_reading},
	{"epoll_wait", call_epoll_wait, end_reading},
	{"read from a pipe", call_read_pipe, end_reading_pipe},
	{"sem_wait", call_sem_wait, end_waiting},
	{"nanosleep", call_nanosleep, end_nothing},
	{"sleep", call_sleep, end_nothing},
	{"pause", call_pause, end_nothing},
};

/* ---- the interruption ---- */

struct interruption {
	pthread_t target;
	pid_t tid;
	int number;
	const struct call *call;
};

/* In a system call, and asleep: the file shows the number of the call then, else "running". */
static bool is_asleep(int file)
{
	char text[128] = "";
	return pread(file, text, sizeof(text) - 1, 0) > 0 && strncmp(text, "running", 7) != 0;
}

static void *interrupt(void *context)
{
	struct interruption *what = context;
	char path[64];
	int before = handled, asleep = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", what->tid);
	int file = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));
	MUST(dup2(file, 90));
	MUST(close(file));
	is_ready = 1;
	/* Several times in a row: not the sleep of a moment, on the way. */
	while (asleep < 5) {
		asleep = is_asleep(90) ? asleep + 1 : 0;
		sched_yield();
	}
	MUST(close(90));
	MUST(-pthread_kill(what->target, what->number));
	while (handled == before)
		sched_yield();
	what->call->end();
	return NULL;
}

/* What is left unread goes. */
static void drain(void)
{
	while (recv(ends[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	while (recv(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	struct pollfd more = {.fd = pipes[0], .events = POLLIN};
	while (poll(&more, 1, 0) == 1)
		MUST(read(pipes[0], bytes, sizeof(bytes)));
	more = (struct pollfd){.fd = at, .events = POLLIN};
	while (poll(&more, 1, 0) == 1)
		MUST(close(accept(at, NULL, NULL)));
	while (sem_trywait(&semaphore) == 0)
		;
}

static void try_all(int number, int flags)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
	MUST(sigaction(number, &action, NULL));
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		pthread_t thread;
		sigset_t one, none;
		struct interruption what = {pthread_self(), (pid_t)syscall(SYS_gettid), number,
		                            &calls[i]};
		MUST(sigemptyset(&one));
		MUST(sigaddset(&one, number));
		is_ready = is_done = 0;
		MUST(-pthread_sigmask(SIG_BLOCK, &one, &none));
		MUST(-pthread_create(&thread, NULL, interrupt, &what));
		MUST(-pthread_sigmask(SIG_SETMASK, &none, NULL));
		while (!is_ready) /* awake, so that the next sleep is that of the call */
			sched_yield();
		CALL_AS(calls[i].name, calls[i].make());
		is_done = 1;
		pthread_join(thread, NULL);
		drain();
	}
	tell("handled: %d", (int)handled);
}

static void set_scene(void)
{
	tcp_pair(ends);
	at = listener(&address);
	MUST(pipe(pipes));
	MUST(sem_init(&semaphore, 0, 0));
}

static void by_usr1_with_restart(void)
{
	set_scene();
	try_all(SIGUSR1, SA_RESTART);
}

static void by_usr1_without_restart(void)
{
	set_scene();
	try_all(SIGUSR1, 0);
}

static void by_usr2_with_restart(void)
{
	set_scene();
	try_all(SIGUSR2, SA_RESTART);
}

static void by_usr2_without_restart(void)
{
	set_scene();
	try_all(SIGUSR2, 0);
}

static const struct cases_case cases[] = {
	CASE(by_usr1_with_restart),
	CASE(by_usr1_without_restart),
	CASE(by_usr2_with_restart),
	CASE(by_usr2_without_restart),
};

CASES_MAIN(cases)
