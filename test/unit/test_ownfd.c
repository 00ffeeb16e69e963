/* test_ownfd.c - the fds that are ours: where they sit, under any limit, and when no number is left. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/ownfd.h"
#include "racers.h"

/* Limits and numbers are the process's: each test runs in a child, and returns the line of what is wrong. */
#define CHECK(condition)                 \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

static void in_child(int (*run)(void))
{
	int ends[2], line = -1, status = -1;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		alarm(30);
		close(ends[0]);
		int end = fcntl(ends[1], F_DUPFD, 200);
		close(ends[1]);
		errno = 77;
		line = run();
		if (line == 0 && errno != 77)
			line = -77; /* ours leave errno alone; the tests' own calls succeed, or put it back */
		_exit(write(end, &line, sizeof(line)) == sizeof(line) ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &line, sizeof(line)), sizeof(line));
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	if (line != 0)
		fail_msg("line %d", line);
}

static bool is_open(int fd)
{
	int saved_errno = errno;
	bool result = fcntl(fd, F_GETFD) >= 0;
	errno = saved_errno;
	return result;
}

static int open_null(void)
{
	return open("/dev/null", O_RDONLY);
}

static void set_limits(rlim_t soft, rlim_t hard)
{
	const struct rlimit limits = {soft, hard};
	if (setrlimit(RLIMIT_NOFILE, &limits) != 0)
		_exit(3);
}

static rlim_t soft_limit(void)
{
	struct rlimit limits;
	return getrlimit(RLIMIT_NOFILE, &limits) == 0 ? limits.rlim_cur : 0;
}

/* Takes every number there is. */
static void fill_up(void)
{
	int saved_errno = errno;
	while (open_null() >= 0)
		;
	if (errno != EMFILE)
		_exit(4);
	errno = saved_errno;
}

static int count_open(void)
{
	int n = 0;
	for (int fd = 0; fd < 2000; fd++)
		n += is_open(fd);
	return n;
}

/* ---- numbers ---- */

static int takes_a_high_number(void)
{
	int ends[2];
	char c = 'x';
	CHECK(pipe(ends) == 0);
	int high = sl_ownfd_take(ends[0]);
	CHECK(high >= SL_OWN_FD_FLOOR && high < SL_OWN_FD_FLOOR + SL_OWN_FDS);
	CHECK(!is_open(ends[0]));
	CHECK(fcntl(high, F_GETFD) == FD_CLOEXEC);
	CHECK(write(ends[1], &c, 1) == 1 && read(high, &c, 1) == 1);
	CHECK(sl_ownfd_is(high) && !sl_ownfd_is(ends[0]) && !sl_ownfd_is(high + 1));
	sl_ownfd_close(high);
	CHECK(!is_open(high) && !sl_ownfd_is(high));
	return 0;
}

static void an_own_fd_sits_high_and_closes_on_exec(void **state)
{
	(void)state;
	in_child(takes_a_high_number);
}

static int takes_under_a_low_limit(void)
{
	set_limits(256, 20000);
	int high = sl_ownfd_take(open_null());
	CHECK(high == SL_OWN_FD_FLOOR);
	CHECK(soft_limit() == 256);
	CHECK(is_open(high));
	int second = sl_ownfd_take(open_null());
	CHECK(second == SL_OWN_FD_FLOOR + 1);
	/* The usual limit: its first forbidden number is our first. */
	set_limits(1024, 20000);
	int third = sl_ownfd_take(open_null());
	CHECK(third == SL_OWN_FD_FLOOR + 2 && soft_limit() == 1024);
	return 0;
}

static void a_soft_limit_below_does_not_matter(void **state)
{
	(void)state;
	in_child(takes_under_a_low_limit);
}

static int takes_under_a_hard_limit(void)
{
	static const rlim_t hard[] = {1025, 1024, 512, 512};
	static const rlim_t soft[] = {1024, 1024, 512, 256};
	for (int i = 0; i < 4; i++) {
		set_limits(soft[i], hard[i]);
		int before = count_open(), fd = open_null();
		int high = sl_ownfd_take(fd);
		CHECK(soft_limit() == soft[i]);
		CHECK(!is_open(fd));
		if (i > 0) {
			CHECK(high == -EINVAL || high == -EMFILE);
			CHECK(count_open() == before);
			continue;
		}
		CHECK(high == SL_OWN_FD_FLOOR);
		CHECK(sl_ownfd_take(open_null()) == -EMFILE); /* there was one */
		sl_ownfd_close(high);
	}
	return 0;
}

