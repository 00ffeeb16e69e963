/* hooks_copy.c - dup, dup2, dup3, fcntl. */
#include "doors.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ownfd.h"
#include "base/sys.h"
#include "racers.h"
#include "tcp.h"

#define FREE_NUMBER 700 /* nothing is there in these tests */

int __fcntl(int fd, int command, ...);
int __dup2(int fd, int to);

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	return fd;
}

/* Two numbers of one connection. */
static void assert_twins(int fd, int copy, uint32_t flags_before)
{
	struct sl_fd_record a = record_of(fd), b = record_of(copy);
	assert_int_equal(a.flags, flags_before | SL_FD_DUPED);
	assert_int_equal(b.flags, a.flags);
	assert_int_equal(b.kind, a.kind);
	assert_int_equal(b.site, a.site);
	assert_int_equal(b.dest, a.dest);
	assert_int_equal(b.thread, a.thread);
	assert_int_equal(b.opened_at_ms, a.opened_at_ms);
}

static void check_closed_apart(int fd, int copy)
{
	assert_int_equal(close(fd), 0);
	assert_false(is_seen(fd));
	assert_true(is_seen(copy));
	assert_int_equal(close(copy), 0);
	assert_false(is_seen(copy));
}

/* A call that makes a copy. */
typedef int copy_fn(int fd);

struct copier {
	copy_fn *copy;
	int fd;
	_Atomic bool has_begun, is_over;
	int result;
};

static void *copy_it(void *context)
{
	struct copier *copier = context;
	atomic_store(&copier->has_begun, true);
	copier->result = copier->copy(copier->fd);
	atomic_store(&copier->is_over, true);
	return NULL;
}

static bool has_begun(void *context)
{
	return atomic_load(&((struct copier *)context)->has_begun);
}

/* Of a socket that the worker is about to act on: it sees the copy, or does nothing; while it acts the copy waits. */
static void check_marked(copy_fn *copy)
{
	const uint32_t marks = SL_MARK_GUARDED | SL_MARK_PROBED;
	struct copier copier = {.copy = copy, .fd = tcp_socket()};
	pthread_t thread;
	uint32_t generation = record_of(copier.fd).generation;
	assert_true(sl_fdtable_mark_held(copier.fd, generation, marks));
	uint32_t seen = record_of(copier.fd).last_io;
	assert_int_equal(sl_fdtable_hold(copier.fd, generation, seen), 0);
	assert_int_equal(pthread_create(&thread, NULL, copy_it, &copier), 0);
	await(has_begun, &copier, "a thread to start");
	give_way();
	assert_false(atomic_load(&copier.is_over));
	assert_true(sl_fdtable_mark_held(copier.fd, generation, SL_MARK_ENDED));
	sl_fdtable_release(copier.fd, generation);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(copier.result >= 0);
	assert_int_equal(record_of(copier.result).marks, marks | SL_MARK_ENDED);
	assert_int_equal(sl_fdtable_hold(copier.fd, generation, seen), -EBUSY);
	assert_int_equal(close(copier.fd) + close(copier.result), 0);
}

static void check_copy(copy_fn *copy, long (*by_kernel)(int fd))
{
	struct tcp_pair pair;
	int pipes[2];
	check_marked(copy);
	tcp_open(&pair);
	assert_int_equal(pipe(pipes), 0);
	uint64_t opened = sl_fdtable_opened(SL_KIND_TCP);
	int fd = UNTOUCHED(copy(pair.client));
	assert_true(fd >= 0);
	assert_twins(pair.client, fd, SL_FD_OUT | SL_FD_CONNECTED);
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), opened);
	int plain = UNTOUCHED(copy(pipes[0]));
	assert_true(plain >= 0 && is_open(plain));
	assert_false(is_seen(plain));
	FAILS_AS(by_kernel(-1), copy(-1));
	check_closed_apart(pair.client, fd);
	pair.client = -1;
	tcp_close(&pair);
	assert_int_equal(close(plain) + close(pipes[0]) + close(pipes[1]), 0);
}

