/* test_sharing_processes.c - processes that cannot be read, or not as others can: which of them stand in the way? Most tests run in
 * a child that gives its rights up. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "asked.h"
#include "base/clerk.h"
#include "captured.h"
#include "child.h"
#include "reclaim/sharing.h"
#include "suspected.h"

#define SOMEBODY 54321 /* a user that nobody is */

typedef void sleeper_fn(void *context);

static void become_somebody(void)
{
	CHECK(setresgid(SOMEBODY, SOMEBODY, SOMEBODY) == 0);
	CHECK(setresuid(SOMEBODY, SOMEBODY, SOMEBODY) == 0);
	/* As after an exec(): one's own. */
	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	sl_clerk_forked();
	sl_clerk_start();
}

static void need_root(void)
{
	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		skip();
	}
}

static pid_t fork_sleeper(sleeper_fn *fn, void *context)
{
	int up[2];
	char byte;
	CHECK(pipe(up) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		fn(context);
		(void)!write(up[1], "", 1);
		for (;;)
			pause();
	}
	CHECK(read(up[0], &byte, 1) == 1);
	close(up[0]);
	close(up[1]);
	return pid;
}

static void end_sleeper(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static void hide(void *fd)
{
	close(*(int *)fd);
	prctl(PR_SET_DUMPABLE, 0);
}

/* The parent is root's, and of the same name: it forked this one, and may hold the same sockets. */
static void rename_in_child(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	become_somebody();
	/* It is the older one: what was opened here it has not. By the clock's ticks both may have begun at once. */
	enum sl_sharing_answer answer = answer_for(fd);
	CHECK(answer == SL_SHARING_UNKNOWN ||
	      (answer == SL_SHARING_NONE && sharing.is_older_unknown));
	/* By another name it is another program, which has exec'ed this one. */
	CHECK(prctl(PR_SET_NAME, "another-name") == 0);
	CHECK(answer_for(fd) == SL_SHARING_NONE && !sharing.is_older_unknown);
}

static void a_parent_of_another_user(void **state)
{
	(void)state;
	need_root();
	in_child(rename_in_child);
}

static void hidden_in_child(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(prctl(PR_SET_NAME, "another-name") == 0);
	become_somebody();
	CHECK(answer_for(fd) == SL_SHARING_NONE);
	/* One of this user's that is not dumpable: nobody can tell. */
	pid_t hidden = fork_sleeper(hide, &fd);
	CHECK(answer_for(fd) == SL_SHARING_UNKNOWN);
	/* One that certainly has it is worse than one that may. */
	pid_t holder = fork_sleeper(do_nothing, NULL);
	CHECK(answer_for(fd) == SL_SHARING_SHARED);
	end_sleeper(holder);
	CHECK(answer_for(fd) == SL_SHARING_UNKNOWN);
	end_sleeper(hidden);
	CHECK(answer_for(fd) == SL_SHARING_NONE);
}

static void hidden_from_us(void **state)
{
	(void)state;
	need_root();
	in_child(hidden_in_child);
}

/* A child that has ended and that nobody has waited for holds nothing, and must not end the mitigation for good. */
static void zombie_in_child(void)
{
	siginfo_t ended;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(prctl(PR_SET_NAME, "another-name") == 0);
	become_somebody();
	pid_t zombie = fork();
	if (zombie == 0)
		_exit(0);
	CHECK(waitid(P_PID, (id_t)zombie, &ended, WEXITED | WNOWAIT) == 0);
	CHECK(answer_for(fd) == SL_SHARING_NONE);
}

static void a_zombie(void **state)
{
	(void)state;
	need_root();
	in_child(zombie_in_child);
}

static bool has_no_fds(void *context)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd/1", *(pid_t *)context);
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

/* One that has nothing open at all. */
static void a_process_without_fds(void **state)
{
	(void)state;
	need_readable_proc();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		close_range(0, ~0u, 0);
		for (;;)
			pause();
	}
	await(has_no_fds, &pid, "a process without fds");
	enum sl_sharing_answer answer = answer_for(fd);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(answer, SL_SHARING_NONE);
}

static void *live_on(void *started)
{
	atomic_store((_Atomic bool *)started, true);
	for (;;)
		pause();
	return NULL;
}

/* The first thread of this one ends, the other keeps the fds: /proc/PID/fd is empty. */
static void headless(int to_close)
{
	static _Atomic bool has_started;
	pthread_t thread;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(60);
	close(to_close);
	if (pthread_create(&thread, NULL, live_on, (void *)&has_started) != 0)
		_exit(1);
	while (!atomic_load(&has_started))
		usleep(500);
	syscall(SYS_exit, 0);
}

