/* exec - the same process with another program: what it inherits, and what it finds of the one before. */
#include "cases.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

extern char **environ;

/* A case that execs itself: which part of it is this? */
static int stage(void)
{
	const char *text = getenv("STAGE");
	return text ? atoi(text) : 0;
}

static __attribute__((noreturn)) void next_stage(const char *name)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", stage() + 1);
	MUST(setenv("STAGE", text, 1));
	become(name);
}

/* Numbers that the next stage knows. */
enum { LISTENER = 20, NEAR, FAR, CLOEXEC_LISTENER, CLOEXEC_NEAR, CLOEXEC_FAR };

static void move(int fd, int to, int flags)
{
	MUST(dup3(fd, to, flags));
	MUST(close(fd));
}

static void open_all(void)
{
	struct sockaddr_in address;
	int ends[2];
	move(listener(&address), LISTENER, 0);
	move(listener(&address), CLOEXEC_LISTENER, O_CLOEXEC);
	tcp_pair(ends);
	move(ends[0], NEAR, 0);
	move(ends[1], FAR, 0);
	tcp_pair(ends);
	move(ends[0], CLOEXEC_NEAR, O_CLOEXEC);
	move(ends[1], CLOEXEC_FAR, 0);
}

static void connect_to(int at)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	CALL(getsockname(at, (struct sockaddr *)&address, &length));
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(connect(fd, (struct sockaddr *)&address, length));
	CALL(accept(at, NULL, NULL));
}

static void look_at_inherited(void)
{
	char byte;
	tell_fds("inherited");
	CALL(write(NEAR, "x", 1));
	CALL(read(FAR, &byte, 1));
	CALL(read(CLOEXEC_FAR, &byte, 1));
	CALL(shutdown(CLOEXEC_FAR, SHUT_WR));
	connect_to(LISTENER);
	connect_to(CLOEXEC_LISTENER);
}

static void with_inherited_sockets(void)
{
	if (stage() == 0) {
		open_all();
		next_stage("with_inherited_sockets");
	}
	look_at_inherited();
	CALL(close(NEAR));
	CALL(close(FAR));
	CALL(close(LISTENER));
}

static void many_times(void)
{
	if (stage() == 0)
		open_all();
	if (stage() < 6) {
		tell_fds("stage");
		connect_to(LISTENER);
		next_stage("many_times");
	}
	look_at_inherited();
}

static void *go_on(void *name)
{
	next_stage(name);
}

/* The thread that execs becomes the only one, with the pid of the process. */
static void from_a_thread(void)
{
	if (stage() == 0) {
		pthread_t thread;
		char pid[16];
		open_all();
		snprintf(pid, sizeof(pid), "%d", getpid());
		MUST(setenv("PID", pid, 1));
		MUST(-pthread_create(&thread, NULL, go_on, "from_a_thread"));
		for (;;)
			pause();
	}
	tell("same pid: %d", atoi(getenv("PID")) == getpid());
	look_at_inherited();
}

static void from_a_child(void)
{
	char byte;
	if (stage() > 0) {
		tell_fds("inherited");
		CALL(read(FAR, &byte, 1));
		CALL(write(FAR, "y", 1));
		connect_to(LISTENER);
		return;
	}
	open_all();
	CALL(write(NEAR, "x", 1));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		next_stage("from_a_child");
	tell_end_of("child", child);
	tell_fds("parent");
	CALL(read(NEAR, &byte, 1));
	connect_to(LISTENER);
	connect_to(CLOEXEC_LISTENER);
}

static void that_fails(void)
{
	struct sockaddr_in address;
	int ends[2];
	char *const nothing[] = {"nothing", NULL};
	tcp_pair(ends);
	int at = listener(&address);
	CALL(execl("/nonexistent", "nothing", (char *)NULL));
	CALL(execvp("nonexistent-anywhere", nothing));
	CALL(execv("/proc/self/comm", nothing));
	CALL(execve("/", nothing, environ));
	tell_fds("still there");
	CALL(write(ends[0], "x", 1));
	connect_to(at);
}

static void by_descriptor(void)
{
	if (stage() == 0) {
		open_all();
		char *const argv[] = {(char *)(uintptr_t)cases_self, "by_descriptor",
		                      (char *)(uintptr_t)cases_output, NULL};
		MUST(setenv("STAGE", "1", 1));
		int self = (int)MUST(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
		CALL(fexecve(self, argv, environ));
		return;
	}
	look_at_inherited();
}

/* The library's own variables aside, each is as it was given. */
static void tell_environment(void)
{
	for (char **at = environ; *at; at++)
		if (strncmp(*at, "LD_PRELOAD=", 11) != 0 &&
		    strncmp(*at, "SOCKLEAK_OPTIONS=", 17) != 0)
			tell("%s", *at);
}

static void environment(void)
{
	if (stage() == 0) {
		for (char **at = environ; *at;) {
			char name[256] = "";
			snprintf(name, sizeof(name), "%.*s", (int)strcspn(*at, "="), *at);
			if (strcmp(name, "LD_PRELOAD") == 0 ||
			    strcmp(name, "SOCKLEAK_OPTIONS") == 0)
				at++;
			else
				MUST(unsetenv(name));
		}
		MUST(setenv("B", "two words", 1));
		MUST(setenv("A", "", 1));
		open_all();
		tell_environment();
		next_stage("environment");
	}
	tell_environment();
	connect_to(LISTENER);
	tell_environment();
	if (stage() == 1)
		next_stage("environment");
}

/* What of its signals a program leaves to the next. */
static void signals(void)
{
	struct sigaction action;
	sigset_t mask, pending;
	if (stage() == 0) {
		open_all();
		MUST(sigemptyset(&mask));
		MUST(sigaddset(&mask, SIGTERM));
		MUST(sigprocmask(SIG_SETMASK, &mask, NULL));
		MUST(signal(SIGUSR2, SIG_IGN) == SIG_ERR ? -1 : 0);
		MUST(signal(SIGHUP, exit) == SIG_ERR ? -1 : 0);
		MUST(raise(SIGTERM));
		next_stage("signals");
	}
	if (stage() == 2)
		MUST(signal(SIGUSR1, SIG_IGN) == SIG_ERR ? -1 : 0);
	for (int number = 1; number < 32; number++) {
		MUST(number == SIGKILL || number == SIGSTOP ? 0 : sigaction(number, NULL, &action));
		if (number == SIGKILL || number == SIGSTOP)
			continue;
		if (action.sa_handler != SIG_DFL || action.sa_flags != 0)
			tell("%d: %s, flags %x", number,
			     action.sa_handler == SIG_IGN ? "ignored" : "handled", action.sa_flags);
	}
	MUST(sigprocmask(SIG_SETMASK, NULL, &mask));
	MUST(sigpending(&pending));
	for (int number = 1; number < 65; number++)
		if (sigismember(&mask, number) || sigismember(&pending, number))
			tell("%d: blocked %d, pending %d", number, sigismember(&mask, number),
			     sigismember(&pending, number));
	connect_to(LISTENER);
	if (stage() < 4)
		next_stage("signals");
}

static const struct cases_case cases[] = {
	CASE(with_inherited_sockets),
	CASE(many_times),
	CASE(from_a_thread),
	CASE(from_a_child),
	CASE(that_fails),
	CASE(by_descriptor),
	CASE(environment),
	CASE(signals),
};

CASES_MAIN(cases)