static void a_hard_limit_below_leaves_none(void **state)
{
	(void)state;
	in_child(takes_under_a_hard_limit);
}

static int takes_nothing(void)
{
	CHECK(sl_ownfd_take(-1) == -EBADF);
	CHECK(sl_ownfd_take(900) == -EBADF);
	CHECK(sl_ownfd_first_in(0, UINT_MAX) == -1);
	return 0;
}

static void a_number_that_is_not_open_is_refused(void **state)
{
	(void)state;
	in_child(takes_nothing);
}

static int takes_too_many(void)
{
	int own[SL_OWN_FDS];
	for (int i = 0; i < SL_OWN_FDS; i++) {
		own[i] = sl_ownfd_take(open_null());
		CHECK(own[i] == SL_OWN_FD_FLOOR + i);
	}
	int before = count_open();
	CHECK(sl_ownfd_take(open_null()) == -EMFILE);
	CHECK(count_open() == before);
	sl_ownfd_close(own[3]);
	CHECK(sl_ownfd_take(open_null()) == own[3]);
	return 0;
}

static void there_are_a_few_places_only(void **state)
{
	(void)state;
	in_child(takes_too_many);
}

/* ---- what the program does to them ---- */

static int is_looked_for(void)
{
	int a = sl_ownfd_take(open_null()), b = sl_ownfd_take(open_null());
	CHECK(a == SL_OWN_FD_FLOOR && b == a + 1);
	sl_ownfd_close(a);
	CHECK(sl_ownfd_first_in(0, UINT_MAX) == b); /* first in its place, not in the list */
	a = sl_ownfd_take(open_null());
	CHECK(sl_ownfd_first_in(0, UINT_MAX) == a);
	CHECK(sl_ownfd_first_in((unsigned)a, (unsigned)a) == a);
	CHECK(sl_ownfd_first_in((unsigned)b, INT_MAX) == b);
	CHECK(sl_ownfd_first_in(0, (unsigned)a - 1) == -1);
	CHECK(sl_ownfd_first_in((unsigned)b + 1, UINT_MAX) == -1);
	CHECK(sl_ownfd_first_in((unsigned)b, (unsigned)a) == -1);
	static const int others[] = {-1, 0, 2, SL_OWN_FD_FLOOR - 1, INT_MAX, INT_MIN};
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		CHECK(!sl_ownfd_is(others[i]));
		sl_ownfd_yield(others[i]);
		CHECK(sl_ownfd_is(a) && sl_ownfd_is(b));
	}
	return 0;
}

static void own_fds_are_found_by_number(void **state)
{
	(void)state;
	in_child(is_looked_for);
}

static int yields(void)
{
	int own = sl_ownfd_take(open_null());
	sl_ownfd_yield(own);
	CHECK(!sl_ownfd_is(own) && is_open(own));
	CHECK(dup2(0, own) == own); /* the program's, from here on */
	sl_ownfd_close(own);
	CHECK(is_open(own));
	sl_ownfd_close(0); /* never was ours */
	CHECK(is_open(0));
	return 0;
}

static void what_the_program_took_is_not_closed(void **state)
{
	(void)state;
	in_child(yields);
}

/* ---- no number left ---- */

static int opens_above_the_soft_limit(void)
{
	set_limits(230, 20000);
	fill_up();
	int fd = sl_ownfd_open("/dev/zero", O_RDONLY, 0);
	char c = 1;
	CHECK(fd >= 230 && read(fd, &c, 1) == 1 && c == 0);
	CHECK(soft_limit() == 230);
	int own = sl_ownfd_take(fd);
	CHECK(own == SL_OWN_FD_FLOOR && !is_open(fd));
	return 0;
}

