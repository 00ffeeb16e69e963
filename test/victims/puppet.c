/* puppet - does with sockets and signals what the test tells it, one call at a time.
 *
 * It prints "ready" and obeys the commands of the table at the end of this file and of commands.h.
 */
#include "commands.h"

#include <sockleak.h>

#include <linux/netlink.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>

static void do_rawconnect(const struct words *w)
{
	struct sockaddr_in to = address4(text(w, 1), (unsigned)number(w, 2, 0));
	long fd = raw(SYS_socket, AF_INET, SOCK_STREAM, 0);
	long result = fd < 0 ? fd : raw(SYS_connect, fd, (long)&to, sizeof(to));
	if (result < 0)
		say_error((int)-result, "");
	else
		say("ok %ld", fd);
}

static void do_connected(const struct words *w)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	answer(getpeername(number(w, 1, -1), (struct sockaddr *)&peer, &len));
}

static void do_read(const struct words *w)
{
	static char buf[65536];
	answer((int)read(number(w, 1, -1), buf, (size_t)number(w, 2, sizeof(buf))));
}

static void do_write(const struct words *w)
{
	static const char zeroes[65536];
	answer((int)send(number(w, 1, -1), zeroes, (size_t)number(w, 2, 1), MSG_NOSIGNAL));
}

static void do_shutdown(const struct words *w)
{
	answer(shutdown(number(w, 1, -1), SHUT_WR));
}

static void do_kind(const struct words *w)
{
	const char *kind = text(w, 1);
	int pair[2];
	if (strcmp(kind, "tcp") == 0)
		answer(socket(AF_INET, SOCK_STREAM, 0));
	else if (strcmp(kind, "udp") == 0)
		answer(socket(AF_INET6, SOCK_DGRAM, 0));
	else if (strcmp(kind, "unix") == 0)
		answer(socket(AF_UNIX, SOCK_STREAM, 0));
	else if (strcmp(kind, "netlink") == 0)
		answer(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	else if (strcmp(kind, "pair") == 0)
		answer(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	else
		say_error(EINVAL, "");
}

static void do_listen(const struct words *w)
{
	unsigned port;
	int fd = listen_on(text(w, 1), number(w, 2, 16), &port);
	say("ok %d %u", fd, port);
}

static void do_open(const struct words *w)
{
	answer(open(text(w, 1), O_RDWR | O_CLOEXEC));
}

static void do_accept(const struct words *w)
{
	answer(accept(number(w, 1, -1), NULL, NULL));
}

static atomic_uint handled;

static void on_signal(int signo)
{
	(void)signo;
	atomic_fetch_add(&handled, 1);
}

static int signal_of(const char *name)
{
	if (strncmp(name, "RTMIN+", 6) == 0)
		return SIGRTMIN + atoi(name + 6);
	return strcmp(name, "USR2") == 0 ? SIGUSR2 : SIGUSR1;
}

static const char *disposition(void (*handler)(int))
{
	return handler == SIG_DFL     ? "default"
	       : handler == SIG_IGN   ? "ignored"
	       : handler == on_signal ? "own"
	                              : "foreign";
}

/* handle SIGNAL HOW own|ignored|default: sets it, answers what was there before. */
static void do_handle(const struct words *w)
{
	int signo = signal_of(text(w, 1));
	const char *how = text(w, 2), *what = text(w, 3);
	void (*wanted)(int) = what[0] == 'o' ? on_signal : what[0] == 'i' ? SIG_IGN : SIG_DFL;
	void (*before)(int) = SIG_ERR;
	if (strcmp(how, "sigaction") == 0) {
		struct sigaction action = {.sa_handler = wanted, .sa_flags = SA_RESTART}, old;
		if (sigaction(signo, &action, &old) == 0)
			before = old.sa_handler;
	} else if (strcmp(how, "signal") == 0) {
		before = signal(signo, wanted);
	} else if (strcmp(how, "sysv_signal") == 0) {
		before = sysv_signal(signo, wanted);
	}
	if (before == SIG_ERR)
		say_error(errno, "");
	else
		say("ok %s", disposition(before));
}

static void do_disposition(const struct words *w)
{
	struct sigaction now;
	if (sigaction(signal_of(text(w, 1)), NULL, &now) != 0)
		say_error(errno, "");
	else
		say("ok %s", disposition(now.sa_handler));
}

static void do_handled(const struct words *w)
{
	(void)w;
	say("ok %u", handled);
}

/* fork [SIGNAL]: a child that waits for signals; its pid. With SIGNAL, that one is sent at once: the
 * child may not have come out of fork() yet. */
static void do_fork(const struct words *w)
{
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (;;)
			pause();
	}
	if (w->count > 1)
		kill(child, signal_of(text(w, 1)));
	answer(child);
}

/* become: the child of a fork takes the next commands, its parent waits for it. Its pid. */
static void do_become(const struct words *w)
{
	int status;
	(void)w;
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		answer(getpid());
	} else if (child < 0 || waitpid(child, &status, 0) < 0) {
		die("fork");
	} else {
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	}
}

