/* spawn - children that share memory until they exec: vfork, posix_spawn, system, popen. What they do with their numbers is
 * their own, and their parent's picture stays as it was. */
#include "cases.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>

extern char **environ;

/* Numbers that children know. */
enum { NEAR = 7, FAR, LISTENER };           /* a shell takes one digit */
enum { OWN_FIRST = 1024, OWN_LAST = 1040 }; /* where the library has its own, if anywhere */

static struct sockaddr_in address;

static void move(int fd, int to)
{
	MUST(dup2(fd, to));
	MUST(close(fd));
}

static void set_scene(void)
{
	struct rlimit files;
	int ends[2];
	MUST(getrlimit(RLIMIT_NOFILE, &files));
	files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
	MUST(setrlimit(RLIMIT_NOFILE, &files));
	tcp_pair(ends);
	move(ends[0], NEAR);
	move(ends[1], FAR);
	move(listener(&address), LISTENER);
}

static void tell_bytes(int fd)
{
	char bytes[64] = "";
	long n = CALL(read(fd, bytes, sizeof(bytes) - 1));
	tell("bytes: %.*s", (int)(n > 0 ? n : 0), bytes);
}

static void connect_there(void)
{
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	int far = CALL(accept(LISTENER, NULL, NULL));
	CALL(write(far, "hello", 5));
	tell_bytes(fd);
	CALL(close(far));
	CALL(close(fd));
}

/* All that the parent has works as before. */
static void look_around(void)
{
	tell_fds("parent");
	CALL(write(NEAR, "there", 5));
	tell_bytes(FAR);
	CALL(write(FAR, "and back", 8));
	tell_bytes(NEAR);
	connect_there();
}

/* ---- vfork: the child runs here, with numbers of its own ---- */

typedef void act_fn(void);

static void with_vforked(act_fn *act)
{
	set_scene();
	pid_t child = (pid_t)MUST(vfork());
	if (child == 0) {
		act();
		_exit(5);
	}
	tell_end_of("child", child);
	look_around();
}

static void close_all(void)
{
	CALL(close(NEAR));
	CALL(close(FAR));
	CALL(close(FAR));
	CALL(close_range(LISTENER, LISTENER, 0));
	tell_fds("child");
}

static void vforked_closes(void)
{
	with_vforked(close_all);
}

static void close_from(void)
{
	closefrom(3);
	tell_fds("child");
}

static void vforked_closes_from(void)
{
	with_vforked(close_from);
}

/* Others are at the numbers of its parent, and come to ends of their own. */
static void replace_all(void)
{
	int fd = CALL(socket(AF_INET6, SOCK_STREAM, 0));
	CALL(dup2(fd, NEAR));
	CALL(listen(NEAR, 1));
	CALL(dup3(LISTENER, FAR, O_CLOEXEC));
	CALL(close(LISTENER));
	CALL(fcntl(FAR, F_DUPFD, LISTENER));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	tell_fds("child");
}

static void vforked_replaces(void)
{
	with_vforked(replace_all);
}

static void connect_in_place(void)
{
	CALL(close(NEAR));
	CALL(dup2(MUST(socket(AF_INET, SOCK_STREAM, 0)), NEAR));
	CALL(connect(NEAR, (struct sockaddr *)&address, sizeof(address)));
	CALL(shutdown(NEAR, SHUT_RDWR));
	CALL(close(LISTENER));
	CALL(dup2(NEAR, LISTENER));
	CALL(shutdown(LISTENER, SHUT_WR));
	tell_fds("child");
}

static void vforked_connects_in_their_place(void)
{
	set_scene();
	pid_t child = (pid_t)MUST(vfork());
	if (child == 0) {
		connect_in_place();
		_exit(5);
	}
	tell_end_of("child", child);
	CALL(close(MUST(accept(LISTENER, NULL, NULL))));
	look_around();
}

/* Numbers at which the library may have something are as free as all others. */
static void use_high_numbers(void)
{
	for (int fd = OWN_FIRST; fd <= OWN_LAST; fd++)
		CALL(dup2(NEAR, fd));
	for (int fd = OWN_FIRST; fd <= OWN_LAST; fd += 2)
		CALL(close(fd));
	CALL(close(OWN_FIRST));
	CALL(write(OWN_FIRST + 1, "x", 1));
	CALL(close_range(OWN_FIRST + 1, OWN_FIRST + 3, 0));
	closefrom(OWN_FIRST + 5);
	CALL(write(OWN_FIRST + 3, "x", 1));
	CALL(write(OWN_FIRST + 7, "x", 1));
}

static void vforked_uses_high_numbers(void)
{
	char byte;
	set_scene();
	for (int round = 0; round < 2; round++) {
		pid_t child = (pid_t)MUST(vfork());
		if (child == 0) {
			use_high_numbers();
			_exit(5);
		}
		tell_end_of("child", child);
		CALL(read(FAR, &byte, 1));
	}
	for (int fd = OWN_FIRST; fd <= OWN_LAST; fd++)
		CALL(close(fd));
	look_around();
}

