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
#include "child.h"
#include "racers.h"

/* Limits and numbers are the process's: each test runs in a child. */

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

static void takes_a_high_number(void)
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
}

static void an_own_fd_sits_high_and_closes_on_exec(void **state)
{
	(void)state;
	in_child(takes_a_high_number);
}

static void takes_under_a_low_limit(void)
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
}

static void a_soft_limit_below_does_not_matter(void **state)
{
	(void)state;
	in_child(takes_under_a_low_limit);
}

static void takes_under_a_hard_limit(void)
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
}

static void a_hard_limit_below_leaves_none(void **state)
{
	(void)state;
	in_child(takes_under_a_hard_limit);
}

static void takes_nothing(void)
{
	CHECK(sl_ownfd_take(-1) == -EBADF);
	CHECK(sl_ownfd_take(900) == -EBADF);
	CHECK(sl_ownfd_first_in(0, UINT_MAX) == -1);
}

static void a_number_that_is_not_open_is_refused(void **state)
{
	(void)state;
	in_child(takes_nothing);
}

static void takes_too_many(void)
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
}

static void there_are_a_few_places_only(void **state)
{
	(void)state;
	in_child(takes_too_many);
}

/* A number below the floor, as under a low limit (desk.h): from there on more are asked about, and no other is ours. */
static void keeps_a_low_number(void)
{
	int low = open_null(), high = sl_ownfd_take(open_null()), below = fcntl(low, F_DUPFD, 40);
	CHECK(dup2(low, below + 1) == below + 1 && dup2(low, below + 2) == below + 2);
	int own = below + 1;
	CHECK(!sl_ownfd_is(own));
	CHECK(sl_ownfd_keep(own));
	CHECK(sl_ownfd_is(own) && sl_ownfd_is_true(own) && sl_ownfd_is(high));
	CHECK(!sl_ownfd_is(low) && !sl_ownfd_is(below) && !sl_ownfd_is(below + 2));
	CHECK(!sl_ownfd_is_true(below) && !sl_ownfd_is(-1) && !sl_ownfd_is(0));
	CHECK(sl_ownfd_first_in(0, UINT_MAX) == own);
	CHECK(sl_ownfd_first_in(0, (unsigned)below) == -1);
	CHECK(sl_ownfd_first_in((unsigned)own + 1, UINT_MAX) == high);
	sl_ownfd_close(own);
	CHECK(!is_open(own) && !sl_ownfd_is(own) && is_open(below) && is_open(below + 2));
	CHECK(sl_ownfd_is(high) && !sl_ownfd_is(below + 2));
}

static void a_low_number_can_be_ours_too(void **state)
{
	(void)state;
	in_child(keeps_a_low_number);
}

static void keeps_no_more(void)
{
	int fds[SL_OWN_FDS + 1];
	for (int i = 0; i <= SL_OWN_FDS; i++)
		fds[i] = open_null();
	for (int i = 0; i < SL_OWN_FDS; i++)
		CHECK(sl_ownfd_keep(fds[i]));
	CHECK(!sl_ownfd_keep(fds[SL_OWN_FDS]));
	CHECK(is_open(fds[SL_OWN_FDS]) && !sl_ownfd_is(fds[SL_OWN_FDS]));
	sl_ownfd_yield(fds[2]);
	CHECK(sl_ownfd_keep(fds[SL_OWN_FDS]) && sl_ownfd_is(fds[SL_OWN_FDS]));
}

static void what_finds_no_place_is_left_open(void **state)
{
	(void)state;
	in_child(keeps_no_more);
}

/* What lies there for a moment is the program's; the number is ours all the while. */
static void lends_its_number(void)
{
	int own = sl_ownfd_take(open_null()), ends[2];
	CHECK(pipe(ends) == 0);
	sl_ownfd_lent = own;
	CHECK(dup2(ends[0], own) == own);
	CHECK(sl_ownfd_is(own) && sl_ownfd_is_true(own));
	sl_ownfd_lent = -1;
	CHECK(!sl_ownfd_is_true(own) && !sl_ownfd_is(own));

	own = sl_ownfd_take(open_null());
	sl_ownfd_lent = own;
	sl_ownfd_yield(own); /* the program's dup2() */
	CHECK(!sl_ownfd_is_true(own));
	int other = sl_ownfd_take(open_null());
	sl_ownfd_lent = own;
	CHECK(dup2(ends[0], other) == other);
	CHECK(!sl_ownfd_is_true(other)); /* of that one number only */
	sl_ownfd_lent = -1;
}

