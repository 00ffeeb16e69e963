/* hooks_end.c - close, close_range, closefrom, shutdown. */
#include "doors.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ownfd.h"
#include "base/sys.h"
#include "ledger/sites.h"
#include "reclaim/reclaim.h"
#include "racers.h"
#include "tcp.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define RANGE_FIRST 600 /* nothing else is at 600 to 609 in these tests */
#define RANGE_SOCKETS 5

int __close(int fd);

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	return fd;
}

typedef int close_fn(int fd);

static void check_end(close_fn *end)
{
	int fd = tcp_socket(), pipes[2];
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(UNTOUCHED(end(fd)), 0);
	assert_true(is_free(fd));
	assert_false(is_open(fd));
	FAILS_AS(sl_sys_close(fd), end(fd));
	FAILS_AS(sl_sys_close(-1), end(-1));
	FAILS_AS(sl_sys_close(INT32_MAX), end(INT32_MAX));
	assert_int_equal(UNTOUCHED(end(pipes[0])), 0);
	assert_false(is_open(pipes[0]));
	assert_int_equal(end(pipes[1]), 0);
}

/* Of a number that is closed already, past us: the record goes, the error comes. */
static void check_stale(close_fn *end)
{
	int fd = tcp_socket();
	assert_int_equal(sl_sys_close(fd), 0);
	FAILS_AS(sl_sys_close(fd), end(fd));
	assert_true(is_free(fd));
}

/* A number of the library's own: not open, as far as the program can tell. */
static void check_own(close_fn *end)
{
	int own = own_fd_make();
	errno = 0;
	assert_int_equal(end(own), -1);
	assert_int_equal(errno, EBADF);
	assert_true(sl_ownfd_is(own) && is_open(own));
	sl_ownfd_close(own);
}

struct cancelled {
	close_fn *end;
	int fd;
};

static void *end_when_cancelled(void *context)
{
	const struct cancelled *cancelled = context;
	(void)pthread_cancel(pthread_self()); /* deferred: until the next cancellation point */
	(void)cancelled->end(cancelled->fd);
	return NULL;
}

/* A thread that was cancelled ends in close(), before it has closed: the fd has leaked, and the record must say so. */
static void check_cancelled(close_fn *end)
{
	struct cancelled cancelled = {end, tcp_socket()};
	pthread_t thread;
	void *result;
	assert_int_equal(pthread_create(&thread, NULL, end_when_cancelled, &cancelled), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_true(is_open(cancelled.fd));
	assert_true(is_seen(cancelled.fd));
	assert_int_equal(close(cancelled.fd), 0);
}

/* A number that we closed past the doors, as the ladder's last rung does (reclaim/act.c). */
static int closed_by_us(void)
{
	int fd = tcp_socket();
	uint32_t generation = record_of(fd).generation;
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	assert_int_equal(sl_sys_close(fd), 0);
	sl_fdtable_release_closed(fd, generation);
	return fd;
}

static uint64_t absorbed(void)
{
	struct sl_reclaim_counts counts;
	sl_reclaim_counts(&counts);
	return counts.absorbed;
}

static uint32_t site_of_closed(int fd)
{
	struct sl_fd_record record;
	assert_true(sl_fdtable_get_closed(fd, atomic_load(&sl_fdtable_slot(fd)->head), &record));
	return record.site;
}

/* The program's own close() comes late, finds nothing, and is not to notice: once. */
static void check_late(close_fn *end)
{
	uint64_t before = absorbed();
	int fd = closed_by_us();
	_Atomic uint64_t *late = &sl_site_get(site_of_closed(fd))->closed_late;
	uint64_t late_before = atomic_load(late);
	assert_int_equal(UNTOUCHED(end(fd)), 0);
	assert_int_equal(absorbed(), before + 1);
	assert_int_equal(atomic_load(late), late_before + 1);
	FAILS_AS(sl_sys_close(fd), end(fd)); /* twice is the program's own mistake */
	FAILS_AS(sl_sys_close(fd + 1), end(fd + 1));
	assert_int_equal(absorbed(), before + 1);
}

/* Meanwhile the number is something else, opened past the doors or through them: that is really closed. */
static void check_late_and_used_again(close_fn *end)
{
	for (int is_socket = 0; is_socket < 2; is_socket++) {
		uint64_t before = absorbed();
		int fd = closed_by_us();
		int again = is_socket ? tcp_socket() : sl_sys_open("/dev/null", O_RDONLY, 0);
		assert_int_equal(again, fd);
		assert_int_equal(is_seen(fd), is_socket);
		assert_int_equal(UNTOUCHED(end(fd)), 0);
		assert_false(is_open(fd));
		assert_int_equal(absorbed(), before);
		assert_int_equal(UNTOUCHED(end(fd)), 0); /* this one was late */
		assert_int_equal(absorbed(), before + 1);
		FAILS_AS(sl_sys_close(fd), end(fd));
	}
}

/* As the JDK closes: dup2() of a marker over the number first. */
static void check_late_and_replaced(close_fn *end)
{
	int marker[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, marker), 0);
	int fd = closed_by_us();
	assert_int_equal(UNTOUCHED(dup2(marker[0], fd)), fd);
	assert_true(is_seen(fd));
	assert_int_equal(UNTOUCHED(end(fd)), 0);
	assert_false(is_open(fd));
	assert_true(is_free(fd));
	(void)end(fd);
	FAILS_AS(sl_sys_close(fd), end(fd));
	assert_int_equal(close(marker[0]) + close(marker[1]), 0);
}

