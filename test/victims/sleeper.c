/* sleeper - blocks in one call after the other and says how each ended; has no handler of its own.
 *
 * It prints "ready" and obeys the commands of the table at the end of this file and of commands.h.
 */
#include "commands.h"

#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static char bytes[64];
static sem_t semaphore;

static long by_read(int fd)
{
	return read(fd, bytes, sizeof(bytes));
}

static long by_readv(int fd)
{
	struct iovec one = {bytes, sizeof(bytes)};
	return readv(fd, &one, 1);
}

static long by_recv(int fd)
{
	return recv(fd, bytes, sizeof(bytes), 0);
}

static long by_recvmsg(int fd)
{
	struct iovec one = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
	return recvmsg(fd, &message, 0);
}

static long by_recv_with_timeout(int fd)
{
	struct timeval patience = {60, 0};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return recv(fd, bytes, sizeof(bytes), 0);
}

static long by_accept(int fd)
{
	return accept(fd, NULL, NULL);
}

static long by_accept_with_timeout(int fd)
{
	struct timeval patience = {60, 0};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return accept(fd, NULL, NULL);
}

static long by_poll(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	return poll(&one, 1, -1);
}

static long by_select(int fd)
{
	fd_set one;
	FD_ZERO(&one);
	FD_SET(fd, &one);
	return select(fd + 1, &one, NULL, NULL, NULL);
}

static long by_epoll_wait(int fd)
{
	struct epoll_event event = {.events = EPOLLIN}, found;
	int set = epoll_create1(0);
	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	return epoll_wait(set, &found, 1, -1);
}

static long by_sem_wait(int fd)
{
	(void)fd;
	return sem_wait(&semaphore);
}

static long by_nanosleep(int fd)
{
	struct timespec time = {60, 0};
	(void)fd;
	return nanosleep(&time, NULL);
}

static long by_sleep(int fd)
{
	(void)fd;
	unsigned left = sleep(60);
	errno = EINTR;
	return left > 0 ? -1 : 0;
}

static long by_pause(int fd)
{
	(void)fd;
	return pause();
}

/* Programs that wait for SIGUSR1 themselves. */
static long by_sigwait(int fd)
{
	sigset_t one;
	int number;
	(void)fd;
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	sigprocmask(SIG_BLOCK, &one, NULL);
	return sigwait(&one, &number) == 0 ? number : -1;
}

static long by_signalfd(int fd)
{
	struct signalfd_siginfo info;
	sigset_t one;
	(void)fd;
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	sigprocmask(SIG_BLOCK, &one, NULL);
	return read(signalfd(-1, &one, 0), &info, sizeof(info)) > 0 ? (long)info.ssi_signo : -1;
}

static volatile sig_atomic_t came;

static void note(int number)
{
	came = number;
}

/* As masters of servers wait: every other moment the signal is blocked. */
static long by_sigsuspend(int fd)
{
	struct sigaction action = {.sa_handler = note};
	sigset_t one, before;
	(void)fd;
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	sigprocmask(SIG_BLOCK, &one, &before);
	sigaction(SIGUSR1, &action, NULL);
	while (!came)
		sigsuspend(&before);
	sigset_t now;
	sigprocmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, SIGUSR1) ? came : -1;
}

static const struct {
	const char *name;
	long (*call)(int fd);
} ways[] = {
	{"read", by_read},
	{"readv", by_readv},
	{"recv", by_recv},
	{"recvmsg", by_recvmsg},
	{"recv_with_timeout", by_recv_with_timeout},
	{"accept", by_accept},
	{"accept_with_timeout", by_accept_with_timeout},
	{"poll", by_poll},
	{"select", by_select},
	{"epoll_wait", by_epoll_wait},
	{"sem_wait", by_sem_wait},
	{"nanosleep", by_nanosleep},
	{"sleep", by_sleep},
	{"pause", by_pause},
	{"sigwait", by_sigwait},
	{"signalfd", by_signalfd},
	{"sigsuspend", by_sigsuspend},
};

/* sleep HOW FD: what the call returned. */
static void do_sleep(const struct words *w)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i].name, text(w, 1)) == 0) {
			answer(ways[i].call(number(w, 2, -1)));
			return;
		}
	say_error(EINVAL, "");
}

static void do_listen(const struct words *w)
{
	unsigned port;
	int fd = listen_on(text(w, 1), 16, &port);
	say("ok %d %u", fd, port);
}

static const struct command commands[] = {
	{"connect", do_connect},
	{"listen", do_listen},
	{"sleep", do_sleep},
};

int main(void)
{
	sem_init(&semaphore, 0, 0);
	obey_all(commands, sizeof(commands) / sizeof(commands[0]));
	return 0;
}
