/* test_process.c - whose memory is this: forks that tell, forks that do not, vfork, a pid that comes twice. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/seccomp.h>

#include <cmocka.h>

#include "base/process.h"
#include "racers.h"

static _Atomic int children;           /* calls of the child function in this memory */
static _Atomic bool is_ours_to_itself; /* what the child function was told */
static _Atomic bool child_function_waits;

static void in_child(void)
{
	children++;
	is_ours_to_itself = sl_process_is_ours();
	while (child_function_waits)
		sched_yield();
}

static pid_t fork_plain(void)
{
	return fork();
}

static pid_t fork_silent(void)
{
	return _Fork();
}

static pid_t clone_raw(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static pid_t (*const ways[])(void) = {fork_plain, fork_silent, clone_raw};

/* 0: what `run` says in the child is 0; else that, or the wait status. */
static int status_in_child(pid_t (*make)(void), int (*run)(void))
{
	int status = -1;
	pid_t child = make();
	if (child == 0) {
		alarm(30); /* not inherited */
		_exit(run());
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : status;
}

static void assert_in_each_child(int (*run)(void))
{
	for (unsigned way = 0; way < sizeof(ways) / sizeof(ways[0]); way++)
		assert_int_equal(status_in_child(ways[way], run), 0);
	assert_int_equal(children, 0);
	assert_true(sl_process_is_ours());
}

static int asks(void)
{
	for (int i = 0; i < 3; i++)
		if (!sl_process_is_ours() || children != 1)
			return 1;
	return is_ours_to_itself ? 2 : 0;
}

static int is_told(void)
{
	sl_process_forked();
	if (children != 1)
		return 1;
	sl_process_forked();
	return asks();
}

static int asks_then_is_told(void)
{
	int status = asks();
	sl_process_forked();
	return status ? status : children != 1;
}

static void the_first_process_is_ours(void **state)
{
	(void)state;
	assert_true(sl_process_is_ours());
	sl_process_forked(); /* not a child */
	assert_int_equal(children, 0);
	assert_true(sl_process_is_ours());
	assert_false(sl_process_is_sandboxed());
}

static void a_child_runs_the_child_function_once(void **state)
{
	(void)state;
	assert_in_each_child(asks);
	assert_in_each_child(is_told);
	assert_in_each_child(asks_then_is_told);
}

static int is_second(void)
{
	return sl_process_is_ours() && children == 2 ? 0 : 1;
}

static int has_a_child(void)
{
	int status = asks();
	for (unsigned way = 0; way < sizeof(ways) / sizeof(ways[0]) && !status; way++)
		status = status_in_child(ways[way], is_second);
	return status ? status : children != 1;
}

static void a_grandchild_runs_it_again(void **state)
{
	(void)state;
	assert_in_each_child(has_a_child);
}

static int lends_its_memory(void)
{
	static volatile int said = -1;
	int before = children;
	pid_t child = vfork();
	if (child == 0) {
		said = sl_process_is_ours();
		sl_process_forked();
		_exit(0);
	}
	int status = -1;
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		return 1;
	return said || children != before || !sl_process_is_ours() ? 2 : 0;
}

static void a_vfork_child_is_not_ours(void **state)
{
	(void)state;
	assert_int_equal(lends_its_memory(), 0);
	assert_int_equal(children, 0);
}

static int lends_it_as_a_child(void)
{
	int status = asks();
	return status ? status : lends_its_memory();
}

static void nor_is_the_vfork_child_of_a_child(void **state)
{
	(void)state;
	assert_in_each_child(lends_it_as_a_child);
}

/* ---- threads and handlers in a child that has only begun ---- */

static void *first_to_ask(void *unused)
{
	(void)unused;
	return sl_process_is_ours() ? NULL : &children;
}

static int is_asked_while_it_starts(void)
{
	pthread_t first;
	void *refused = &first;
	child_function_waits = true;
	if (pthread_create(&first, NULL, first_to_ask, NULL) != 0)
		return 1;
	while (children == 0)
		sched_yield();
	bool is_ours = sl_process_is_ours();
	child_function_waits = false;
	pthread_join(first, &refused);
	return is_ours || refused ? 2 : asks();
}

static void nobody_is_let_in_before_the_child_function_is_done(void **state)
{
	(void)state;
	assert_int_equal(status_in_child(fork_plain, is_asked_while_it_starts), 0);
}

static void ask_at_once(unsigned index, void *context)
{
	(void)index;
	(void)context;
	while (!sl_process_is_ours())
		sched_yield();
}

static int has_threads(void)
{
	race(4, ask_at_once, NULL);
	return asks();
}

static void threads_of_a_child_run_it_once(void **state)
{
	(void)state;
	for (unsigned round = 0; round < RACE_ROUNDS(64u); round++)
		assert_int_equal(status_in_child(fork_plain, has_threads), 0);
}

/* ---- the parent's pid again, in a pid namespace of the child's own ---- */

#define NOT_ALLOWED 77

static int is_first_again(void)
{
	return getpid() == 1 && asks() == 0 ? 0 : 1;
}

/* Process 1 of a namespace, whose child is process 1 of the next. */
static int is_first(void)
{
	if (getpid() != 1 || asks() != 0)
		return 1;
	children = 0;
	if (unshare(CLONE_NEWPID) != 0)
		return NOT_ALLOWED;
	return status_in_child(clone_raw, is_first_again);
}

static int goes_apart(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
		return NOT_ALLOWED;
	return status_in_child(clone_raw, is_first);
}

static void an_equal_pid_does_not_hide_a_child(void **state)
{
	(void)state;
	int status = status_in_child(fork_plain, goes_apart);
	if (status == NOT_ALLOWED)
		skip();
	assert_int_equal(status, 0);
}

/* ---- threads ---- */

static int may_make_threads(void)
{
	return sl_process_is_ours() && sl_process_may_make_threads() ? 0 : 1;
}

static int is_told_and_may_make_threads(void)
{
	sl_process_forked();
	return may_make_threads();
}

static int may_not_make_threads(void)
{
	if (!sl_process_is_ours() || sl_process_may_make_threads())
		return 1;
	/* libc's fork() has put all right, if the program came so far. */
	return status_in_child(fork_plain, is_told_and_may_make_threads);
}

static int of_a_process_with_threads(void)
{
	sl_process_forked();
	sl_process_note_threads();
	if (!sl_process_has_threads() || !sl_process_may_make_threads())
		return 1;
	for (unsigned way = 1; way < sizeof(ways) / sizeof(ways[0]); way++) {
		if (status_in_child(ways[way], may_not_make_threads) != 0)
			return 2;
		/* A fork handler came late: of a fork() all the same. */
		if (status_in_child(ways[way], is_told_and_may_make_threads) != 0)
			return 3;
	}
	return may_make_threads();
}

static void a_child_of_threads_makes_none_unless_told(void **state)
{
	(void)state;
	assert_false(sl_process_has_threads());
	assert_in_each_child(may_make_threads);
	assert_int_equal(status_in_child(fork_plain, of_a_process_with_threads), 0);
}

/* ---- sandboxes ---- */

/* Strict: any system call but read, write and exit is the end. */
static int is_sandboxed(void)
{
	if (!sl_process_is_ours())
		return 1;
	sl_process_sandboxed();
	if (!sl_process_is_sandboxed())
		return 2;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
		return NOT_ALLOWED;
	bool is_ours = sl_process_is_ours() && sl_process_is_first_thread();
	syscall(SYS_exit, is_ours ? 0 : 3);
	return 4;
}

/* A child of a sandbox is nothing to us: whatever it would take to make it ours may be forbidden. */
static int forks_in_a_sandbox(void)
{
	int status;
	if (!sl_process_is_ours())
		return 1;
	sl_process_sandboxed();
	pid_t child = fork();
	if (child == 0)
		_exit(sl_process_is_ours() ? 1 : 0);
	return waitpid(child, &status, 0) == child ? status : 2;
}

static void what_a_sandbox_forks_is_not_ours(void **state)
{
	(void)state;
	assert_int_equal(status_in_child(fork_plain, forks_in_a_sandbox), 0);
}

static void a_sandboxed_process_is_asked_nothing(void **state)
{
	(void)state;
	int status = status_in_child(fork_plain, is_sandboxed);
	if (status == NOT_ALLOWED)
		skip();
	assert_int_equal(status, 0);
	assert_false(sl_process_is_sandboxed());
}

static int set_up(void **state)
{
	(void)state;
	alarm(60);
	if (!sl_process_is_ours()) /* before the start too: nothing is known against it */
		return -1;
	sl_process_start(in_child);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_process_is_ours),
		cmocka_unit_test(a_child_runs_the_child_function_once),
		cmocka_unit_test(a_grandchild_runs_it_again),
		cmocka_unit_test(a_vfork_child_is_not_ours),
		cmocka_unit_test(nor_is_the_vfork_child_of_a_child),
		cmocka_unit_test(nobody_is_let_in_before_the_child_function_is_done),
		cmocka_unit_test(threads_of_a_child_run_it_once),
		cmocka_unit_test(an_equal_pid_does_not_hide_a_child),
		cmocka_unit_test(a_child_of_threads_makes_none_unless_told),
		cmocka_unit_test(a_sandboxed_process_is_asked_nothing),
		cmocka_unit_test(what_a_sandbox_forks_is_not_ours),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