static void check_close(close_fn *end)
{
	check_late(end);
	check_late_and_used_again(end);
	check_late_and_replaced(end);
	check_end(end);
	check_stale(end);
	check_own(end);
	check_cancelled(end);
}

static void test_hook_close(void **state)
{
	(void)state;
	check_close(close);
}

static void test_hook___close(void **state)
{
	(void)state;
	check_close(__close);
}

/* Sockets at RANGE_FIRST and the numbers after it. */
static void range_open(void)
{
	int fd = tcp_socket();
	for (int i = 0; i < RANGE_SOCKETS; i++)
		assert_int_equal(dup2(fd, RANGE_FIRST + i), RANGE_FIRST + i);
	assert_int_equal(close(fd), 0);
}

/* The n numbers from `first` are recorded, and open, or neither. */
static void assert_range(int first, int n, bool is_there)
{
	for (int fd = first; fd < first + n; fd++) {
		assert_int_equal(is_seen(fd), is_there);
		assert_int_equal(is_free(fd), !is_there);
		assert_int_equal(is_open(fd), is_there);
	}
}

static int by_close_range(int first, int n)
{
	return close_range((unsigned)first, (unsigned)(first + n - 1), 0);
}

static void test_hook_close_range(void **state)
{
	(void)state;
	const int flags_bad = 0x40;
	range_open();
	assert_int_equal(UNTOUCHED(by_close_range(RANGE_FIRST + 1, 2)), 0);
	assert_range(RANGE_FIRST, 1, true);
	assert_range(RANGE_FIRST + 1, 2, false);
	assert_range(RANGE_FIRST + 3, 2, true);
	assert_int_equal(UNTOUCHED(close_range(RANGE_FIRST, RANGE_FIRST + 4, CLOSE_RANGE_CLOEXEC)),
	                 0);
	assert_int_equal(sl_sys_fcntl(RANGE_FIRST, F_GETFD, 0), FD_CLOEXEC);
	assert_range(RANGE_FIRST, 1, true);
	assert_range(RANGE_FIRST + 3, 2, true);
	FAILS_AS(SL_SYS3(SYS_close_range, RANGE_FIRST, RANGE_FIRST + 4, flags_bad),
	         close_range(RANGE_FIRST, RANGE_FIRST + 4, flags_bad));
	FAILS_AS(SL_SYS3(SYS_close_range, RANGE_FIRST + 4, RANGE_FIRST, 0),
	         close_range(RANGE_FIRST + 4, RANGE_FIRST, 0));
	assert_range(RANGE_FIRST, 1, true);
	assert_range(RANGE_FIRST + 3, 2, true);
	assert_int_equal(by_close_range(RANGE_FIRST, 10), 0);
	assert_range(RANGE_FIRST, 10, false);
	assert_int_equal(UNTOUCHED(by_close_range(RANGE_FIRST, 10)), 0); /* of nothing */
}

