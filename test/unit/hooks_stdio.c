/* hooks_stdio.c - fdopen, fclose, freopen, freopen64; dprintf and its like. */
#include "doors.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "outs.h"
#include "tcp.h"

#define NO_SUCH_FILE "/dev/null/no/such/file"

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	return fd;
}

/* A FILE on the client's end of a new connection. */
static FILE *file_on(struct tcp_pair *pair)
{
	tcp_open(pair);
	FILE *file = fdopen(pair->client, "r+");
	assert_non_null(file);
	return file;
}

static void test_hook_fdopen(void **state)
{
	(void)state;
	int fd = tcp_socket(), pipes[2];
	assert_int_equal(pipe(pipes), 0);
	errno = 0;
	assert_null(fdopen(fd, "bad"));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(record_of(fd).flags, 0);
	errno = 0;
	assert_null(fdopen(-1, "r"));
	assert_int_equal(errno, EBADF);
	FILE *file = UNTOUCHED(fdopen(fd, "r+"));
	assert_non_null(file);
	assert_int_equal(fileno(file), fd);
	assert_int_equal(record_of(fd).flags, SL_FD_STDIO);
	FILE *plain = UNTOUCHED(fdopen(pipes[0], "r"));
	assert_non_null(plain);
	assert_false(is_seen(pipes[0]));
	assert_int_equal(fclose(file) + fclose(plain) + close(pipes[1]), 0);
}

static void test_hook_fclose(void **state)
{
	(void)state;
	struct tcp_pair pair;
	char bytes[8] = "";
	FILE *file = file_on(&pair);
	assert_true(fputs("hello", file) >= 0);
	assert_int_equal(UNTOUCHED(fclose(file)), 0);
	assert_true(is_free(pair.client) && !is_open(pair.client));
	assert_int_equal(sl_sys_read(pair.server, bytes, sizeof(bytes)), 5);
	assert_string_equal(bytes, "hello");
	pair.client = -1;
	tcp_close(&pair);

	FILE *memory = fmemopen(bytes, sizeof(bytes), "r"); /* no number at all */
	assert_int_equal(UNTOUCHED(fclose(memory)), 0);
	FILE *plain = fopen("/dev/null", "r");
	assert_int_equal(UNTOUCHED(fclose(plain)), 0);
}

/* The last write fails: fclose() says so, and has closed the fd. */
static void fclose_that_fails_has_closed(void **state)
{
	(void)state;
	struct tcp_pair pair;
	FILE *file = file_on(&pair);
	assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
	assert_true(fputs("hello", file) >= 0);
	errno = 0;
	assert_int_equal(fclose(file), EOF);
	assert_int_equal(errno, EPIPE);
	assert_true(is_free(pair.client) && !is_open(pair.client));
	pair.client = -1;
	tcp_close(&pair);
}

/* A number that a FILE holds and somebody has closed: the FILE ends, with libc's error. */
static void fclose_of_a_closed_number(void **state)
{
	(void)state;
	struct tcp_pair pair;
	FILE *file = file_on(&pair);
	assert_int_equal(close(pair.client), 0);
	errno = 0;
	assert_int_equal(fclose(file), EOF);
	assert_int_equal(errno, EBADF);
	pair.client = -1;
	tcp_close(&pair);
}

typedef FILE *reopen_fn(const char *path, const char *mode, FILE *file);

static void check_reopened(reopen_fn *reopen)
{
	struct tcp_pair pair;
	FILE *file = file_on(&pair);
	uint64_t generation = record_of(pair.client).generation;
	FILE *again = reopen("/dev/null", "w", file);
	assert_ptr_equal(again, file);
	assert_true(is_free(fileno(file)));
	struct sl_fd_record record;
	assert_false(sl_fdtable_get(pair.client, &record) && record.generation == generation);
	tcp_await_unread(pair.server, 0);
	char byte;
	assert_int_equal(sl_sys_read(pair.server, &byte, 1), 0); /* the connection is closed */
	assert_int_equal(fclose(file), 0);
	pair.client = -1;
	tcp_close(&pair);
}

