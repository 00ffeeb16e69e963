/* hooks_alone.c - unshare, setns, close_range with CLOSE_RANGE_UNSHARE: for their length no thread of ours is there. */
#include "doors.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"
#include "base/sys.h"
#include "watch/worker.h"

static int open_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd >= 0 && is_seen(fd) ? fd : -1;
}

/* In a forked child: it has no thread but those that its own first socket made. */
static int separates_from_nobody(void *unused)
{
	(void)unused;
	int fd = open_tcp();
	NEED(fd >= 0 && sl_worker_is_running());
	NEED(SL_SYS1(SYS_unshare, CLONE_THREAD) == -EINVAL);
	int before = sl_worker_tid();
	NEED(unshare(CLONE_FILES | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) == 0);
	NEED(sl_worker_is_running() && sl_worker_tid() != before);
	NEED(!sl_process_is_separate_thread() && sl_process_may_act());
	NEED(is_seen(fd) && close(fd) == 0 && is_free(fd));
	NEED(unshare(0x1) == -1 && errno == EINVAL);
	NEED(sl_worker_is_running());
	return 0;
}

static void test_hook_unshare(void **state)
{
	(void)state;
	assert_int_equal(in_fork(separates_from_nobody, NULL), 0);
	assert_true(sl_worker_is_running());
}

static int enters_its_own(void *unused)
{
	(void)unused;
	int names = sl_sys_open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC, 0);
	NEED(open_tcp() >= 0 && names >= 0);
	long raw = SL_SYS2(SYS_setns, names, 0);
	int result = setns(names, 0);
	NEED(raw == 0 ? result == 0 : result == -1 && errno == -raw);
	NEED(sl_worker_is_running());
	return 0;
}

static void test_hook_setns(void **state)
{
	(void)state;
	assert_int_equal(in_fork(enters_its_own, NULL), 0);
}

/* What a thread with a table of its own does is nobody's business: its numbers are not the process's. */
struct apart {
	int fd; /* recorded, and open in both tables */
	int flags;
	const char *problem;
};

#define APART(condition)                         \
	do {                                     \
		if (!(condition)) {              \
			p->problem = #condition; \
			return NULL;             \
		}                                \
	} while (0)

static void *goes_apart(void *context)
{
	struct apart *p = context;
	if (p->flags < 0)
		APART(unshare(CLONE_FILES) == 0);
	else
		APART(close_range((unsigned)p->fd + 1, ~0U, p->flags) == 0);
	APART(sl_process_is_separate_thread() && !sl_process_may_act());
	APART(close(p->fd) == 0);
	APART(is_seen(p->fd));
	APART(socket(AF_INET, SOCK_STREAM, 0) == p->fd);
	APART(dup2(p->fd, p->fd + 1) == p->fd + 1);
	APART(!is_seen(p->fd + 1));
	APART(close_range((unsigned)p->fd, ~0U, 0) == 0);
	APART(is_seen(p->fd));
	return NULL;
}

static int lets_a_thread_go_apart(void *context)
{
	struct apart apart = {.fd = open_tcp(), .flags = *(int *)context};
	pthread_t thread;
	NEED(apart.fd >= 0);
	NEED(pthread_create(&thread, NULL, goes_apart, &apart) == 0);
	NEED(pthread_join(thread, NULL) == 0);
	if (apart.problem)
		fprintf(stderr, "in the thread: %s\n", apart.problem);
	NEED(!apart.problem);
	/* The worker comes back with the next socket of a thread that has the process's table. */
	NEED(!sl_process_is_separate_thread() && is_seen(apart.fd) && is_open(apart.fd));
	NEED(open_tcp() >= 0 && sl_worker_is_running());
	return 0;
}

static void a_thread_with_a_table_of_its_own_is_not_watched(void **state)
{
	(void)state;
	int ways[] = {-1, CLOSE_RANGE_UNSHARE, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC};
	for (int i = 0; i < 3; i++)
		assert_int_equal(in_fork(lets_a_thread_go_apart, &ways[i]), 0);
}

static int closes_its_range(void *unused)
{
	(void)unused;
	int low = open_tcp(), high = fcntl(low, F_DUPFD, 400), own = own_fd_make();
	NEED(low >= 0 && high >= 400 && is_seen(high));
	NEED(close_range((unsigned)high, ~0U, CLOSE_RANGE_UNSHARE) == 0);
	NEED(is_free(high) && !is_open(high) && is_seen(low) && is_open(own));
	NEED(close_range(7, 6, CLOSE_RANGE_UNSHARE) == -1 && errno == EINVAL);
	NEED(close_range((unsigned)low, ~0U, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) == 0);
	NEED(is_seen(low) && fcntl(low, F_GETFD) == FD_CLOEXEC);
	NEED(!sl_process_is_separate_thread() && sl_worker_is_running());
	return 0;
}

static void close_range_with_unshare_of_one_thread_is_seen(void **state)
{
	(void)state;
	assert_int_equal(in_fork(closes_its_range, NULL), 0);
}

/* Last: a fork right after threads came and went may find ASan's own lock of threads taken. */
static void errors_are_the_kernels(void **state)
{
	(void)state;
	FAILS_AS(SL_SYS1(SYS_unshare, 0x1), unshare(0x1));
	FAILS_AS(SL_SYS2(SYS_setns, -1, 0), setns(-1, 0));
	assert_true(sl_worker_is_running());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_with_a_table_of_its_own_is_not_watched),
		cmocka_unit_test(close_range_with_unshare_of_one_thread_is_seen),
		cmocka_unit_test(test_hook_setns),
		cmocka_unit_test(test_hook_unshare),
		cmocka_unit_test(errors_are_the_kernels),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