/* Our own numbers stay, wherever in the range they lie, and the program sees success. */
static void close_range_steps_over_our_own(void **state)
{
	(void)state;
	int own[2] = {own_fd_make(), own_fd_make()};
	int low = own[0] < own[1] ? own[0] : own[1], high = own[0] < own[1] ? own[1] : own[0];
	int fd = tcp_socket();
	const int spots[] = {low - 1, high + 1};
	for (size_t i = 0; i < COUNT_OF(spots); i++)
		assert_int_equal(dup2(fd, spots[i]), spots[i]);
	assert_int_equal(UNTOUCHED(by_close_range(low, 1)), 0);
	FAILS_AS(SL_SYS3(SYS_close_range, low, low, 0x40),
	         close_range((unsigned)low, (unsigned)low, 0x40));
	assert_int_equal(UNTOUCHED(by_close_range(low, high - low + 1)), 0);
	assert_range(low - 1, 1, true);
	assert_int_equal(UNTOUCHED(close_range((unsigned)low - 1, ~0U, 0)), 0);
	for (size_t i = 0; i < COUNT_OF(spots); i++)
		assert_range(spots[i], 1, false);
	for (size_t i = 0; i < COUNT_OF(own); i++) {
		assert_true(sl_ownfd_is(own[i]) && is_open(own[i]));
		sl_ownfd_close(own[i]);
	}
	assert_true(is_seen(fd));
	assert_int_equal(close(fd), 0);
}

struct numbers {
	int fd, own, high;
};

/* As a daemon does at its start. In a child: it would close the test's own files too. */
static int close_all_from(void *context)
{
	const struct numbers *numbers = context;
	NEED(sl_ownfd_is(numbers->own));
	errno = ERRNO_BEFORE;
	closefrom(numbers->fd);
	NEED(errno == ERRNO_BEFORE);
	NEED(is_free(numbers->fd) && !is_open(numbers->fd));
	NEED(is_free(numbers->high) && !is_open(numbers->high));
	NEED(sl_ownfd_is(numbers->own) && is_open(numbers->own));
	int again = socket(AF_INET, SOCK_STREAM, 0);
	NEED(again == numbers->fd && is_seen(again));
	closefrom(-5);
	NEED(!is_seen(again) && !is_open(again) && !is_open(0));
	NEED(is_open(numbers->own));
	return 0;
}

static void test_hook_closefrom(void **state)
{
	(void)state;
	struct numbers numbers = {.own = own_fd_make(), .fd = tcp_socket()};
	numbers.high = numbers.own + 40;
	assert_int_equal(dup2(numbers.fd, numbers.high), numbers.high);
	assert_int_equal(in_fork(close_all_from, &numbers), 0);
	assert_true(is_seen(numbers.fd) && is_seen(numbers.high));
	closefrom(numbers.high);
	assert_range(numbers.high, 1, false);
	assert_true(is_seen(numbers.fd));
	assert_int_equal(close(numbers.fd), 0);
	sl_ownfd_close(numbers.own);
}