static long dup_by_kernel(int fd)
{
	return SL_SYS1(SYS_dup, fd);
}

static void test_hook_dup(void **state)
{
	(void)state;
	check_copy(dup, dup_by_kernel);
}

/* A call that names the number. */
typedef int put_fn(int fd, int to);

static void check_onto_free(put_fn *put)
{
	int fd = tcp_socket();
	assert_int_equal(UNTOUCHED(put(fd, FREE_NUMBER)), FREE_NUMBER);
	assert_twins(fd, FREE_NUMBER, 0);
	check_closed_apart(fd, FREE_NUMBER);
}

/* What was at the number ends there. */
static void check_onto_another(put_fn *put)
{
	struct tcp_pair pair;
	int pipes[2], fd = tcp_socket();
	tcp_open(&pair);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(UNTOUCHED(put(fd, pair.client)), pair.client);
	assert_twins(fd, pair.client, 0);
	assert_int_equal(UNTOUCHED(put(pipes[0], pair.client)), pair.client);
	assert_true(is_free(pair.client));
	assert_true(is_seen(fd) && is_open(pair.client));
	tcp_close(&pair);
	assert_int_equal(close(fd) + close(pipes[0]) + close(pipes[1]), 0);
}

/* The old record is back, the same generation, with all that was known. */
static void check_failure(put_fn *put, long (*by_kernel)(int fd, int to))
{
	struct tcp_pair pair;
	tcp_open(&pair);
	struct sl_fd_record before = record_of(pair.client);
	FAILS_AS(by_kernel(-1, pair.client), put(-1, pair.client));
	FAILS_AS(by_kernel(FREE_NUMBER, pair.client), put(FREE_NUMBER, pair.client));
	struct sl_fd_record after = record_of(pair.client);
	assert_int_equal(after.generation, before.generation);
	assert_int_equal(after.flags, before.flags);
	assert_int_equal(after.dest, before.dest);
	FAILS_AS(by_kernel(pair.client, -1), put(pair.client, -1));
	assert_int_equal(record_of(pair.client).flags, before.flags);
	tcp_close(&pair);
}

/* A number of the library's own: the program takes it to be free. */
static void check_onto_own(put_fn *put, long (*by_kernel)(int fd, int to))
{
	int own = own_fd_make(), fd = tcp_socket();
	struct rlimit files, lower;
	FAILS_AS(by_kernel(-1, own), put(-1, own));
	assert_true(sl_ownfd_is(own) && is_open(own));
	/* Beyond the limit: it fails, and a close() must not find what is there. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	lower = (struct rlimit){(rlim_t)own, files.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
	FAILS_AS(by_kernel(fd, own), put(fd, own));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_true(sl_ownfd_is(own) && is_open(own));
	assert_int_equal(UNTOUCHED(put(fd, own)), own);
	assert_false(sl_ownfd_is(own));
	assert_twins(fd, own, 0);
	check_closed_apart(fd, own);
	assert_false(is_open(own));
}

static void check_put(put_fn *put, long (*by_kernel)(int fd, int to))
{
	check_onto_free(put);
	check_onto_another(put);
	check_failure(put, by_kernel);
	check_onto_own(put, by_kernel);
}

static long dup2_by_kernel(int fd, int to)
{
	/* There is none on newer processors: dup3() is the same for two numbers. */
	return SL_SYS3(SYS_dup3, fd, to, 0);
}

static void check_dup2(put_fn *put)
{
	check_put(put, dup2_by_kernel);
	struct tcp_pair pair;
	tcp_open(&pair);
	struct sl_fd_record before = record_of(pair.client);
	assert_int_equal(UNTOUCHED(put(pair.client, pair.client)), pair.client);
	assert_int_equal(record_of(pair.client).generation, before.generation);
	assert_int_equal(record_of(pair.client).flags, before.flags);
	errno = 0;
	assert_int_equal(put(FREE_NUMBER, FREE_NUMBER), -1);
	assert_int_equal(errno, EBADF);
	tcp_close(&pair);
}