/* The ledger agrees with the kernel, whatever this libc does with the old fd. */
static void check_not_reopened(reopen_fn *reopen, const char *path, const char *mode, int error)
{
	struct tcp_pair pair;
	FILE *file = file_on(&pair);
	errno = 0;
	assert_null(reopen(path, mode, file));
	assert_int_equal(errno, error);
	assert_int_equal(is_seen(pair.client), is_open(pair.client));
	if (!is_open(pair.client))
		pair.client = -1;
	tcp_close(&pair);
}

static void check_freopen(const char *name, reopen_fn *reopen)
{
	check_reopened(reopen);
	check_not_reopened(reopen, NO_SUCH_FILE, "r", ENOTDIR);
	check_not_reopened(reopen, "/dev/null", "bad", EINVAL);
	/* libc alone, for what it says and to compare: a plain file that becomes another. */
	reopen_fn *libcs = (reopen_fn *)dlsym(RTLD_NEXT, name);
	assert_non_null(libcs);
	assert_ptr_not_equal(libcs, reopen);
	FILE *ours = fopen("/dev/null", "r"), *theirs = fopen("/dev/null", "r");
	assert_ptr_equal(UNTOUCHED(reopen("/dev/zero", "r", ours)), ours);
	assert_ptr_equal(UNTOUCHED(libcs("/dev/zero", "r", theirs)), theirs);
	assert_int_equal(fgetc(ours), fgetc(theirs));
	/* No path: the same file with another mode; a socket has none to open again. */
	assert_ptr_equal(reopen(NULL, "r", ours), ours);
	assert_int_equal(fgetc(ours), 0);
	assert_int_equal(fclose(ours) + fclose(theirs), 0);
	check_not_reopened(reopen, NULL, "r", ENXIO);
}

static void test_hook_freopen(void **state)
{
	(void)state;
	check_freopen("freopen", freopen);
}

static void test_hook_freopen64(void **state)
{
	(void)state;
	check_freopen("freopen64", freopen64);
}

/* dprintf() and its like: one shape for the two with a list, one for those with arguments */

typedef int list_fn(int fd, const char *format, va_list list);
typedef int print_fn(int fd, const char *format, ...);

static list_fn *list_print;

static int by_list(int fd, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	int result = list_print(fd, format, list);
	va_end(list);
	return result;
}

static int checked_list(int fd, const char *format, va_list list)
{
	return __vdprintf_chk(fd, 1, format, list);
}

/* More arguments than registers, and of each class. */
#define MANY "%d %s %.1f %ld %c %.2f %u %s %.3f %lld %d %.1f %.1f %.1f %.1f %.1f %.1f %d"
#define MANY_ARGUMENTS                                                                         \
	1, "two", 3.0, 4L, '5', 6.0, 7u, "eight", 9.0, 10LL, 11, 12.0, 13.0, 14.0, 15.0, 16.0, \
		17.0, 18
#define MANY_TEXT "1 two 3.0 4 5 6.00 7 eight 9.000 10 11 12.0 13.0 14.0 15.0 16.0 17.0 18"

