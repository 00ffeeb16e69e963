/* test_log_write.c - sl_log_write(): neither waits for its reader nor raises a signal.
 *
 * A write that would wait for ever is ended by alarm(), which fails the program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

static int set_up(void **state)
{
	(void)state;
	alarm(60);
	return 0;
}

/* What may be seen of the signals of a write: nothing. */
static sigset_t mask_before, pending_before;

static void signals_before(void)
{
	pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
	sigpending(&pending_before);
	errno = 4711;
}

static void expect_signals_as_before(void)
{
	assert_int_equal(errno, 4711);
	sigset_t mask, pending;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	sigpending(&pending);
	for (int signal = 1; signal < NSIG; signal++) {
		assert_int_equal(sigismember(&mask, signal), sigismember(&mask_before, signal));
		assert_int_equal(sigismember(&pending, signal),
		                 sigismember(&pending_before, signal));
	}
}

static int write_checked(int fd, const char *bytes, size_t n, unsigned wait_ms)
{
	signals_before();
	int result = sl_log_write(fd, bytes, n, wait_ms);
	expect_signals_as_before();
	return result;
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

static size_t read_some(int fd, char *bytes, size_t n)
{
	ssize_t got = read(fd, bytes, n);
	assert_true(got >= 0);
	return (size_t)got;
}

static void make_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static void make_fifo(int fds[2])
{
	char folder[] = "/tmp/sockleak-test-log-XXXXXX";
	assert_non_null(mkdtemp(folder));
	char path[64];
	strcpy(path, folder);
	strcat(path, "/fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	fds[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	fds[1] = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fds[0] >= 0 && fds[1] >= 0);
	set_nonblocking(fds[0], false);
	unlink(path);
	rmdir(folder);
}

static void make_socketpair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* The slave's end in fds[1], as a terminal in its usual mode. */
static void make_tty(int fds[2])
{
	fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(fds[0] >= 0);
	assert_int_equal(grantpt(fds[0]), 0);
	assert_int_equal(unlockpt(fds[0]), 0);
	fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(fds[1] >= 0);
}

static void close_both(const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

typedef void make_fn(int fds[2]);
static make_fn *const readers[] = {make_pipe, make_fifo, make_socketpair};
#define READER_COUNT (sizeof(readers) / sizeof(readers[0]))

static void arrives(void **state)
{
	(void)state;
	for (size_t i = 0; i < READER_COUNT; i++) {
		int fds[2];
		readers[i](fds);
		assert_int_equal(write_checked(fds[1], "hello", 5, 0), 0);
		assert_int_equal(write_checked(fds[1], "", 0, 0), 0);
		char bytes[16];
		assert_int_equal(read_some(fds[0], bytes, sizeof(bytes)), 5);
		assert_memory_equal(bytes, "hello", 5);
		close_both(fds);
	}
}

static void full_reader_is_not_waited_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < READER_COUNT; i++) {
		int fds[2];
		readers[i](fds);
		fill(fds[1]);
		assert_int_equal(write_checked(fds[1], "hello", 5, 0), -EAGAIN);
		uint64_t begin_ms = sl_clock_ms();
		assert_int_equal(write_checked(fds[1], "hello", 5, 60), -EAGAIN);
		assert_true(sl_clock_ms() - begin_ms >= 60);
		set_nonblocking(fds[1], true); /* as a program may leave its stderr */
		assert_int_equal(write_checked(fds[1], "hello", 5, 10), -EAGAIN);
		close_both(fds);
	}
}

#define LARGE_BYTES (1u << 20)
static char large[LARGE_BYTES], received[LARGE_BYTES];

struct reader {
	int fd;
	size_t length;
};

static void *read_all(void *argument)
{
	struct reader *reader = argument;
	for (;;) {
		ssize_t got =
			read(reader->fd, received + reader->length, LARGE_BYTES - reader->length);
		if (got <= 0)
			return NULL;
		reader->length += (size_t)got;
	}
}

static void slow_reader_gets_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < LARGE_BYTES; i++)
		large[i] = (char)(i * 2654435761u >> 13);
	for (size_t i = 0; i < READER_COUNT; i++) {
		int fds[2];
		readers[i](fds);
		memset(received, 0, sizeof(received));
		struct reader reader = {fds[0], 0};
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
		int result = write_checked(fds[1], large, LARGE_BYTES, 30000);
		close(fds[1]);
		pthread_join(thread, NULL);
		close(fds[0]);
		assert_int_equal(result, 0);
		assert_int_equal(reader.length, LARGE_BYTES);
		assert_memory_equal(received, large, LARGE_BYTES);
	}
}

static _Atomic int handled;

static void count_signal(int signal)
{
	(void)signal;
	handled++;
}

/* SIGPIPE is at its default: raised, it would end this program. */
static void reader_is_gone(void **state)
{
	(void)state;
	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	for (size_t i = 0; i < READER_COUNT; i++) {
		int fds[2];
		readers[i](fds);
		close(fds[0]);
		assert_int_equal(write_checked(fds[1], "hello", 5, 10), -EPIPE);
		close(fds[1]);
	}
	int fds[2];
	make_pipe(fds);
	close(fds[0]);
	handled = 0;
	signal(SIGPIPE, count_signal);
	assert_int_equal(write_checked(fds[1], "hello", 5, 10), -EPIPE);
	assert_int_equal(handled, 0);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(write_checked(fds[1], "hello", 5, 10), -EPIPE);
	signal(SIGPIPE, SIG_DFL);
	close(fds[1]);
}

