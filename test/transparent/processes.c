/* processes - children of every make: what they do with the sockets that they inherit, and what their parent has afterwards. */
#include "cases.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

/* A listener and a connection, for a parent and its child. */
struct scene {
	struct sockaddr_in address;
	int at, ends[2];
};

static struct scene set_scene(void)
{
	struct scene scene;
	tcp_pair(scene.ends);
	scene.at = listener(&scene.address);
	return scene;
}

static void tell_bytes(int fd)
{
	char bytes[64] = "";
	long n = CALL(read(fd, bytes, sizeof(bytes) - 1));
	tell("bytes: %.*s", (int)(n > 0 ? n : 0), bytes);
}

/* A connection to the scene's own listener, both ends closed again. */
static void connect_there(const struct scene *scene)
{
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(connect(fd, (const struct sockaddr *)&scene->address, sizeof(scene->address)));
	int far = CALL(accept(scene->at, NULL, NULL));
	CALL(write(far, "hello", 5));
	tell_bytes(fd);
	CALL(close(far));
	CALL(close(fd));
}

/* ---- what a child does ---- */

static void use_all(const struct scene *scene)
{
	tell_bytes(scene->ends[0]);
	CALL(write(scene->ends[0], "from the child", 14));
	connect_there(scene);
	tell_fds("child");
}

static void close_all(const struct scene *scene)
{
	CALL(close(scene->ends[0]));
	CALL(close(scene->at));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(close(scene->ends[1]));
	CALL(close(scene->ends[1]));
	tell_fds("child");
}

static void replace_all(const struct scene *scene)
{
	int fd = CALL(socket(AF_INET6, SOCK_STREAM, 0));
	CALL(dup2(fd, scene->ends[0]));
	CALL(dup3(scene->ends[1], scene->at, O_CLOEXEC));
	CALL(dup(scene->at));
	CALL(write(scene->at, "by another number", 17));
	CALL(close_range((unsigned)scene->ends[1], (unsigned)scene->ends[1], 0));
	tell_fds("child");
}

/* ---- children ---- */

static pid_t by_fork(void)
{
	return fork();
}

static pid_t by_plain_fork(void)
{
	return _Fork();
}

static pid_t by_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static pid_t by_clone3(void)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* The child acts, and its parent has what it had. */
static void with_child(pid_t (*make)(void), void (*act)(const struct scene *))
{
	struct scene scene = set_scene();
	CALL(write(scene.ends[1], "for the child", 13));
	pid_t child = (pid_t)MUST(make());
	if (child == 0) {
		act(&scene);
		_exit(5);
	}
	tell_end_of("child", child);
	tell_fds("parent");
	CALL(write(scene.ends[0], "|", 1));
	CALL(write(scene.ends[1], "|", 1));
	tell_bytes(scene.ends[1]);
	tell_bytes(scene.ends[0]);
	connect_there(&scene);
}

#define CHILDREN(how)                              \
	static void how##_child_uses_all(void)     \
	{                                          \
		with_child(by_##how, use_all);     \
	}                                          \
	static void how##_child_closes_all(void)   \
	{                                          \
		with_child(by_##how, close_all);   \
	}                                          \
	static void how##_child_replaces_all(void) \
	{                                          \
		with_child(by_##how, replace_all); \
	}
CHILDREN(fork)
CHILDREN(plain_fork)
CHILDREN(clone)
CHILDREN(clone3)

/* What it does with its numbers is done with ours. */
static void child_shares_the_numbers(void)
{
	struct scene scene = set_scene();
	CALL(write(scene.ends[0], "for the child", 13));
	pid_t child = (pid_t)MUST(syscall(SYS_clone, SIGCHLD | CLONE_FILES, 0, 0, 0, 0));
	if (child == 0) {
		use_all(&(struct scene){scene.address, scene.at, {scene.ends[1], scene.ends[0]}});
		_exit(0);
	}
	tell_end_of("first", child);
	tell_bytes(scene.ends[0]);
	child = (pid_t)MUST(syscall(SYS_clone, SIGCHLD | CLONE_FILES, 0, 0, 0, 0));
	if (child == 0) {
		CALL(close(scene.ends[1]));
		CALL(fcntl(scene.at, F_DUPFD, 30));
		CALL(socket(AF_INET, SOCK_STREAM, 0));
		CALL(socket(AF_INET, SOCK_STREAM, 0));
		_exit(0);
	}
	tell_end_of("second", child);
	tell_bytes(scene.ends[0]);
	tell_fds("parent");
	CALL(close(scene.ends[1]));
}

static void children_of_children(void)
{
	struct scene scene = set_scene();
	CALL(write(scene.ends[1], "for the child", 13));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		CALL(setsid() == getpid());
		pid_t grandchild = (pid_t)MUST(fork());
		if (grandchild == 0) {
			CALL(setpgid(0, 0));
			CALL(getpgrp() == getpid());
			use_all(&scene);
			_exit(7);
		}
		tell_end_of("grandchild", grandchild);
		close_all(&scene);
		_exit(6);
	}
	tell_end_of("child", child);
	tell_bytes(scene.ends[1]);
}

/* Where a standard descriptor leads. */
static void tell_where(int fd)
{
	char path[64], link[256] = "";
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	(void)!readlink(path, link, sizeof(link) - 1);
	tell("%d: %s", fd, strcmp(link, "/dev/null") == 0 ? link : "as it was");
}

static void tell_of_daemon(struct scene *scene)
{
	char cwd[256];
	tell("in the root: %d", getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/") == 0);
	for (int fd = 0; fd < 3; fd++)
		tell_where(fd);
	tell("own session: %d", getsid(0) != getsid(getppid()));
	close_all(scene);
	scene->at = listener(&scene->address);
	connect_there(scene);
}

static void become_daemon(int nochdir, int noclose)
{
	struct scene scene = set_scene();
	int gate[2];
	char go;
	MUST(pipe(gate));
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		int result = daemon(nochdir, noclose);
		MUST(read(gate[0], &go, 1));
		tell("daemon: %d", result);
		tell_of_daemon(&scene);
		_exit(4);
	}
	tell_end_of("first", child);
	MUST(write(gate[1], "x", 1));
	tell_end_of("daemon", -1);
	CALL(write(scene.ends[0], "here", 4));
	tell_bytes(scene.ends[1]);
}

static void daemon_that_leaves(void)
{
	become_daemon(0, 0);
}

static void daemon_that_stays(void)
{
	become_daemon(1, 1);
}

/* Two hundred one after another; each opens a socket that is its own. */
static void many_children(void)
{
	struct scene scene = set_scene();
	int fine = 0, status;
	for (int i = 0; i < 200; i++) {
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			bool is_fine = fd == scene.ends[1] + 1 && write(scene.ends[0], "x", 1) == 1;
			_exit(is_fine && close(fd) == 0 && close(scene.at) == 0 ? 0 : 1);
		}
		MUST(waitpid(child, &status, 0));
		fine += status == 0;
	}
	tell("fine: %d", fine);
	char bytes[256];
	CALL(recv(scene.ends[1], bytes, 200, MSG_WAITALL));
	connect_there(&scene);
}

/* ---- how it ends ---- */

static void die_of(int number)
{
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(socket(AF_INET, SOCK_STREAM, 0));
		signal(number, SIG_DFL); /* who started us may ignore it, as nohup does */
		kill(getpid(), number);
		pause();
		_exit(9);
	}
	tell_end_of("died", child);
}