static void check_print(print_fn *print)
{
	struct tcp_pair pair;
	int pipes[2];
	char text[128] = "";
	tcp_open(&pair);
	assert_int_equal(UNTOUCHED(print(pair.client, MANY, MANY_ARGUMENTS)),
	                 sizeof(MANY_TEXT) - 1);
	tcp_await_unread(pair.server, sizeof(MANY_TEXT) - 1);
	assert_int_equal(sl_sys_read(pair.server, text, sizeof(text)), sizeof(MANY_TEXT) - 1);
	assert_string_equal(text, MANY_TEXT);
	assert_int_equal(UNTOUCHED(print(pair.client, "plain")), 5);
	assert_int_equal(print(pair.client, ""), 0);
	assert_int_equal(pipe(pipes), 0); /* not tracked */
	memset(text, 0, sizeof(text));
	assert_int_equal(UNTOUCHED(print(pipes[1], MANY, MANY_ARGUMENTS)), sizeof(MANY_TEXT) - 1);
	assert_int_equal(sl_sys_read(pipes[0], text, sizeof(text)), sizeof(MANY_TEXT) - 1);
	assert_string_equal(text, MANY_TEXT);
	FAILS_AS(sl_sys_write(pipes[0], "x", 1), print(pipes[0], "x")); /* the wrong end */
	FAILS_AS(sl_sys_write(-1, "x", 1), print(-1, "x"));
	FAILS_AS(sl_sys_write(INT32_MAX, "x", 1), print(INT32_MAX, "x"));
	assert_int_equal(close(pipes[0]) + close(pipes[1]), 0);
	tcp_close(&pair);
}

/* On a connection that we ended: as a write() says. */
static void check_print_ended(print_fn *print)
{
	struct tcp_pair pair;
	tcp_open(&pair);
	assert_int_equal(SL_SYS2(SYS_shutdown, pair.server, SHUT_WR), 0);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	assert_int_equal(SL_SYS2(SYS_shutdown, pair.client, SHUT_RDWR), 0);
	assert_true(sl_fdtable_mark_held(pair.client, record_of(pair.client).generation,
	                                 SL_MARK_GUARDED | SL_MARK_ENDED));
	errno = 0;
	assert_int_equal(print(pair.client, MANY, MANY_ARGUMENTS), -1);
	assert_int_equal(errno, EPIPE);
	assert_true(record_of(pair.client).marks & SL_MARK_REGRETTED);
	tcp_close(&pair);
}

static void check_dprintf(print_fn *print)
{
	check_print(print);
	check_print_ended(print);
}

/* The flag stands before the format, so the arguments cannot just be handed on: they are known. */
static int checked_print(int fd, const char *format, ...)
{
	return strcmp(format, MANY) == 0 ? __dprintf_chk(fd, 1, MANY, MANY_ARGUMENTS)
	                                 : __dprintf_chk(fd, 1, "%s", format);
}

static void test_hook_dprintf(void **state)
{
	(void)state;
	check_dprintf(dprintf);
}

static void test_hook___dprintf_chk(void **state)
{
	(void)state;
	check_dprintf(checked_print);
}

static void test_hook_vdprintf(void **state)
{
	(void)state;
	list_print = vdprintf;
	check_dprintf(by_list);
}

static void test_hook___vdprintf_chk(void **state)
{
	(void)state;
	list_print = checked_list;
	check_dprintf(by_list);
}

/* A child of vfork shares our FILEs, too: a FILE that it closes is gone for its parent as well. The socket is not. */
static int close_file(void *context)
{
	return fclose(context) == 0 ? 0 : 1;
}

static void a_vfork_childs_fclose_is_not_its_parents(void **state)
{
	(void)state;
	struct tcp_pair pair;
	FILE *file = file_on(&pair);
	uint64_t generation = record_of(pair.client).generation;
	assert_int_equal(in_vfork(close_file, file), 0);
	assert_int_equal(record_of(pair.client).generation, generation);
	tcp_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_fdopen),
		cmocka_unit_test(test_hook_fclose),
		cmocka_unit_test(fclose_that_fails_has_closed),
		cmocka_unit_test(fclose_of_a_closed_number),
		cmocka_unit_test(test_hook_freopen),
		cmocka_unit_test(test_hook_freopen64),
		cmocka_unit_test(test_hook_dprintf),
		cmocka_unit_test(test_hook___dprintf_chk),
		cmocka_unit_test(test_hook_vdprintf),
		cmocka_unit_test(test_hook___vdprintf_chk),
		cmocka_unit_test(a_vfork_childs_fclose_is_not_its_parents),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
