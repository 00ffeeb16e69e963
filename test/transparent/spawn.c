/* spawn - posix_spawn, system, popen: children that libc makes in borrowed memory. */
#include "scene.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>

extern char **environ;

/* ---- posix_spawn ---- */

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
	CASE(observer),        CASE(spawned_with_all_actions),   CASE(spawned_with_high_numbers),
	CASE(spawned_in_vain), CASE(spawned_with_attributes),    CASE(shells),
	CASE(pipes_to_shells), CASE(many_while_threads_connect),
};

CASES_MAIN(cases)