/* wait PID: "signal N" or "exit N". */
static void do_wait(const struct words *w)
{
	int status;
	if (waitpid(number(w, 1, -1), &status, 0) < 0)
		say_error(errno, "");
	else if (WIFSIGNALED(status))
		say("ok signal %d", WTERMSIG(status));
	else
		say("ok exit %d", WEXITSTATUS(status));
}

/* writehex FD HEX: those bytes, by write(). */
static void do_writehex(const struct words *w)
{
	unsigned char bytes[64];
	size_t n = 0;
	for (const char *at = text(w, 2); n < sizeof(bytes) && sscanf(at, "%2hhx", &bytes[n]) == 1;
	     at += 2)
		n++;
	answer(write(number(w, 1, -1), bytes, n));
}

/* linger FD SECONDS: close() waits that long for the peer. */
static void do_linger(const struct words *w)
{
	struct linger wait = {.l_onoff = 1, .l_linger = number(w, 2, 0)};
	answer(setsockopt(number(w, 1, -1), SOL_SOCKET, SO_LINGER, &wait, sizeof(wait)));
}

static FILE *stream;

/* stream FD: from now on a FILE writes to it. */
static void do_stream(const struct words *w)
{
	stream = fdopen(number(w, 1, -1), "w");
	answer(stream ? 0 : -1);
}

/* print: a line through the FILE. */
static void do_print(const struct words *w)
{
	(void)w;
	answer(fprintf(stream, "printed\n") < 0 || fflush(stream) != 0 ? -1 : 0);
}