static void test_hook_dup2(void **state)
{
	(void)state;
	check_dup2(dup2);
}

static void test_hook___dup2(void **state)
{
	(void)state;
	check_dup2(__dup2);
}

static int by_dup3(int fd, int to)
{
	int result = dup3(fd, to, O_CLOEXEC);
	if (result >= 0)
		assert_int_equal(sl_sys_fcntl(to, F_GETFD, 0), FD_CLOEXEC);
	return result;
}

static long dup3_by_kernel(int fd, int to)
{
	return SL_SYS3(SYS_dup3, fd, to, O_CLOEXEC);
}

static void test_hook_dup3(void **state)
{
	(void)state;
	check_put(by_dup3, dup3_by_kernel);
	int fd = tcp_socket(), other = tcp_socket(), own = own_fd_make();
	struct sl_fd_record before = record_of(other);
	FAILS_AS(SL_SYS3(SYS_dup3, fd, fd, 0), dup3(fd, fd, 0));
	FAILS_AS(SL_SYS3(SYS_dup3, fd, other, 0x1234), dup3(fd, other, 0x1234));
	FAILS_AS(SL_SYS3(SYS_dup3, fd, own, 0x1234), dup3(fd, own, 0x1234));
	assert_int_equal(record_of(other).generation, before.generation);
	assert_int_equal(record_of(other).flags, 0);
	assert_int_equal(record_of(fd).flags, 0);
	assert_true(sl_ownfd_is(own) && is_open(own));
	sl_ownfd_close(own);
	assert_int_equal(close(fd) + close(other), 0);
}

/* The same variadic function under three names. */
typedef int control_fn(int fd, int command, ...);
static control_fn *control; /* the one under test */

static int by_dupfd(int fd)
{
	int copy = control(fd, F_DUPFD, FREE_NUMBER);
	if (copy >= 0)
		assert_true(copy >= FREE_NUMBER && sl_sys_fcntl(copy, F_GETFD, 0) == 0);
	return copy;
}

static long dupfd_by_kernel(int fd)
{
	return sl_sys_fcntl(fd, F_DUPFD, FREE_NUMBER);
}