/* The program's own pending SIGPIPE is not eaten, and none is left where it blocks the signal. */
static void pending_sigpipe_stays(void **state)
{
	(void)state;
	sigset_t pipe_only, old;
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
	int fds[2];
	make_pipe(fds);
	close(fds[0]);
	assert_int_equal(write_checked(fds[1], "hello", 5, 10), -EPIPE);
	raise(SIGPIPE);
	assert_int_equal(write_checked(fds[1], "hello", 5, 10), -EPIPE);
	struct timespec at_once = {0, 0};
	assert_int_equal(sigtimedwait(&pipe_only, NULL, &at_once), SIGPIPE);
	assert_int_equal(sigtimedwait(&pipe_only, NULL, &at_once), -1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(fds[1]);
}

static int temporary_file(void)
{
	char path[] = "/tmp/sockleak-test-log-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | O_APPEND);
	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static void files(void **state)
{
	(void)state;
	int fd = temporary_file();
	assert_int_equal(write_checked(fd, "one\n", 4, 0), 0);
	memset(large, 'x', sizeof(large));
	assert_int_equal(write_checked(fd, large, sizeof(large), 0), 0);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 4 + LARGE_BYTES);
	char bytes[5];
	assert_int_equal(pread(fd, bytes, 5, 0), 5);
	assert_memory_equal(bytes, "one\nx", 5);
	close(fd);
}

/* SIGXFSZ ends a program as SIGPIPE does. */
static void file_size_limit(void **state)
{
	(void)state;
	int fd = temporary_file();
	struct rlimit old, small;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	signals_before();
	int result = sl_log_write(fd, large, 200, 0);
	int error = errno;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	errno = error;
	expect_signals_as_before();
	assert_int_equal(result, -EFBIG);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 100);
	close(fd);
}

static void errors(void **state)
{
	(void)state;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	assert_int_equal(write_checked(full, "x", 1, 10), -ENOSPC);
	close(full);
	assert_int_equal(write_checked(full, "x", 1, 10), -EBADF);
	assert_int_equal(write_checked(-1, "x", 1, 10), -EBADF);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_int_equal(write_checked(zero, "x", 1, 10), -EBADF);
	close(zero);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write_checked(null, "x", 1, 10), 0);
	close(null);
	int fds[2];
	make_socketpair(fds);
	assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
	assert_int_equal(write_checked(fds[1], "x", 1, 10), -EPIPE);
	close_both(fds);
}

static void terminal(void **state)
{
	(void)state;
	int fds[2];
	make_tty(fds);
	assert_int_equal(write_checked(fds[1], "one\ntwo\n", 8, 0), 0);
	char bytes[16];
	size_t n = 0;
	while (n < 10)
		n += read_some(fds[0], bytes + n, sizeof(bytes) - n);
	assert_int_equal(n, 10);
	assert_memory_equal(bytes, "one\r\ntwo\r\n", 10);
	close(fds[0]);
	assert_int_equal(write_checked(fds[1], "x", 1, 10), -EIO);
	close(fds[1]);
}

/* A terminal that nobody reads calls itself ready while only a part of a write fits. Lengths of all kinds, so
 * that the last piece meets every amount of room. */
static void terminal_that_nobody_reads(void **state)
{
	(void)state;
	static const size_t lengths[] = {1, 3, 70, 100, 127, 255, 999, 4096};
	memset(large, 'x', sizeof(large));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		int fds[2];
		make_tty(fds);
		large[lengths[i] - 1] = '\n';
		size_t count = 0;
		int result = 0;
		for (; result == 0 && count < LARGE_BYTES; count++)
			result = write_checked(fds[1], large, lengths[i], 0);
		assert_int_equal(result, -EAGAIN);
		assert_true(count > 1);
		large[lengths[i] - 1] = 'x';
		close_both(fds);
	}
}

/* In the background of a terminal with TOSTOP a write stops the process: not ours. */
static int background_writer(const char *slave)
{
	if (setsid() < 0)
		return 10;
	int tty = open(slave, O_RDWR);
	struct termios mode;
	if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) < 0 || tcgetattr(tty, &mode) < 0)
		return 11;
	mode.c_lflag |= TOSTOP;
	if (tcsetattr(tty, TCSANOW, &mode) < 0)
		return 12;
	pid_t child = fork();
	if (child == 0) {
		/* Not an orphaned group: its parent, in the session, is in another one. */
		if (setpgid(0, 0) < 0 || tcgetpgrp(tty) == getpgrp())
			_exit(13);
		_exit(sl_log_write(tty, "hi\n", 3, 0) == 0 ? 0 : 14);
	}
	int status;
	if (waitpid(child, &status, WUNTRACED) != child)
		return 15;
	if (WIFSTOPPED(status)) {
		kill(child, SIGKILL);
		return 16;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 17;
}

static void background_of_a_terminal(void **state)
{
	(void)state;
	int fds[2];
	make_tty(fds);
	pid_t child = fork();
	if (child == 0)
		_exit(background_writer(ptsname(fds[0])));
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	char bytes[4];
	assert_int_equal(read_some(fds[0], bytes, sizeof(bytes)), 4);
	assert_memory_equal(bytes, "hi\r\n", 4);
	close_both(fds);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arrives),
		TEST(full_reader_is_not_waited_for),
		TEST(slow_reader_gets_all),
		TEST(reader_is_gone),
		TEST(pending_sigpipe_stays),
		TEST(files),
		TEST(file_size_limit),
		TEST(errors),
		TEST(terminal),
		TEST(terminal_that_nobody_reads),
		TEST(background_of_a_terminal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
