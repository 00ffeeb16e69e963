/* puppet - does with sockets and signals what the test tells it, one call at a time.
 *
 * It prints "ready" and obeys the commands of the table at the end of this file. Numbers that
 * commands take and give are descriptors, ports or counts.
 */
#include "victim.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

struct words {
	unsigned count;
	char *word[8];
};

static int number(const struct words *w, unsigned i, int otherwise)
{
	return i < w->count ? atoi(w->word[i]) : otherwise;
}

static const char *text(const struct words *w, unsigned i)
{
	return i < w->count ? w->word[i] : "";
}

static void answer(int result)
{
	if (result < 0)
		say_error(errno, "");
	else
		say("ok %d", result);
}

/* A system call that passes every library. -errno on failure. */
static long raw(long nr, long a, long b, long c)
{
#if defined(__x86_64__)
	long result;
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(nr), "D"(a), "S"(b), "d"(c)
	                 : "rcx", "r11", "memory");
	return result;
#else
	long result = syscall(nr, a, b, c);
	return result < 0 ? -errno : result;
#endif
}

/* connect HOST PORT [COUNT]: the last descriptor; on failure how many were opened before. */
static void do_connect(const struct words *w)
{
	struct sockaddr_in to = address4(text(w, 1), (unsigned)number(w, 2, 0));
	int fd = -1, count = number(w, 3, 1);
	for (int i = 0; i < count; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
			char more[32];
			snprintf(more, sizeof(more), "opened %d", i);
			int error = errno;
			if (fd >= 0)
				close(fd);
			say_error(error, more);
			return;
		}
	}
	say("ok %d", fd);
}

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

static void do_close(const struct words *w)
{
	answer(close(number(w, 1, -1)));
}

static void do_rawclose(const struct words *w)
{
	long result = raw(SYS_close, number(w, 1, -1), 0, 0);
	if (result < 0)
		say_error((int)-result, "");
	else
		say("ok 0");
}

static void do_rawdup2(const struct words *w)
{
	long result = raw(SYS_dup3, number(w, 1, -1), number(w, 2, -1), 0);
	if (result < 0)
		say_error((int)-result, "");
	else
		say("ok %ld", result);
}

static void do_dup(const struct words *w)
{
	answer(dup(number(w, 1, -1)));
}

static void do_dup2(const struct words *w)
{
	answer(dup2(number(w, 1, -1), number(w, 2, -1)));
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

static void do_nop(const struct words *w)
{
	(void)w;
	say("ok");
}

static const struct {
	const char *verb;
	void (*obey)(const struct words *w);
} commands[] = {
	{"connect", do_connect},     {"rawconnect", do_rawconnect},
	{"connected", do_connected}, {"read", do_read},
	{"write", do_write},         {"shutdown", do_shutdown},
	{"close", do_close},         {"rawclose", do_rawclose},
	{"rawdup2", do_rawdup2},     {"dup", do_dup},
	{"dup2", do_dup2},           {"kind", do_kind},
	{"listen", do_listen},       {"accept", do_accept},
	{"handle", do_handle},       {"disposition", do_disposition},
	{"handled", do_handled},     {"fork", do_fork},
	{"wait", do_wait},           {"nop", do_nop},
};

static void obey(char *line)
{
	struct words w = {0, {NULL}};
	for (char *at, *word = strtok_r(line, " ", &at); word && w.count < 8;
	     word = strtok_r(NULL, " ", &at))
		w.word[w.count++] = word;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(text(&w, 0), commands[i].verb) == 0) {
			commands[i].obey(&w);
			return;
		}
	}
	say_error(ENOSYS, text(&w, 0));
}

int main(void)
{
	char line[256];
	say("ready");
	while (next_command(line, sizeof(line)))
		obey(line);
	return 0;
}
