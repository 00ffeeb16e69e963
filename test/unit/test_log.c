/* test_log.c - lines to stderr while it is ours, and the hourly budget of all output. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/options.h"

#define HOUR_MS 3600000u

static _Atomic uint64_t clock_ahead_ms;

/* Stands before libc's: the budget's hours pass when a test says so. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);
	now->tv_sec += (time_t)(clock_ahead_ms / 1000);
	return result;
}

static int set_up(void **state)
{
	(void)state;
	clock_ahead_ms += 2 * HOUR_MS; /* a fresh budget */
	sl_options_defaults(&sl_options);
	alarm(60);
	return 0;
}

static void set_nonblocking(int fd, bool is_nonblocking)
{
	assert_int_equal(fcntl(fd, F_SETFL, is_nonblocking ? O_NONBLOCK : 0), 0);
}

/* Nothing more fits; the description blocks again. */
static void fill(int fd)
{
	static const char page[4096];
	set_nonblocking(fd, true);
	while (write(fd, page, sizeof(page)) > 0)
		;
	while (write(fd, page, 1) > 0)
		;
	set_nonblocking(fd, false);
}

static void make_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static int temporary_file(void)
{
	char path[] = "/tmp/sockleak-test-log-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | O_APPEND);
	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

/* fd 2 is a pipe of the test's, between these two. */
static int real_stderr = -1, stderr_reader = -1;

static void stderr_take(void)
{
	int fds[2];
	make_pipe(fds);
	real_stderr = dup(2);
	assert_true(real_stderr >= 0);
	assert_int_equal(dup2(fds[1], 2), 2);
	close(fds[1]);
	stderr_reader = fds[0];
	set_nonblocking(stderr_reader, true);
}

/* Returns what was written, with fd 2 back. */
static const char *stderr_give_back(void)
{
	static char text[8192];
	ssize_t n = read(stderr_reader, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	dup2(real_stderr, 2);
	close(real_stderr);
	close(stderr_reader);
	return text;
}

/* Must run first: nothing has called sl_log_start() yet. */
static void silent_before_start(void **state)
{
	(void)state;
	stderr_take();
	bool is_ours = sl_log_stderr_is_ours();
	sl_log("early", NULL);
	const char *text = stderr_give_back();
	assert_false(is_ours);
	assert_string_equal(text, "");
}

static void lines(void **state)
{
	(void)state;
	stderr_take();
	sl_log_start();
	errno = 4711;
	sl_log("one ", "and", " two", NULL);
	sl_log("", NULL);
	sl_log("a\nb\x1b[2J\xff %s", NULL);
	int error = errno;
	bool is_ours = sl_log_stderr_is_ours();
	const char *text = stderr_give_back();
	assert_int_equal(error, 4711);
	assert_true(is_ours);
	assert_string_equal(text, "sockleak: one and two\n"
	                          "sockleak: \n"
	                          "sockleak: a\\x0ab\\x1b[2J\\xff %s\n");
}

static void long_line(void **state)
{
	(void)state;
	char part[700];
	memset(part, 'p', sizeof(part));
	part[sizeof(part) - 1] = '\0';
	stderr_take();
	sl_log_start();
	sl_log(part, part, "never seen", NULL);
	const char *text = stderr_give_back();
	assert_int_equal(strlen(text), 1000);
	assert_int_equal(text[999], '\n');
	assert_int_equal(text[998], 'p');
}

static void stderr_becomes_another_file(void **state)
{
	(void)state;
	stderr_take();
	sl_log_start();
	int kept = dup(2);
	int other = temporary_file();
	dup2(other, 2);
	bool is_other_ours = sl_log_stderr_is_ours();
	sl_log("for a file of the program's", NULL);
	int twin[2]; /* on the same device as the first pipe */
	make_pipe(twin);
	dup2(twin[1], 2);
	bool is_twin_ours = sl_log_stderr_is_ours();
	close(twin[0]);
	close(twin[1]);
	close(2);
	bool is_closed_ours = sl_log_stderr_is_ours();
	sl_log("for nobody", NULL);
	dup2(kept, 2);
	close(kept);
	sl_log("back", NULL);
	const char *text = stderr_give_back();
	struct stat st;
	assert_int_equal(fstat(other, &st), 0);
	close(other);
	assert_int_equal(st.st_size, 0);
	assert_false(is_other_ours);
	assert_false(is_twin_ours);
	assert_false(is_closed_ours);
	assert_string_equal(text, "sockleak: back\n");
}

static void stderr_closed_at_start(void **state)
{
	(void)state;
	int kept = dup(2);
	close(2);
	sl_log_start();
	dup2(kept, 2);
	close(kept);
	assert_false(sl_log_stderr_is_ours());
}

static void dropped_lines_are_counted(void **state)
{
	(void)state;
	stderr_take();
	sl_log_start();
	fill(2);
	uint64_t before = sl_log_held_back_bytes();
	sl_log("not taken", NULL);
	uint64_t after = sl_log_held_back_bytes();
	stderr_give_back();
	assert_int_equal(after - before, strlen("sockleak: not taken\n"));
}

static void budget(void **state)
{
	(void)state;
	sl_options.max_output_bytes = 4096;
	uint64_t before = sl_log_held_back_bytes();
	assert_true(sl_log_budget_take(4000));
	assert_true(sl_log_budget_take(0));
	assert_false(sl_log_budget_take(97));
	assert_true(sl_log_budget_take(96));
	assert_false(sl_log_budget_take(1));
	assert_int_equal(sl_log_held_back_bytes() - before, 98);
	clock_ahead_ms += HOUR_MS;
	assert_true(sl_log_budget_take(4096));
	assert_false(sl_log_budget_take(1));
	clock_ahead_ms -= HOUR_MS; /* a thread that was late with its look at the clock */
	assert_false(sl_log_budget_take(1));
	clock_ahead_ms += 3 * HOUR_MS;
	assert_false(sl_log_budget_take(4097));
	assert_false(sl_log_budget_take(SIZE_MAX));
	assert_true(sl_log_budget_take(4096));
}

static void budget_covers_lines(void **state)
{
	(void)state;
	sl_options.max_output_bytes = 40;
	stderr_take();
	sl_log_start();
	uint64_t before = sl_log_held_back_bytes();
	sl_log("123456789", NULL); /* 20 bytes with prefix and newline */
	sl_log("123456789", NULL);
	sl_log("123456789", NULL);
	uint64_t after = sl_log_held_back_bytes();
	const char *text = stderr_give_back();
	assert_string_equal(text, "sockleak: 123456789\nsockleak: 123456789\n");
	assert_int_equal(after - before, 20);
}

#define TAKERS 4
static _Atomic uint64_t taken, refused;

static void *take_many(void *argument)
{
	(void)argument;
	for (int i = 0; i < 20000; i++) {
		if (sl_log_budget_take(7))
			taken += 7;
		else
			refused += 7;
	}
	return NULL;
}

static void budget_between_threads(void **state)
{
	(void)state;
	sl_options.max_output_bytes = 100000;
	uint64_t before = sl_log_held_back_bytes();
	pthread_t threads[TAKERS];
	for (int i = 0; i < TAKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_many, NULL), 0);
	for (int i = 0; i < TAKERS; i++)
		pthread_join(threads[i], NULL);
	/* The hour may turn once meanwhile: then it is twice the budget. */
	assert_true(taken == 100000 / 7 * 7 || taken == 2 * (100000 / 7 * 7));
	assert_int_equal(sl_log_held_back_bytes() - before, refused);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(silent_before_start),
		TEST(lines),
		TEST(long_line),
		TEST(stderr_becomes_another_file),
		TEST(stderr_closed_at_start),
		TEST(dropped_lines_are_counted),
		TEST(budget),
		TEST(budget_covers_lines),
		TEST(budget_between_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