/* A kernel before 5.9 has no close_range(): that fails, and closefrom() closes one by one. */
static int close_without_range(void *context)
{
	const struct numbers *numbers = context;
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {COUNT_OF(filter), filter};
	NEED(SL_SYS5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	NEED(SL_SYS3(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	errno = 0;
	NEED(close_range((unsigned)numbers->fd, (unsigned)numbers->fd, 0) == -1 && errno == ENOSYS);
	NEED(is_seen(numbers->fd) && is_open(numbers->fd));
	closefrom(numbers->fd);
	NEED(is_free(numbers->fd) && !is_open(numbers->fd));
	NEED(is_free(numbers->high) && !is_open(numbers->high));
	NEED(sl_ownfd_is(numbers->own) && is_open(numbers->own));
	return 0;
}

static void without_close_range_the_ledger_stays_true(void **state)
{
	(void)state;
	struct numbers numbers = {.own = own_fd_make(), .fd = tcp_socket()};
	numbers.high = numbers.own + 40;
	assert_int_equal(dup2(numbers.fd, numbers.high), numbers.high);
	assert_int_equal(in_fork(close_without_range, &numbers), 0);
	assert_int_equal(close(numbers.fd) + close(numbers.high), 0);
	sl_ownfd_close(numbers.own);
}

static void test_hook_shutdown(void **state)
{
	(void)state;
	const struct {
		int how;
		uint32_t flags;
	} rows[] = {
		{SHUT_RD, SL_FD_SHUT_READ},
		{SHUT_WR, SL_FD_SHUT_WRITE},
		{SHUT_RDWR, SL_FD_SHUT_READ | SL_FD_SHUT_WRITE},
	};
	const uint32_t connected = SL_FD_OUT | SL_FD_CONNECTED;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tcp_pair pair;
		tcp_open(&pair);
		FAILS_AS(SL_SYS2(SYS_shutdown, pair.client, 77), shutdown(pair.client, 77));
		assert_int_equal(record_of(pair.client).flags, connected);
		assert_int_equal(UNTOUCHED(shutdown(pair.client, rows[i].how)), 0);
		assert_int_equal(record_of(pair.client).flags, connected | rows[i].flags);
		tcp_close(&pair);
	}
	int fd = tcp_socket(), pipes[2];
	assert_int_equal(pipe(pipes), 0);
	FAILS_AS(SL_SYS2(SYS_shutdown, fd, SHUT_WR), shutdown(fd, SHUT_WR)); /* ENOTCONN */
	FAILS_AS(SL_SYS2(SYS_shutdown, pipes[0], SHUT_WR), shutdown(pipes[0], SHUT_WR));
	FAILS_AS(SL_SYS2(SYS_shutdown, -1, SHUT_WR), shutdown(-1, SHUT_WR));
	assert_int_equal(record_of(fd).flags, 0);
	assert_int_equal(close(fd) + close(pipes[0]) + close(pipes[1]), 0);
}

/* A child of vfork closes its own numbers, and shares our memory. */
static int close_some(void *context)
{
	const struct numbers *numbers = context;
	bool is_good = close(numbers->fd) == 0 && __close(numbers->fd) == -1 &&
	               close(numbers->own) == -1 &&
	               close_range((unsigned)numbers->high, (unsigned)numbers->high, 0) == 0;
	closefrom(3);
	return is_good && is_open(numbers->own) ? 0 : 1;
}

static void a_vfork_childs_close_is_not_its_parents(void **state)
{
	(void)state;
	struct numbers numbers = {tcp_socket(), own_fd_make(), tcp_socket()};
	struct sl_fd_record before = record_of(numbers.fd);
	assert_int_equal(in_vfork(close_some, &numbers), 0);
	assert_int_equal(record_of(numbers.fd).generation, before.generation);
	assert_true(is_seen(numbers.high) && is_open(numbers.high));
	assert_true(sl_ownfd_is(numbers.own) && is_open(numbers.own));
	sl_ownfd_close(numbers.own);
	assert_int_equal(close(numbers.fd) + close(numbers.high), 0);
}

struct swapped {
	int fd;
	struct sockaddr_in place;
};

/* Something of the child's own, at a number of its parent's. */
static int use_in_its_place(void *context)
{
	struct swapped *swapped = context;
	int own = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0);
	NEED(dup2(own, swapped->fd) == swapped->fd);
	NEED(connect(swapped->fd, (struct sockaddr *)&swapped->place, sizeof(swapped->place)) == 0);
	NEED(shutdown(swapped->fd, SHUT_RDWR) == 0);
	own = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0);
	NEED(dup2(own, swapped->fd) == swapped->fd);
	NEED(listen(swapped->fd, 1) == 0);
	return 0;
}