static void change_signals(void)
{
	struct sigaction old;
	CALL(sigaction(SIGUSR1, NULL, &old));
	tell("default: %d, flags %x", old.sa_handler == SIG_DFL, old.sa_flags);
	CALL(signal(SIGUSR1, SIG_IGN) == SIG_DFL);
	CALL(signal(SIGUSR1, SIG_IGN) == SIG_IGN);
	CALL(raise(SIGUSR1));
	CALL(signal(SIGUSR2, SIG_IGN) == SIG_DFL);
}

static void vforked_changes_signals(void)
{
	struct sigaction old;
	with_vforked(change_signals);
	CALL(sigaction(SIGUSR1, NULL, &old));
	tell("default: %d, flags %x", old.sa_handler == SIG_DFL, old.sa_flags);
}

static void die(void)
{
	raise(SIGUSR1);
}

static void vforked_dies_of_a_signal(void)
{
	with_vforked(die);
}

static void run_observer(void)
{
	MUST(close(FAR));
	become("observer");
}

static void vforked_execs(void)
{
	with_vforked(run_observer);
}

/* ---- posix_spawn ---- */

/* Also a program to run: what did it get? */
static void observer(void)
{
	sigset_t mask;
	struct sigaction action;
	socklen_t length = sizeof(address);
	MUST(sigprocmask(SIG_SETMASK, NULL, &mask));
	for (int number = 1; number < 65; number++) {
		bool is_set = sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL;
		if (sigismember(&mask, number) == 1 || is_set)
			tell("%d: blocked %d, ignored %d", number, sigismember(&mask, number),
			     is_set && action.sa_handler == SIG_IGN);
	}
	tell("leads its group: %d, its session: %d", getpgrp() == getpid(), getsid(0) == getpid());
	tell_fds("got");
	if (getsockname(LISTENER, (struct sockaddr *)&address, &length) == 0)
		connect_there();
}

static pid_t spawn(const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes)
{
	char *argv[] = {(char *)(uintptr_t)cases_self, "observer", (char *)(uintptr_t)cases_output,
	                NULL};
	pid_t child = 0;
	int error = posix_spawn(&child, cases_self, actions, attributes, argv, environ);
	if (error)
		tell("posix_spawn: %s", strerrorname_np(error));
	else
		tell_end_of("observer", child);
	return error;
}

static void spawned_with_all_actions(void)
{
	posix_spawn_file_actions_t actions;
	set_scene();
	MUST(-posix_spawn_file_actions_init(&actions));
	MUST(-posix_spawn_file_actions_adddup2(&actions, LISTENER, 30));
	MUST(-posix_spawn_file_actions_adddup2(&actions, 30, 30));
	MUST(-posix_spawn_file_actions_addclose(&actions, FAR));
	MUST(-posix_spawn_file_actions_addclose(&actions, FAR));
	MUST(-posix_spawn_file_actions_addopen(&actions, NEAR, "/dev/null", O_RDWR, 0));
	MUST(-posix_spawn_file_actions_addopen(&actions, 40, "/dev/zero", O_RDONLY, 0));
	MUST(-posix_spawn_file_actions_addchdir_np(&actions, "."));
	spawn(&actions, NULL);
	MUST(-posix_spawn_file_actions_addclosefrom_np(&actions, 25));
	spawn(&actions, NULL);
	MUST(-posix_spawn_file_actions_addclosefrom_np(&actions, 3));
	spawn(&actions, NULL);
	look_around();
}

static void spawned_with_high_numbers(void)
{
	posix_spawn_file_actions_t actions;
	set_scene();
	MUST(-posix_spawn_file_actions_init(&actions));
	for (int fd = OWN_FIRST; fd <= OWN_LAST; fd++)
		MUST(-posix_spawn_file_actions_addclose(&actions, fd));
	for (int fd = OWN_FIRST; fd <= OWN_LAST; fd++)
		MUST(-posix_spawn_file_actions_adddup2(&actions, NEAR, fd));
	for (int fd = OWN_FIRST; fd <= OWN_LAST; fd += 2)
		MUST(-posix_spawn_file_actions_addclose(&actions, fd));
	MUST(-posix_spawn_file_actions_adddup2(&actions, OWN_FIRST + 1, 50));
	spawn(&actions, NULL);
	look_around();
}

static void spawned_in_vain(void)
{
	posix_spawn_file_actions_t actions;
	pid_t child;
	char *const nothing[] = {"nothing", NULL};
	set_scene();
	tell("none: %s",
	     strerrorname_np(posix_spawn(&child, "/nonexistent", NULL, NULL, nothing, environ)));
	tell("none in PATH: %s", strerrorname_np(posix_spawnp(&child, "nonexistent-anywhere", NULL,
	                                                      NULL, nothing, environ)));
	MUST(-posix_spawn_file_actions_init(&actions));
	MUST(-posix_spawn_file_actions_adddup2(&actions, 777, 30));
	spawn(&actions, NULL);
	CALL(waitpid(-1, NULL, WNOHANG));
	look_around();
}