/* pass FD PATH: to whoever listens on that Unix socket. The number stays open here. */
static void do_pass(const struct words *w)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = {{0}};
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct iovec byte = {.iov_base = "x", .iov_len = 1};
	struct msghdr message = {.msg_iov = &byte,
	                         .msg_iovlen = 1,
	                         .msg_control = control.space,
	                         .msg_controllen = sizeof(control.space)};
	int fd = number(w, 1, -1), via = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", text(w, 2));
	control.aligned.cmsg_level = SOL_SOCKET;
	control.aligned.cmsg_type = SCM_RIGHTS;
	control.aligned.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.aligned), &fd, sizeof(fd));
	if (connect(via, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("unix socket");
	answer(sendmsg(via, &message, 0));
}

/* watch FD: an epoll set of its own has it, level-triggered, with no interest. */
static void do_watch(const struct words *w)
{
	struct epoll_event event = {.events = 0};
	int set = epoll_create1(EPOLL_CLOEXEC);
	answer(epoll_ctl(set, EPOLL_CTL_ADD, number(w, 1, -1), &event));
}

static void do_sigpipe(const struct words *w)
{
	answer(signal(SIGPIPE, text(w, 1)[0] == 'i' ? SIG_IGN : SIG_DFL) == SIG_ERR ? -1 : 0);
}

static FILE *strings; /* pulls the one child that holds descriptors */

static void write_when_nudged(int orders, int fd)
{
	char order;
	while (read(orders, &order, 1) == 1) {
		if (order == '\n' && write(fd, "child", 5) != 5)
			break;
	}
	_exit(0);
}

static void hold_in_shell(bool by_popen, int orders, int fd)
{
	char command[128];
	snprintf(command, sizeof(command), "while read line; do printf child >&%d; done%s", fd,
	         by_popen ? "" : " <&");
	size_t n = strlen(command);
	if (!by_popen) {
		snprintf(command + n, sizeof(command) - n, "%d &", orders);
		if (system(command) != 0)
			die("system");
	} else if (!(strings = popen(command, "w"))) {
		die("popen");
	}
}

static int held[2]; /* the pipe of orders, and what the child writes to */

static void *write_in_thread(void *unused)
{
	write_when_nudged(held[0], held[1]);
	return unused;
}

static void write_without_first_thread(int orders, int fd)
{
	pthread_t thread;
	held[0] = orders;
	held[1] = fd;
	if (pthread_create(&thread, NULL, write_in_thread, NULL) != 0)
		die("pthread_create");
	raw(SYS_exit, 0, 0, 0);
}

/* hold HOW FD: a child that has all our descriptors, made by system, popen, fork, _Fork or clone, and writes "child"
 * to FD at each nudge; made by "thread" its first thread has ended. Its pid, or 0 where it is not our own. */
static void do_hold(const struct words *w)
{
	const char *how = text(w, 1);
	int fd = number(w, 2, -1), ends[2];
	long child = 0;
	bool by_popen = strcmp(how, "popen") == 0;
	if (pipe(ends) != 0)
		die("pipe");
	fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	if (!by_popen)
		strings = fdopen(ends[1], "w");
	else
		close(ends[1]);
	if (by_popen || strcmp(how, "system") == 0) {
		hold_in_shell(by_popen, ends[0], fd);
	} else {
		bool by_thread = strcmp(how, "thread") == 0;
		child = strcmp(how, "fork") == 0 || by_thread ? fork()
		        : strcmp(how, "_Fork") == 0           ? _Fork()
		                                              : raw(SYS_clone, SIGCHLD, 0, 0);
		if (child == 0) {
			close(ends[1]);
			if (by_thread)
				write_without_first_thread(ends[0], fd);
			write_when_nudged(ends[0], fd);
		}
		if (child < 0)
			die("fork");
	}
	close(ends[0]);
	answer(child);
}

static void do_nudge(const struct words *w)
{
	(void)w;
	answer(fprintf(strings, "now\n") < 0 || fflush(strings) != 0 ? -1 : 0);
}

/* release: ends the child. */
static void do_release(const struct words *w)
{
	(void)w;
	fclose(strings);
	say("ok");
}

/* enable 0|1: what sockleak_enable() says; "none" without the library. */
static void do_enable(const struct words *w)
{
	if (!sockleak_enable)
		say("ok none");
	else
		say("ok %d", sockleak_enable(number(w, 1, 1)));
}

/* name FD [NAME]: what sockleak_name_fd() says. */
static void do_name(const struct words *w)
{
	say("ok %d", sockleak_name_fd(number(w, 1, -1), w->count > 2 ? text(w, 2) : NULL));
}

static void do_intend(const struct words *w)
{
	say("ok %d", sockleak_intend_fd(number(w, 1, -1)));
}

/* report MS */
static void do_report(const struct words *w)
{
	say("ok %d", sockleak_report(number(w, 1, 0)));
}

/* totals [SIZE]: what sockleak_totals() says, the size that it leaves, and six counts. */
static void do_totals(const struct words *w)
{
	struct sockleak_totals t = {.size = (size_t)number(w, 1, sizeof(t)), .stuck = 4711};
	int result = sockleak_totals(&t);
	say("ok %d %zu %d %d %d %d %d %d", result, t.size, (int)t.opened, (int)t.closed,
	    (int)t.open, (int)t.close_wait, (int)t.stuck, (int)t.retracted);
}

static const struct command commands[] = {
	{"name", do_name},
	{"intend", do_intend},
	{"report", do_report},
	{"totals", do_totals},
	{"enable", do_enable},
	{"connect", do_connect},
	{"rawconnect", do_rawconnect},
	{"connected", do_connected},
	{"read", do_read},
	{"write", do_write},
	{"shutdown", do_shutdown},
	{"close", do_close},
	{"rawclose", do_rawclose},
	{"rawdup2", do_rawdup2},
	{"dup", do_dup},
	{"dup2", do_dup2},
	{"kind", do_kind},
	{"listen", do_listen},
	{"accept", do_accept},
	{"open", do_open},
	{"handle", do_handle},
	{"disposition", do_disposition},
	{"handled", do_handled},
	{"fork", do_fork},
	{"wait", do_wait},
	{"become", do_become},
	{"nop", do_nop},
	{"flags", do_flags},
	{"setflags", do_setflags},
	{"writehex", do_writehex},
	{"linger", do_linger},
	{"stream", do_stream},
	{"print", do_print},
	{"pass", do_pass},
	{"watch", do_watch},
	{"sigpipe", do_sigpipe},
	{"hold", do_hold},
	{"fin", do_fin},
	{"nudge", do_nudge},
	{"release", do_release},
};

int main(void)
{
	obey_all(commands, sizeof(commands) / sizeof(commands[0]));
	return 0;
}