static void a_lent_number_is_ours_whatever_lies_there(void **state)
{
	(void)state;
	in_child(lends_its_number);
}

/* ---- what the program does to them ---- */

static void is_looked_for(void)
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
}

static void own_fds_are_found_by_number(void **state)
{
	(void)state;
	in_child(is_looked_for);
}

static void yields(void)
{
	int own = sl_ownfd_take(open_null());
	sl_ownfd_yield(own);
	CHECK(!sl_ownfd_is(own) && is_open(own));
	CHECK(dup2(0, own) == own); /* the program's, from here on */
	sl_ownfd_close(own);
	CHECK(is_open(own));
	sl_ownfd_close(0); /* never was ours */
	CHECK(is_open(0));
}

static void what_the_program_took_is_not_closed(void **state)
{
	(void)state;
	in_child(yields);
}

/* What a raw system call of the program does: the number is there, what we put there is not. */
static void is_closed_past_us(void)
{
	int ends[2], others[2];
	CHECK(pipe(ends) == 0 && pipe(others) == 0);
	int in = sl_ownfd_take(ends[0]), out = sl_ownfd_take(ends[1]);
	CHECK(sl_ownfd_is_true(in) && sl_ownfd_is_true(out) && sl_ownfd_is(in));
	close(in);
	CHECK(dup2(others[0], in) == in); /* a pipe too, but another */
	CHECK(!sl_ownfd_is_true(in) && !sl_ownfd_is(in) && sl_ownfd_is(out));
	sl_ownfd_close(in);
	CHECK(is_open(in));

	close(out);
	CHECK(!sl_ownfd_is_true(out) && !sl_ownfd_is(out)); /* nothing there */

	int again = sl_ownfd_take(others[1]);
	close(again);
	CHECK(dup2(open("/", O_RDONLY), again) == again);
	sl_ownfd_close(again); /* without having been asked first */
	CHECK(is_open(again) && !sl_ownfd_is(again));

	static const int never[] = {-1, 0, SL_OWN_FD_FLOOR - 1, 1500, INT_MAX, INT_MIN};
	for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		CHECK(!sl_ownfd_is_true(never[i]));
}

static void what_the_program_closed_past_us_is_not_ours(void **state)
{
	(void)state;
	in_child(is_closed_past_us);
}

/* Only the program's own numbers are used up: ours are above its limit. */
static void takes_when_full(void)
{
	set_limits(230, 20000);
	int fd = open_null();
	fill_up();
	int own = sl_ownfd_take(fd);
	CHECK(own == SL_OWN_FD_FLOOR && soft_limit() == 230);
	CHECK(open_null() == fd); /* it was given back */
	errno = 77;
	sl_ownfd_close(own);
	CHECK(!is_open(own));
	/* With no room above either, there is none. */
	set_limits(1030, 1030);
	fill_up();
	CHECK(sl_ownfd_take(fd) == -EMFILE);
	CHECK(!is_open(fd));
}

static void an_own_fd_is_to_be_had_when_the_program_has_none(void **state)
{
	(void)state;
	in_child(takes_when_full);
}

static void leaves_errno(void)
{
	int fd = open_null();
	set_limits(256, 20000);
	errno = 77;
	int own = sl_ownfd_take(fd);
	(void)sl_ownfd_take(-1);
	CHECK(sl_ownfd_is_true(own));
	sl_ownfd_yield(own);
	sl_ownfd_close(own);
	CHECK(errno == 77);
}

static void errno_is_the_programs(void **state)
{
	(void)state;
	in_child(leaves_errno);
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

static void is_shared(void)
{
	race(3, change_or_ask, NULL);
	CHECK(wrong == 0);
	CHECK(sl_ownfd_first_in(0, UINT_MAX) == -1);
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
		cmocka_unit_test(a_low_number_can_be_ours_too),
		cmocka_unit_test(what_finds_no_place_is_left_open),
		cmocka_unit_test(a_lent_number_is_ours_whatever_lies_there),
		cmocka_unit_test(own_fds_are_found_by_number),
		cmocka_unit_test(what_the_program_took_is_not_closed),
		cmocka_unit_test(what_the_program_closed_past_us_is_not_ours),
		cmocka_unit_test(an_own_fd_is_to_be_had_when_the_program_has_none),
		cmocka_unit_test(errno_is_the_programs),
		cmocka_unit_test(threads_may_ask_at_any_time),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