static void a_file_opens_beyond_the_soft_limit(void **state)
{
	(void)state;
	in_child(opens_above_the_soft_limit);
}

static int opens_with_the_reserve(void)
{
	set_limits(1100, 1100);
	CHECK(sl_ownfd_open("/dev/null/none", O_RDONLY, 0) == -ENOTDIR);
	sl_ownfd_reserve();
	int reserved = sl_ownfd_first_in(0, UINT_MAX);
	CHECK(reserved == SL_OWN_FD_FLOOR);
	sl_ownfd_reserve(); /* one is enough */
	CHECK(sl_ownfd_first_in((unsigned)reserved + 1, UINT_MAX) == -1);
	fill_up();
	for (int round = 0; round < 3; round++) {
		int fd = sl_ownfd_open("/dev/zero", O_RDONLY, 0);
		CHECK(fd == reserved && !sl_ownfd_is(fd));
		CHECK(sl_ownfd_open("/dev/zero", O_RDONLY, 0) == -EMFILE);
		sl_ownfd_reserve(); /* none to be had now */
		CHECK(sl_ownfd_first_in(0, UINT_MAX) == -1);
		CHECK(close(fd) == 0);
		sl_ownfd_reserve();
		CHECK(sl_ownfd_is(reserved));
	}
	return 0;
}

static void at_equal_limits_the_reserve_opens_a_file(void **state)
{
	(void)state;
	in_child(opens_with_the_reserve);
}

static int reserves_after_a_loss(void)
{
	sl_ownfd_reserve();
	int reserved = sl_ownfd_first_in(0, UINT_MAX);
	sl_ownfd_yield(reserved);
	CHECK(dup2(0, reserved) == reserved);
	sl_ownfd_reserve();
	int other = sl_ownfd_first_in(0, UINT_MAX);
	CHECK(other == reserved + 1);
	CHECK(is_open(reserved));
	return 0;
}

static void a_reserve_that_the_program_took_is_made_again(void **state)
{
	(void)state;
	in_child(reserves_after_a_loss);
}

/* ---- hooks ask while the worker changes the list ---- */

static _Atomic bool is_done;
static _Atomic unsigned wrong;

static void change_or_ask(unsigned index, void *context)
{
	(void)context;
	for (unsigned i = 0; index == 0 && i < RACE_ROUNDS(4000u); i++) {
		int own = sl_ownfd_take(open_null());
		wrong += own < SL_OWN_FD_FLOOR || !sl_ownfd_is(own);
		sl_ownfd_close(own);
	}
	while (index > 0 && !is_done) {
		int first = sl_ownfd_first_in(0, UINT_MAX);
		wrong += first != -1 && (first < SL_OWN_FD_FLOOR || first >= SL_OWN_FD_FLOOR + 2);
		wrong += sl_ownfd_is(-1) + sl_ownfd_is(5) + sl_ownfd_is(SL_OWN_FD_FLOOR + 7);
	}
	if (index == 0)
		is_done = true;
}

static int is_shared(void)
{
	race(3, change_or_ask, NULL);
	CHECK(wrong == 0);
	CHECK(sl_ownfd_first_in(0, UINT_MAX) == -1);
	errno = 77;
	return 0;
}

static void threads_may_ask_at_any_time(void **state)
{
	(void)state;
	in_child(is_shared);
}

static int set_up(void **state)
{
	(void)state;
	alarm(60);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_own_fd_sits_high_and_closes_on_exec),
		cmocka_unit_test(a_soft_limit_below_does_not_matter),
		cmocka_unit_test(a_hard_limit_below_leaves_none),
		cmocka_unit_test(a_number_that_is_not_open_is_refused),
		cmocka_unit_test(there_are_a_few_places_only),
		cmocka_unit_test(own_fds_are_found_by_number),
		cmocka_unit_test(what_the_program_took_is_not_closed),
		cmocka_unit_test(a_file_opens_beyond_the_soft_limit),
		cmocka_unit_test(at_equal_limits_the_reserve_opens_a_file),
		cmocka_unit_test(a_reserve_that_the_program_took_is_made_again),
		cmocka_unit_test(threads_may_ask_at_any_time),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
