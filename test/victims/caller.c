/* caller - calls that fail for want of ports or descriptors, each way that a program makes them.
 *
 * It prints "ready" and obeys the commands of the table at the end of this file. Numbers that
 * commands take and give are descriptors, ports or counts. What it opens it keeps.
 */
#include "commands.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* IPv4, or IPv6 where the host has a colon. */
static socklen_t address_of(const char *host, unsigned port, struct sockaddr_storage *to)
{
	memset(to, 0, sizeof(*to));
	if (!strchr(host, ':')) {
		*(struct sockaddr_in *)to = address4(host, port);
		return sizeof(struct sockaddr_in);
	}
	struct sockaddr_in6 *to6 = (struct sockaddr_in6 *)to;
	to6->sin6_family = AF_INET6;
	to6->sin6_port = htons((uint16_t)port);
	if (inet_pton(AF_INET6, host, &to6->sin6_addr) != 1)
		die(host);
	return sizeof(*to6);
}

/* -1 with errno, and nothing left open. */
static int connected_to(const char *host, unsigned port, bool is_bound)
{
	struct sockaddr_storage to;
	socklen_t length = address_of(host, port, &to);
	int fd = socket(to.ss_family, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	struct sockaddr_storage any = to;
	((struct sockaddr_in *)&any)->sin_port = 0; /* at the same place in both families */
	if ((is_bound && bind(fd, (struct sockaddr *)&any, length) != 0) ||
	    connect(fd, (struct sockaddr *)&to, length) != 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

/* boundconnect HOST PORT [COUNT]: as connect, each bound to HOST and a port of the kernel's choice. */
static void do_boundconnect(const struct words *w)
{
	int fd = -1, count = number(w, 3, 1);
	for (int i = 0; i < count; i++) {
		fd = connected_to(text(w, 1), (unsigned)number(w, 2, 0), true);
		if (fd < 0) {
			char more[32];
			int error = errno;
			snprintf(more, sizeof(more), "opened %d", i);
			say_error(error, more);
			return;
		}
	}
	say("ok %d", fd);
}

/* bind HOST [PORT]: a socket on that port, or on one of the kernel's choice. */
static void do_bind(const struct words *w)
{
	struct sockaddr_in any = address4(text(w, 1), (unsigned)number(w, 2, 0));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0) {
		int error = errno;
		close(fd);
		say_error(error, "");
		return;
	}
	answer(fd);
}

/* begin HOST PORT: a non-blocking connect(), begun; finish FD: how it ended. */
static void do_begin(const struct words *w)
{
	struct sockaddr_storage to;
	socklen_t length = address_of(text(w, 1), (unsigned)number(w, 2, 0), &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, length) != 0 && errno != EINPROGRESS) {
		say_error(errno, "");
		return;
	}
	answer(fd);
}

static void do_finish(const struct words *w)
{
	struct pollfd wait = {.fd = number(w, 1, -1), .events = POLLOUT};
	int error = 0;
	socklen_t length = sizeof(error);
	if (poll(&wait, 1, 10000) != 1 ||
	    getsockopt(wait.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
		die("finish");
	if (error)
		say_error(error, "");
	else
		say("ok");
}

static struct {
	const char *host;
	unsigned port;
	int count;
	pthread_barrier_t barrier;
	atomic_int done;
	atomic_int error;
} crowd;

static void *crowd_member(void *unused)
{
	pthread_barrier_wait(&crowd.barrier);
	for (int i = 0; i < crowd.count; i++) {
		if (connected_to(crowd.host, crowd.port, false) >= 0)
			atomic_fetch_add(&crowd.done, 1);
		else
			atomic_store(&crowd.error, errno);
	}
	return unused;
}

/* crowd THREADS COUNT HOST PORT: all at once; how many connections came about, and an error. */
static void do_crowd(const struct words *w)
{
	pthread_t threads[64];
	int n = number(w, 1, 1);
	crowd.count = number(w, 2, 1);
	crowd.host = text(w, 3);
	crowd.port = (unsigned)number(w, 4, 0);
	atomic_store(&crowd.done, 0);
	atomic_store(&crowd.error, 0);
	if (n > 64 || pthread_barrier_init(&crowd.barrier, NULL, (unsigned)n) != 0)
		die("barrier");
	for (int i = 0; i < n; i++) {
		if (pthread_create(&threads[i], NULL, crowd_member, NULL) != 0)
			die("thread");
	}
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&crowd.barrier);
	say("ok %d %s", crowd.done, crowd.error ? strerrorname_np(crowd.error) : "-");
}

/* fail COUNT HOST PORT: connects that all fail; the last error, and how often the thread had to wait. */
static void do_fail(const struct words *w)
{
	struct rusage before, after;
	int error = 0;
	getrusage(RUSAGE_THREAD, &before);
	for (int i = number(w, 1, 1); i > 0; i--) {
		if (connected_to(text(w, 2), (unsigned)number(w, 3, 0), false) >= 0)
			die("a connection that should have failed");
		error = errno;
	}
	getrusage(RUSAGE_THREAD, &after);
	say("ok %s %ld", strerrorname_np(error), after.ru_nvcsw - before.ru_nvcsw);
}

/* fill: /dev/null until there are no descriptors; how many. drain N: that many of the last closed. */
static int filled[65536];
static int fills;

static void do_fill(const struct words *w)
{
	(void)w;
	int fd, before = fills;
	while (fills < 65536 && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		filled[fills++] = fd;
	if (errno != EMFILE)
		die("fill");
	say("ok %d", fills - before);
}

static void do_drain(const struct words *w)
{
	for (int n = number(w, 1, fills); n > 0 && fills > 0; n--)
		close(filled[--fills]);
	say("ok");
}

static void do_socket(const struct words *w)
{
	answer(socket(text(w, 1)[0] == '6' ? AF_INET6 : AF_INET, SOCK_STREAM, 0));
}

/* nofile: the soft limit and the hard one, as the kernel has them. */
static void do_nofile(const struct words *w)
{
	(void)w;
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		die("getrlimit");
	say("ok %lu %lu", (unsigned long)files.rlim_cur, (unsigned long)files.rlim_max);
}

static int epoll_fd = -1;

/* watch FD level|edge none|pri|in: into one epoll set. */
static void do_watch(const struct words *w)
{
	struct epoll_event event = {.data.fd = number(w, 1, -1)};
	if (strcmp(text(w, 2), "edge") == 0)
		event.events |= EPOLLET;
	event.events |= text(w, 3)[0] == 'p' ? EPOLLPRI : text(w, 3)[0] == 'i' ? EPOLLIN : 0;
	if (epoll_fd < 0)
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	answer(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event));
}

static void do_accept(const struct words *w)
{
	answer(accept(number(w, 1, -1), NULL, NULL));
}

static void do_listen(const struct words *w)
{
	unsigned port;
	int fd = listen_on(text(w, 1), 1024, &port);
	say("ok %d %u", fd, port);
}

/* shut FD: half-closed, as clients do that wait for an answer. */
static void do_shut(const struct words *w)
{
	answer(shutdown(number(w, 1, -1), SHUT_WR));
}

static void do_read(const struct words *w)
{
	static char buffer[65536];
	answer((int)read(number(w, 1, -1), buffer, sizeof(buffer)));
}

static void do_write(const struct words *w)
{
	answer((int)send(number(w, 1, -1), "0123456789", 10, MSG_NOSIGNAL));
}

/* fork: a child that has everything and waits; its pid. reap PID: it ends. */
static void do_fork(const struct words *w)
{
	(void)w;
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (;;)
			pause();
	}
	answer(child);
}

static void do_reap(const struct words *w)
{
	pid_t child = number(w, 1, 0);
	if (child <= 0 || kill(child, SIGKILL) != 0)
		die("reap");
	answer(waitpid(child, NULL, 0));
}

static const struct {
	const char *name;
	int level, option;
} socket_options[] = {
	{"keepalive", SOL_SOCKET, SO_KEEPALIVE},
	{"idle", IPPROTO_TCP, TCP_KEEPIDLE},
	{"intvl", IPPROTO_TCP, TCP_KEEPINTVL},
	{"cnt", IPPROTO_TCP, TCP_KEEPCNT},
};

/* set FD keepalive|idle|intvl|cnt VALUE */
static void do_set(const struct words *w)
{
	int value = number(w, 3, 0);
	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(text(w, 2), socket_options[i].name) == 0)
			answer(setsockopt(number(w, 1, -1), socket_options[i].level,
			                  socket_options[i].option, &value, sizeof(value)));
	}
}