static bool is_headless(void *context)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", *(pid_t *)context);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	const char *at = strrchr(text, ')');
	return at && at[2] == 'Z';
}

/* One that has fd, or that has closed it. */
static enum sl_sharing_answer answer_beside_headless(int fd, bool has_it)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		headless(has_it ? -1 : fd);
	await(is_headless, &pid, "the end of a first thread");
	enum sl_sharing_answer answer = answer_for(fd);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return answer;
}

static void a_process_without_its_first_thread(void **state)
{
	(void)state;
	need_readable_proc();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(answer_beside_headless(fd, true), SL_SHARING_SHARED);
	assert_int_equal(answer_beside_headless(fd, false), SL_SHARING_NONE);
	assert_int_equal(answer_for(fd), SL_SHARING_NONE);
}

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* Processes of many threads, one after the other, which end all at once: some of the threads later than the first. */
static void come_and_go(void *fd)
{
	close(*(int *)fd);
	if (fork() != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		pthread_t thread;
		pid_t pid = fork();
		if (pid == 0) {
			for (int i = 0; i < 40; i++)
				(void)pthread_create(&thread, NULL, sleep_on, NULL);
			_exit(0);
		}
		(void)waitpid(pid, NULL, 0);
	}
}

static void processes_that_end_meanwhile(void **state)
{
	(void)state;
	need_readable_proc();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid = fork_sleeper(come_and_go, &fd);
	unsigned unknown = 0;
	for (int i = 0; i < 400; i++)
		unknown += answer_for(fd) != SL_SHARING_NONE;
	end_sleeper(pid);
	assert_int_equal(unknown, 0);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	CHECK(syscall(SYS_capset, &header, none) == 0);
	sl_clerk_forked();
	sl_clerk_start();
}

static void rename_it(void *fd)
{
	close(*(int *)fd);
	prctl(PR_SET_NAME, "another-name");
}

/* One of the same user with more rights: its fds can be listed, but not where they lead. Most of these have nothing to do with
 * us, the first process of the machine above all; one of our name may have been forked with what we have. */
static void lesser_in_child(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(prctl(PR_SET_NAME, "a-name-of-ours") == 0);
	pid_t stranger = fork_sleeper(rename_it, &fd);
	pid_t holder = fork_sleeper(do_nothing, NULL);
	drop_capabilities();
	CHECK(answer_for(fd) == SL_SHARING_UNKNOWN);
	end_sleeper(holder);
	CHECK(answer_for(fd) == SL_SHARING_NONE);
	end_sleeper(stranger);
}

static void a_process_with_more_rights(void **state)
{
	(void)state;
	need_root();
	in_child(lesser_in_child);
}

/* In a pid namespace with the /proc of another: this process has another number there. */
static void other_pids_in_child(void)
{
	int status = -1;
	CHECK(unshare(CLONE_NEWPID) == 0);
	pid_t first = fork();
	if (first == 0) {
		alarm(20);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		sl_clerk_forked();
		sl_clerk_start();
		_exit(getpid() == 1 && answer_for(fd) == SL_SHARING_NONE ? 0 : 1);
	}
	CHECK(waitpid(first, &status, 0) == first);
	CHECK(status == 0);
}

static void pids_of_another_namespace(void **state)
{
	(void)state;
	need_root();
	need_readable_proc();
	in_child(other_pids_in_child);
}

/* Somebody else's root, without a /proc: nothing is known of anybody. */
static void no_proc_in_child(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(chroot(in_directory("")) == 0);
	sl_clerk_forked();
	sl_clerk_start();
	CHECK(read_about(&fd, 1));
	CHECK(sl_sharing_of(&sharing, sl_sharing_inode(fd)) == SL_SHARING_UNKNOWN);
	CHECK(sl_sharing_is_in_epoll(&sharing, sl_sharing_inode(fd)));
}

static void no_proc(void **state)
{
	(void)state;
	need_root();
	directory_make();
	in_child(no_proc_in_child);
	directory_remove();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_parent_of_another_user),
		TEST(hidden_from_us),
		TEST(a_zombie),
		TEST(a_process_without_fds),
		TEST(a_process_without_its_first_thread),
		TEST(processes_that_end_meanwhile),
		TEST(a_process_with_more_rights),
		TEST(pids_of_another_namespace),
		TEST(no_proc),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}

int main(void)
{
	return run_alone(run_all);
}