static void stop_and_go(void)
{
	siginfo_t info = {0};
	int status;
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(socket(AF_INET, SOCK_STREAM, 0));
		raise(SIGSTOP);
		exit(300);
	}
	CALL(waitpid(child, &status, WUNTRACED) == child);
	tell("stopped: %d by %d", WIFSTOPPED(status), WSTOPSIG(status));
	CALL(waitpid(child, &status, WNOHANG));
	CALL(kill(child, SIGCONT));
	CALL(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	tell("code %d, status %d, signal %d", info.si_code, info.si_status, info.si_signo);
	tell_end_of("child", child);
	CALL(waitpid(child, &status, 0));
}

static void ends(void)
{
	struct scene scene = set_scene();
	for (const int *number = (const int[]){SIGTERM, SIGKILL, SIGUSR1, SIGUSR2, SIGHUP, SIGPIPE,
	                                       SIGALRM, SIGSEGV, 0};
	     *number; number++)
		die_of(*number);
	stop_and_go();
	CALL(waitpid(-1, NULL, WNOHANG));
	CALL(waitpid(-1, NULL, __WALL | WNOHANG));
	connect_there(&scene);
}

static void say_goodbye(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	tell("exit handler: %d", fd);
}

/* exit() in a child runs the handlers of its parent. */
static void exit_handlers_of_a_child(void)
{
	struct scene scene = set_scene();
	MUST(atexit(say_goodbye));
	CALL(write(scene.ends[1], "for the child", 13));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		use_all(&scene);
		exit(2);
	}
	tell_end_of("child", child);
	tell_bytes(scene.ends[1]);
}

static void tell_name(const char *when)
{
	char name[32] = "";
	int fd = (int)MUST(open("/proc/self/comm", O_RDONLY));
	(void)!read(fd, name, sizeof(name) - 1);
	close(fd);
	tell("%s: %.*s", when, (int)strcspn(name, "\n"), name);
}

static void names(void)
{
	tell_name("at first");
	struct scene scene = set_scene();
	tell_name("with sockets");
	CALL(prctl(PR_SET_NAME, "changed", 0, 0, 0));
	tell_name("changed");
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		tell_name("child");
		connect_there(&scene);
		tell_name("child with sockets");
		_exit(0);
	}
	tell_end_of("child", child);
	tell_name("after all");
}

static const struct cases_case cases[] = {
	CASE(fork_child_uses_all),
	CASE(fork_child_closes_all),
	CASE(fork_child_replaces_all),
	CASE(plain_fork_child_uses_all),
	CASE(plain_fork_child_closes_all),
	CASE(plain_fork_child_replaces_all),
	CASE(clone_child_uses_all),
	CASE(clone_child_closes_all),
	CASE(clone_child_replaces_all),
	CASE(clone3_child_uses_all),
	CASE(clone3_child_closes_all),
	CASE(clone3_child_replaces_all),
	CASE(child_shares_the_numbers),
	CASE(children_of_children),
	CASE(daemon_that_leaves),
	CASE(daemon_that_stays),
	CASE(many_children),
	CASE(ends),
	CASE(exit_handlers_of_a_child),
	CASE(names),
};

CASES_MAIN(cases)