/* get FD: all four, in that order. */
static void do_get(const struct words *w)
{
	int value[4];
	for (unsigned i = 0; i < 4; i++) {
		socklen_t length = sizeof(value[i]);
		if (getsockopt(number(w, 1, -1), socket_options[i].level, socket_options[i].option,
		               &value[i], &length) != 0) {
			say_error(errno, "");
			return;
		}
	}
	say("ok %d %d %d %d", value[0], value[1], value[2], value[3]);
}

static const struct command commands[] = {
	{"connect", do_connect}, {"boundconnect", do_boundconnect},
	{"bind", do_bind},       {"begin", do_begin},
	{"finish", do_finish},   {"crowd", do_crowd},
	{"fail", do_fail},       {"fill", do_fill},
	{"drain", do_drain},     {"socket", do_socket},
	{"nofile", do_nofile},   {"watch", do_watch},
	{"accept", do_accept},   {"listen", do_listen},
	{"read", do_read},       {"write", do_write},
	{"close", do_close},     {"fork", do_fork},
	{"reap", do_reap},       {"set", do_set},
	{"get", do_get},         {"shut", do_shut},
	{"fin", do_fin},         {"nop", do_nop},
};

int main(void)
{
	obey_all(commands, sizeof(commands) / sizeof(commands[0]));
	return 0;
}