static int by_dupfd_cloexec(int fd)
{
	int copy = control(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		assert_int_equal(sl_sys_fcntl(copy, F_GETFD, 0), FD_CLOEXEC);
	return copy;
}

static long dupfd_cloexec_by_kernel(int fd)
{
	return sl_sys_fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* The other commands: no argument, a number, a pointer. None of them touches the record. */
static void check_other_commands(void)
{
	int fd = tcp_socket();
	struct sl_fd_record before = record_of(fd);
	assert_int_equal(UNTOUCHED(control(fd, F_SETFL, O_NONBLOCK)), 0);
	assert_true(UNTOUCHED(control(fd, F_GETFL)) & O_NONBLOCK);
	assert_int_equal(UNTOUCHED(control(fd, F_SETFD, FD_CLOEXEC)), 0);
	assert_int_equal(UNTOUCHED(control(fd, F_GETFD)), FD_CLOEXEC);
	struct f_owner_ex owner = {F_OWNER_PID, sl_sys_getpid()}, got = {0};
	assert_int_equal(UNTOUCHED(control(fd, F_SETOWN_EX, &owner)), 0);
	assert_int_equal(UNTOUCHED(control(fd, F_GETOWN_EX, &got)), 0);
	assert_int_equal(got.pid, owner.pid);
	FAILS_AS(sl_sys_fcntl(fd, 9999, 0), control(fd, 9999, 0));
	FAILS_AS(sl_sys_fcntl(fd, F_DUPFD, -1), control(fd, F_DUPFD, -1));
	FAILS_AS(sl_sys_fcntl(-1, F_GETFL, 0), control(-1, F_GETFL));
	struct sl_fd_record after = record_of(fd);
	assert_int_equal(after.generation, before.generation);
	assert_int_equal(after.flags, before.flags);
	assert_int_equal(close(fd), 0);
}

static void check_fcntl(control_fn *under_test)
{
	control = under_test;
	check_copy(by_dupfd, dupfd_by_kernel);
	check_copy(by_dupfd_cloexec, dupfd_cloexec_by_kernel);
	check_other_commands();
}

static void test_hook_fcntl(void **state)
{
	(void)state;
	check_fcntl(fcntl);
}

static void test_hook_fcntl64(void **state)
{
	(void)state;
	check_fcntl(fcntl64);
}

static void test_hook___fcntl(void **state)
{
	(void)state;
	check_fcntl(__fcntl);
}

/* A child of vfork arranges its own numbers. The ledger it sees is its parent's. */
static int over_free_number(int fd)
{
	return dup2(fd, FREE_NUMBER);
}

static int over_free_number3(int fd)
{
	return dup3(fd, FREE_NUMBER, O_CLOEXEC);
}

/* And of the number that dup2() ends: that waits too. */
static int over_held_number(int fd)
{
	int other = tcp_socket();
	int result = dup2(other, fd);
	assert_int_equal(close(other), 0);
	return result;
}

static void a_copy_of_a_marked_socket_is_known(void **state)
{
	(void)state;
	check_marked(over_free_number);
	check_marked(over_free_number3);
	struct copier copier = {.copy = over_held_number, .fd = tcp_socket()};
	pthread_t thread;
	uint32_t generation = record_of(copier.fd).generation;
	assert_int_equal(sl_fdtable_hold(copier.fd, generation, SL_IO_ANY), 0);
	assert_int_equal(pthread_create(&thread, NULL, copy_it, &copier), 0);
	await(has_begun, &copier, "a thread to start");
	give_way();
	assert_false(atomic_load(&copier.is_over));
	assert_int_equal(record_of(copier.fd).generation, generation);
	sl_fdtable_release(copier.fd, generation);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(copier.result, copier.fd);
	assert_int_equal(record_of(copier.fd).marks, 0);
	assert_int_equal(close(copier.fd), 0);
}

static int arrange_numbers(void *context)
{
	const int *fds = context;
	bool is_good = dup2(fds[0], fds[1]) == fds[1] && dup3(fds[0], fds[2], 0) == fds[2] &&
	               dup(fds[0]) >= 0 && fcntl(fds[0], F_DUPFD, FREE_NUMBER) == FREE_NUMBER &&
	               close(fds[2]) == 0; /* in its own table */
	return is_good ? 0 : 1;
}

static void a_vfork_childs_copies_are_not_its_parents(void **state)
{
	(void)state;
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	int fds[] = {pipes[0], tcp_socket(), own_fd_make(), tcp_socket()};
	struct sl_fd_record before = record_of(fds[1]);
	assert_int_equal(in_vfork(arrange_numbers, fds), 0);
	fds[0] = fds[3]; /* once more with a tracked one */
	assert_int_equal(in_vfork(arrange_numbers, fds), 0);
	assert_int_equal(record_of(fds[1]).generation, before.generation);
	assert_int_equal(record_of(fds[1]).flags, 0);
	assert_int_equal(record_of(fds[3]).flags, 0);
	assert_false(is_seen(FREE_NUMBER));
	assert_true(sl_ownfd_is(fds[2]) && is_open(fds[2]));
	sl_ownfd_close(fds[2]);
	assert_int_equal(close(fds[1]) + close(fds[3]) + close(pipes[0]) + close(pipes[1]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_dup),
		cmocka_unit_test(test_hook_dup2),
		cmocka_unit_test(test_hook___dup2),
		cmocka_unit_test(test_hook_dup3),
		cmocka_unit_test(test_hook_fcntl),
		cmocka_unit_test(test_hook_fcntl64),
		cmocka_unit_test(test_hook___fcntl),
		cmocka_unit_test(a_copy_of_a_marked_socket_is_known),
		cmocka_unit_test(a_vfork_childs_copies_are_not_its_parents),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
