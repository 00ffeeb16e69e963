/* hooks_threads.c - pthread_create, thrd_create: the library must know whether the program has threads. */
#include "doors.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include "base/process.h"
#include "watch/worker.h"

/* In a child: the value of a call that leaves errno alone, or -1. */
#define UNTOUCHED_BY(call)                           \
	({                                           \
		errno = ERRNO_BEFORE;                \
		int value_ = (call);                 \
		errno == ERRNO_BEFORE ? value_ : -1; \
	})

static void *answer(void *question)
{
	return question;
}

static int answer_c11(void *question)
{
	return *(int *)question;
}

static int makes_a_thread(void *unused)
{
	pthread_t thread;
	void *end = NULL;
	int value;
	(void)unused;
	NEED(!sl_process_has_threads()); /* the worker is ours */
	NEED(UNTOUCHED_BY(pthread_create(&thread, NULL, answer, &value)) == 0);
	NEED(pthread_join(thread, &end) == 0 && end == &value);
	NEED(sl_process_has_threads());
	return 0;
}

static int makes_a_c11_thread(void *unused)
{
	thrd_t thread;
	int value = 17, end = 0;
	(void)unused;
	NEED(!sl_process_has_threads());
	NEED(UNTOUCHED_BY(thrd_create(&thread, answer_c11, &value)) == thrd_success);
	NEED(thrd_join(thread, &end) == thrd_success && end == 17);
	NEED(sl_process_has_threads());
	return 0;
}

static int fails_as_ever(void *unused)
{
	pthread_t thread;
	pthread_attr_t attributes;
	(void)unused;
	NEED(pthread_attr_init(&attributes) == 0);
	NEED(pthread_attr_setstacksize(&attributes, (size_t)1 << 46) == 0);
	NEED(pthread_create(&thread, &attributes, answer, NULL) == EAGAIN);
	return 0;
}

static void test_hook_pthread_create(void **state)
{
	(void)state;
	assert_true(sl_worker_is_running());
	assert_int_equal(in_fork(makes_a_thread, NULL), 0);
	assert_int_equal(in_fork(fails_as_ever, NULL), 0);
	assert_false(sl_process_has_threads());
}

static void test_hook_thrd_create(void **state)
{
	(void)state;
	assert_int_equal(in_fork(makes_a_c11_thread, NULL), 0);
}

/* A child of _Fork() with threads opens its sockets without a worker: pthread_create() could wait for ever. */
static int has_no_worker(void *unused)
{
	pthread_t thread;
	(void)unused;
	NEED(pthread_create(&thread, NULL, answer, NULL) == 0 && pthread_join(thread, NULL) == 0);
	pid_t child = _Fork();
	if (child == 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		_exit(fd >= 0 && is_seen(fd) && !sl_worker_is_running() ? 0 : 1);
	}
	int status = -1;
	NEED(waitpid(child, &status, 0) == child);
	NEED(status == 0);
	return 0;
}

static void a_child_that_nobody_told_of_has_no_worker(void **state)
{
	(void)state;
	assert_int_equal(in_fork(has_no_worker, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_pthread_create),
		cmocka_unit_test(test_hook_thrd_create),
		cmocka_unit_test(a_child_that_nobody_told_of_has_no_worker),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