static void spawned_with_attributes(void)
{
	posix_spawnattr_t attributes;
	sigset_t some;
	set_scene();
	MUST(signal(SIGUSR1, SIG_IGN) == SIG_ERR ? -1 : 0);
	MUST(signal(SIGUSR2, SIG_IGN) == SIG_ERR ? -1 : 0);
	MUST(signal(SIGHUP, SIG_IGN) == SIG_ERR ? -1 : 0);
	spawn(NULL, NULL);
	MUST(-posix_spawnattr_init(&attributes));
	MUST(sigemptyset(&some));
	MUST(sigaddset(&some, SIGUSR1));
	MUST(-posix_spawnattr_setsigdefault(&attributes, &some));
	MUST(sigaddset(&some, SIGTERM));
	MUST(-posix_spawnattr_setsigmask(&attributes, &some));
	MUST(-posix_spawnattr_setpgroup(&attributes, 0));
	MUST(-posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
	                                                    POSIX_SPAWN_SETPGROUP));
	spawn(NULL, &attributes);
	MUST(-posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_RESETIDS));
	spawn(NULL, &attributes);
	look_around();
}

/* ---- system, popen ---- */

static void tell_status(const char *what, int status)
{
	tell("%s: %s %d", what, WIFSIGNALED(status) ? "signal" : "exit",
	     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void shells(void)
{
	set_scene();
	tell("a shell: %d", system(NULL) != 0);
	tell_status("exit 3", system("exit 3"));
	tell_status("kill", system("kill -TERM $$"));
	tell_status(
		"USR2",
		system("kill -USR2 $$")); /* of USR1 a shell with sockets makes a report, and lives on */
	tell_status("none", system("exec /nonexistent 2>/dev/null"));
	tell_status("writes", system("printf 'from the shell' >&8"));
	tell_bytes(NEAR);
	tell_status("keeps none", system("exec 7>&- 8>&- 9>&-"));
	tell_status("says", system("echo on stdout; echo on stderr >&2"));
	look_around();
}

static void pipes_to_shells(void)
{
	char line[64] = "";
	set_scene();
	FILE *in = popen("echo one; echo two; exit 4", "r");
	while (fgets(line, sizeof(line), in))
		tell("%.3s", line);
	tell_fds("while it is open");
	tell_status("pclose", pclose(in));
	FILE *out = popen("read line; test \"$line\" = three; exit $?", "w");
	FILE *second = popen("cat >/dev/null; kill -HUP $$", "we");
	tell("%d", fputs("three\n", out));
	tell_status("pclose", pclose(out));
	tell_status("pclose", pclose(second));
	in = popen("printf 'by the shell' >&7", "r");
	tell("%d", fgetc(in));
	tell_status("pclose", pclose(in));
	tell_bytes(FAR);
	look_around();
}

/* ---- many at once ---- */

static atomic_bool is_over;

static void *connect_all_the_time(void *count)
{
	while (!is_over) {
		int ends[2];
		tcp_pair(ends);
		*(int *)count +=
			write(ends[0], "x", 1) != 1 || close(ends[0]) != 0 || close(ends[1]) != 0;
	}
	return NULL;
}

static void many_while_threads_connect(void)
{
	pthread_t thread;
	int wrong = 0, fine = 0;
	set_scene();
	MUST(-pthread_create(&thread, NULL, connect_all_the_time, &wrong));
	for (int i = 0; i < 60; i++) {
		char *const argv[] = {"true", NULL};
		pid_t child;
		int status = 1;
		if (i % 3 == 0)
			status = system("exit 0");
		else if (i % 3 == 1 && posix_spawnp(&child, "true", NULL, NULL, argv, environ) == 0)
			MUST(waitpid(child, &status, 0));
		else if (i % 3 == 2)
			status = pclose(popen("exit 0", "r"));
		fine += status == 0;
	}
	is_over = true;
	pthread_join(thread, NULL);
	tell("fine: %d, wrong: %d", fine, wrong);
	look_around();
}

static const struct cases_case cases[] = {
	CASE(vforked_closes),
	CASE(vforked_closes_from),
	CASE(vforked_replaces),
	CASE(vforked_connects_in_their_place),
	CASE(vforked_uses_high_numbers),
	CASE(vforked_changes_signals),
	CASE(vforked_dies_of_a_signal),
	CASE(vforked_execs),
	CASE(observer),
	CASE(spawned_with_all_actions),
	CASE(spawned_with_high_numbers),
	CASE(spawned_in_vain),
	CASE(spawned_with_attributes),
	CASE(shells),
	CASE(pipes_to_shells),
	CASE(many_while_threads_connect),
};

CASES_MAIN(cases)
