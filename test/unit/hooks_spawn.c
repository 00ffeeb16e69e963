/* hooks_spawn.c - posix_spawn, posix_spawnp, system, popen: each is counted as a fork is. */
#include "doors.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/locks.h"
#include "base/process.h"

extern char **environ;
static char *const argv[] = {"sh", "-c", "exit 3", NULL};

static int status_of(pid_t child)
{
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void test_hook_posix_spawn(void **state)
{
	(void)state;
	pid_t child = 0;
	uint32_t before = sl_process_forks();
	assert_int_equal(UNTOUCHED(posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ)), 0);
	assert_int_equal(status_of(child), 3);
	assert_int_equal(sl_process_forks(), before + 2);
	assert_int_equal(posix_spawn(&child, "/none", NULL, NULL, argv, environ), ENOENT);
}

static void test_hook_posix_spawnp(void **state)
{
	(void)state;
	pid_t child = 0;
	uint32_t before = sl_process_forks();
	assert_int_equal(posix_spawnp(&child, "sh", NULL, NULL, argv, environ),
	                 0); /* errno: of its search */
	assert_int_equal(status_of(child), 3);
	assert_int_equal(sl_process_forks(), before + 2);
	assert_int_equal(posix_spawnp(&child, "none-such", NULL, NULL, argv, environ), ENOENT);
}

static void test_hook_system(void **state)
{
	(void)state;
	uint32_t before = sl_process_forks();
	assert_int_equal(WEXITSTATUS(UNTOUCHED(system("exit 4"))), 4);
	assert_int_equal(sl_process_forks(), before + 2);
	assert_int_not_equal(system(NULL), 0);
}

static void test_hook_popen(void **state)
{
	(void)state;
	char line[16] = "";
	uint32_t before = sl_process_forks();
	FILE *in = UNTOUCHED(popen("echo said; exit 5", "r"));
	assert_non_null(fgets(line, sizeof(line), in));
	assert_string_equal(line, "said\n");
	assert_int_equal(WEXITSTATUS(pclose(in)), 5);
	assert_int_equal(sl_process_forks(), before + 2);
	errno = 0;
	assert_null(popen("true", "nonsense"));
	assert_int_equal(errno, EINVAL);
}

static _Atomic bool is_done;

static void *run_shell(void *unused)
{
	is_done = system("exit 0") == 0;
	return unused;
}

/* Whoever has looked at the processes and is about to act ends first. */
static void they_wait_for_an_action(void **state)
{
	(void)state;
	pthread_t thread;
	uint32_t before = sl_process_forks();
	sl_lock_take(SL_LOCK_ACTION);
	assert_int_equal(pthread_create(&thread, NULL, run_shell, NULL), 0);
	for (int i = 0; i < 2000; i++)
		sched_yield();
	assert_int_equal(sl_process_forks(), before);
	assert_false(is_done);
	sl_lock_release(SL_LOCK_ACTION);
	pthread_join(thread, NULL);
	assert_true(is_done);
	assert_int_equal(sl_process_forks(), before + 2);
}

static int spawns_there(void *unused)
{
	pid_t child;
	(void)unused;
	return posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ);
}

static void a_vfork_childs_are_not_its_parents(void **state)
{
	(void)state;
	uint32_t before = sl_process_forks();
	assert_int_equal(in_vfork(spawns_there, NULL), 0);
	assert_int_equal(sl_process_forks(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_posix_spawn),
		cmocka_unit_test(test_hook_posix_spawnp),
		cmocka_unit_test(test_hook_system),
		cmocka_unit_test(test_hook_popen),
		cmocka_unit_test(they_wait_for_an_action),
		cmocka_unit_test(a_vfork_childs_are_not_its_parents),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