static void a_vfork_childs_socket_is_not_its_parents(void **state)
{
	(void)state;
	struct swapped swapped = {.place = {.sin_family = AF_INET}};
	socklen_t length = sizeof(swapped.place);
	swapped.place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int at = socket(AF_INET, SOCK_STREAM, 0), near = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(at, (struct sockaddr *)&swapped.place, length), 0);
	assert_int_equal(listen(at, 8), 0);
	assert_int_equal(getsockname(at, (struct sockaddr *)&swapped.place, &length), 0);
	assert_int_equal(connect(near, (struct sockaddr *)&swapped.place, length), 0);
	swapped.fd = accept(at, NULL, NULL);
	struct sl_fd_record before = record_of(swapped.fd);
	assert_int_equal(in_vfork(use_in_its_place, &swapped), 0);
	struct sl_fd_record after = record_of(swapped.fd);
	assert_int_equal(after.generation, before.generation);
	assert_int_equal(after.flags, before.flags);
	assert_int_equal(after.dest, before.dest);
	assert_int_equal(close(at) + close(near) + close(swapped.fd), 0);
}

static int close_late(void *context)
{
	return close(*(int *)context) == -1 ? 0 : 1;
}

static void a_vfork_childs_late_close_is_not_its_parents(void **state)
{
	(void)state;
	int fd = closed_by_us();
	assert_int_equal(in_vfork(close_late, &fd), 0);
	assert_int_equal(UNTOUCHED(close(fd)), 0); /* still to come */
}

static int close_in_fork(void *context)
{
	int fd = *(int *)context;
	NEED(close(fd) ==
	     0); /* the child has its own copy of the number, and of what is known of it */
	NEED(absorbed() == 1);
	NEED(close(fd) == -1 && errno == EBADF);
	return 0;
}

static void a_forked_childs_late_close_is_its_own(void **state)
{
	(void)state;
	int fd = closed_by_us();
	uint64_t before = absorbed();
	assert_int_equal(in_fork(close_in_fork, &fd), 0);
	assert_int_equal(absorbed(), before);
	assert_int_equal(UNTOUCHED(close(fd)), 0);
}

/* While the worker acts on it the number is not closed under its hands. */

struct closer {
	int fd;
	_Atomic bool has_begun, is_over;
};

static void *close_it(void *context)
{
	struct closer *closer = context;
	atomic_store(&closer->has_begun, true);
	(void)close(closer->fd);
	atomic_store(&closer->is_over, true);
	return NULL;
}

static bool has_begun(void *context)
{
	return atomic_load(&((struct closer *)context)->has_begun);
}

static void a_close_waits_for_an_action(void **state)
{
	(void)state;
	struct closer closer = {.fd = tcp_socket()};
	pthread_t thread;
	uint32_t generation = record_of(closer.fd).generation;
	assert_int_equal(sl_fdtable_hold(closer.fd, generation, SL_IO_ANY), 0);
	assert_int_equal(pthread_create(&thread, NULL, close_it, &closer), 0);
	await(has_begun, &closer, "a thread to start");
	give_way();
	assert_false(atomic_load(&closer.is_over));
	assert_true(is_open(closer.fd) && is_seen(closer.fd));
	sl_fdtable_release(closer.fd, generation);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(is_open(closer.fd));
	assert_true(is_free(closer.fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_close),
		cmocka_unit_test(test_hook___close),
		cmocka_unit_test(test_hook_close_range),
		cmocka_unit_test(close_range_steps_over_our_own),
		cmocka_unit_test(test_hook_closefrom),
		cmocka_unit_test(without_close_range_the_ledger_stays_true),
		cmocka_unit_test(test_hook_shutdown),
		cmocka_unit_test(a_vfork_childs_close_is_not_its_parents),
		cmocka_unit_test(a_vfork_childs_socket_is_not_its_parents),
		cmocka_unit_test(a_vfork_childs_late_close_is_not_its_parents),
		cmocka_unit_test(a_forked_childs_late_close_is_its_own),
		cmocka_unit_test(a_close_waits_for_an_action),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
