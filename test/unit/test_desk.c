/* test_desk.c - the one number on which the program's descriptions are looked at: where it lies, and whose it is. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/desk.h"
#include "base/ownfd.h"
#include "child.h"
#include "tcp.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define HARD 20000
#define ABOVE \
	(SL_OWN_FD_FLOOR + 8) /* with a limit beyond this the number is one of the high ones */

/* Limits, numbers and the desk are the process's: each test runs in a child. */

static void set_limit(rlim_t soft)
{
	const struct rlimit limits = {soft, HARD};
	if (setrlimit(RLIMIT_NOFILE, &limits) != 0)
		_exit(3);
}

static rlim_t soft_limit(void)
{
	struct rlimit limits;
	return getrlimit(RLIMIT_NOFILE, &limits) == 0 ? limits.rlim_cur : 0;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static bool is_same(int a, int b)
{
	struct stat x, y;
	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

static int count_open(void)
{
	int n = 0;
	for (int fd = 0; fd < 2100; fd++)
		n += is_open(fd);
	return n;
}

/* As reclaim/dead.c makes it: one of our own. */
static int filler_make(void)
{
	int filler = sl_ownfd_take(socket(AF_INET, SOCK_STREAM, 0));
	CHECK(filler >= SL_OWN_FD_FLOOR);
	return filler;
}

/* A file of the program that is unlike any other. */
static int plain_make(void)
{
	int ends[2];
	CHECK(pipe(ends) == 0 && close(ends[1]) == 0);
	return ends[0];
}

/* Takes every number there is below the limit. */
static void fill_up(void)
{
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	CHECK(errno == EMFILE);
}

/* The number, empty-handed again. */
static int desk_number(int fd)
{
	int desk = sl_desk_lend(fd);
	CHECK(desk >= 0);
	sl_desk_return();
	return desk;
}

/* ---- lending ---- */

static void lends(void)
{
	int filler = filler_make(), fd = plain_make();
	CHECK(sl_desk_open(filler) == 0 && sl_desk_open(filler) == 0);
	int before = count_open();
	CHECK(sl_ownfd_lent == -1);
	int copy = sl_desk_lend(fd);
	CHECK(copy >= SL_OWN_FD_FLOOR && copy != filler && copy != fd);
	CHECK(is_same(copy, fd) && !is_same(copy, filler));
	CHECK(fcntl(copy, F_GETFD) == FD_CLOEXEC);
	CHECK(sl_ownfd_lent == copy);
	CHECK(sl_ownfd_is(copy) && sl_ownfd_is_true(copy)); /* though another file lies there */
	CHECK(count_open() == before);
	sl_desk_return();
	CHECK(sl_ownfd_lent == -1);
	CHECK(is_same(copy, filler) && is_open(fd) && !is_same(fd, filler));
	CHECK(fcntl(copy, F_GETFD) == FD_CLOEXEC);
	CHECK(sl_ownfd_is_true(copy) && count_open() == before);
	CHECK(sl_desk_lend(0) == copy); /* the same place each time */
	sl_desk_return();
	sl_desk_return(); /* twice is once */
	CHECK(is_same(copy, filler) && sl_ownfd_is_true(copy));
}

static void what_is_lent_lies_on_a_number_of_ours(void **state)
{
	(void)state;
	in_child(lends);
}

static void lends_nothing(void)
{
	int filler = filler_make();
	CHECK(sl_desk_lend(-1) == -EBADF); /* nor is there a desk */
	CHECK(sl_desk_open(filler) == 0);
	int desk = desk_number(0), fd = plain_make();
	CHECK(close(fd) == 0);
	CHECK(sl_desk_lend(fd) == -EBADF && sl_desk_lend(-1) == -EBADF);
	CHECK(sl_desk_lend(30000) == -EBADF);
	CHECK(sl_ownfd_lent == -1 && is_same(desk, filler) && sl_ownfd_is_true(desk));
	CHECK(desk_number(0) == desk);
}

static void what_is_not_open_is_not_lent(void **state)
{
	(void)state;
	in_child(lends_nothing);
}

/* The copy is the socket, whatever becomes of the program's number; and none of it is left when it is given back. */
static void outlives_the_number(void)
{
	struct tcp_pair pair;
	char byte;
	tcp_open(&pair);
	CHECK(sl_desk_open(filler_make()) == 0);
	int copy = sl_desk_lend(pair.client);
	CHECK(copy >= 0 && close(pair.client) == 0);
	CHECK(open("/dev/null", O_RDONLY) == pair.client);
	CHECK(tcp_state(pair.server) == TCP_ESTABLISHED);
	CHECK(send(copy, "x", 1, 0) == 1 && recv(pair.server, &byte, 1, 0) == 1);
	sl_desk_return();
	CHECK(recv(pair.server, &byte, 1, 0) == 0);
	CHECK(is_open(pair.client));
}

static void a_copy_outlives_the_programs_number(void **state)
{
	(void)state;
	in_child(outlives_the_number);
}

static void leaves_errno(void)
{
	int filler = filler_make();
	errno = 77;
	CHECK(sl_desk_lend(-1) < 0);
	CHECK(sl_desk_open(filler) == 0);
	CHECK(sl_desk_lend(0) >= 0);
	sl_desk_return();
	CHECK(sl_desk_lend(900) == -EBADF);
	sl_desk_forked();
	set_limit(600);
	CHECK(sl_desk_lend(0) >= 0);
	sl_desk_return();
	CHECK(errno == 77);
}

static void errno_is_the_programs(void **state)
{
	(void)state;
	in_child(leaves_errno);
}

/* ---- the limit ---- */

static rlim_t row; /* the soft limit of the child below */

static void reserves(void)
{
	int filler = filler_make(), before = count_open();
	bool has_room = row > ABOVE; /* else: is one of the last eight free? */
	for (int fd = row > 8 ? (int)row - 8 : 0; fd < (int)row && !has_room; fd++)
		has_room = !is_open(fd);
	set_limit(row);
	int error = sl_desk_open(filler);
	CHECK(soft_limit() == row);
	if (!has_room) {
		CHECK(error == -EMFILE && count_open() == before);
		CHECK(sl_desk_lend(0) == -EMFILE);
		return;
	}
	CHECK(error == 0 && count_open() == before + 1);
	int desk = desk_number(0);
	CHECK((rlim_t)desk < row);
	CHECK(row > ABOVE ? desk >= SL_OWN_FD_FLOOR : (rlim_t)desk + 8 >= row);
	CHECK(sl_ownfd_is(desk) && sl_ownfd_is_true(desk));
	CHECK(!sl_ownfd_is(desk - 1) || desk - 1 == filler);
	CHECK(soft_limit() == row && count_open() == before + 1);
}

static void there_is_a_number_below_every_limit(void **state)
{
	(void)state;
	static const rlim_t rows[] = {0,    1,         2,     3,         7,    8,        9,    10,
	                              16,   64,        256,   1000,      1016, 1023,     1024, 1025,
	                              1026, ABOVE - 1, ABOVE, ABOVE + 1, 4096, HARD - 1, HARD};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		row = rows[i];
		in_child(reserves);
	}
}

/* With the numbers that it had, and none left. */
static void reserves_before_none_is_left(void)
{
	int filler = filler_make();
	set_limit(256);
	CHECK(sl_desk_open(filler) == 0);
	fill_up();
	CHECK(sl_desk_lend(5) >= 248);
	sl_desk_return();
	CHECK(sl_desk_open(filler) == 0);
}

static void it_works_when_no_number_is_left(void **state)
{
	(void)state;
	in_child(reserves_before_none_is_left);
}

static void finds_none(void)
{
	int filler = filler_make();
	set_limit(256);
	fill_up();
	int before = count_open();
	CHECK(sl_desk_open(filler) == -EMFILE);
	CHECK(sl_desk_lend(5) == -EMFILE && sl_ownfd_lent == -1);
	sl_desk_return(); /* of nothing */
	CHECK(count_open() == before);
	CHECK(close(100) == 0); /* too low: the program's next one */
	CHECK(sl_desk_open(filler) == -EMFILE);
	CHECK(close(250) == 0);
	CHECK(sl_desk_open(filler) == 0);
	CHECK(desk_number(5) == 250);
	set_limit(2000);
	CHECK(desk_number(5) == 250); /* it is there: why move */
}

static void without_a_number_it_says_so_and_tries_again(void **state)
{
	(void)state;
	in_child(finds_none);
}

static void takes_no_more_than_its_places(void)
{
	int filler = filler_make(), last = -1;
	for (int i = 1; i < SL_OWN_FDS; i++)
		CHECK((last = sl_ownfd_take(plain_make())) >= 0);
	int before = count_open();
	CHECK(sl_desk_open(filler) == -EMFILE && sl_desk_lend(0) == -EMFILE);
	CHECK(count_open() == before);
	sl_ownfd_close(last);
	CHECK(sl_desk_open(filler) == 0 && desk_number(0) == last);
}

static void it_is_one_of_our_few_places(void **state)
{
	(void)state;
	in_child(takes_no_more_than_its_places);
}

static void follows_the_limit(void)
{
	int filler = filler_make();
	set_limit(4096);
	CHECK(sl_desk_open(filler) == 0);
	int high = desk_number(0);
	CHECK(high >= SL_OWN_FD_FLOOR);
	set_limit(512);
	int low = sl_desk_lend(0);
	CHECK(low >= 504 && low < 512 && is_same(low, 0));
	CHECK(!is_open(high) && !sl_ownfd_is(high));
	sl_desk_return();
	CHECK(is_same(low, filler) && sl_ownfd_is_true(low));
	set_limit(300);
	CHECK(sl_desk_lend(900) == -EBADF); /* not for the limit's sake */
	CHECK(sl_ownfd_is_true(low));
	CHECK(sl_desk_lend(0) < 300);
	CHECK(!is_open(low));
	/* And while something lies there. */
	int lent = sl_ownfd_lent;
	set_limit(64);
	sl_desk_return();
	CHECK(!is_open(lent) && !sl_ownfd_is(lent) && sl_ownfd_lent == -1);
	CHECK(desk_number(0) < 64);
}

static void a_limit_that_is_lowered_is_followed(void **state)
{
	(void)state;
	in_child(follows_the_limit);
}

/* The limit goes below the number, none is left there, and the old number becomes somebody else's. */
static void loses_its_number(void)
{
	int filler = filler_make();
	set_limit(4096);
	CHECK(sl_desk_open(filler) == 0);
	int high = desk_number(0);
	set_limit(256);
	fill_up();
	CHECK(sl_desk_lend(0) == -EMFILE && sl_ownfd_lent == -1);
	CHECK(!is_open(high));
	set_limit(4096);
	int other = sl_ownfd_take(plain_make()); /* ours too, but for something else */
	CHECK(other == high);
	int desk = sl_desk_lend(0);
	CHECK(desk >= 0 && desk != other);
	sl_desk_return();
	CHECK(sl_ownfd_is_true(other) && !is_same(other, filler));
}

static void a_number_that_was_lost_is_not_taken_for_the_desk(void **state)
{
	(void)state;
	in_child(loses_its_number);
}

/* ---- the program on the same number ---- */

static void give_up_for_dup2(int fd, int desk)
{
	sl_ownfd_yield(desk); /* the hook of dup2() */
	CHECK(dup2(fd, desk) == desk);
}

static void close_past_us(int fd, int desk)
{
	CHECK(close(desk) == 0); /* here no hook sees it: a raw system call */
	CHECK(fcntl(fd, F_DUPFD, desk) == desk);
}

typedef void take_fn(int fd, int desk);
static take_fn *const takes[] = {give_up_for_dup2, close_past_us};
static take_fn *take;

static void is_taken(void)
{
	int filler = filler_make(), fd = plain_make();
	CHECK(sl_desk_open(filler) == 0);
	int desk = desk_number(0);
	take(fd, desk);
	CHECK(sl_desk_open(filler) == 0);
	int other = desk_number(0);
	CHECK(other != desk && sl_ownfd_is_true(other) && !sl_ownfd_is(desk));
	CHECK(is_same(desk, fd));
	take(fd, other); /* and asked for without another sl_desk_open() */
	CHECK(sl_desk_lend(0) >= 0);
	CHECK(is_same(other, fd));
	sl_desk_return();
	CHECK(is_same(desk, fd) && is_same(other, fd));
}

static void is_taken_while_lent(void)
{
	int filler = filler_make(), fd = plain_make();
	CHECK(sl_desk_open(filler) == 0);
	int desk = sl_desk_lend(0);
	take(fd, desk);
	sl_desk_return();
	CHECK(is_same(desk, fd)); /* it stays the program's */
	CHECK(sl_ownfd_lent == -1 && !sl_ownfd_is_true(desk));
	int next = desk_number(0);
	CHECK(next != desk && is_same(next, filler) && is_same(desk, fd));
}

static void is_closed_past_us(void)
{
	int filler = filler_make();
	CHECK(sl_desk_open(filler) == 0);
	int desk = desk_number(0);
	CHECK(close(desk) == 0);
	CHECK(desk_number(0) == desk); /* free again: the same one */
	CHECK(is_same(desk, filler));
	CHECK(sl_desk_lend(0) == desk && close(desk) == 0);
	sl_desk_return();
	CHECK(sl_ownfd_lent == -1);
	CHECK(desk_number(0) >= 0);
}

static void what_the_program_puts_there_is_left_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(takes); i++) {
		take = takes[i];
		in_child(is_taken);
		in_child(is_taken_while_lent);
	}
	in_child(is_closed_past_us);
}

/* The filler is one of our own fds, and may be closed past us as well. */
static void loses_its_filler(void)
{
	int filler = filler_make();
	CHECK(sl_desk_open(filler) == 0);
	int desk = desk_number(0);
	CHECK(close(filler) == 0);
	CHECK(sl_desk_lend(0) == desk);
	sl_desk_return(); /* nothing to put there */
	CHECK(!is_same(desk, 0) && sl_ownfd_lent == -1);
	filler = filler_make();
	CHECK(sl_desk_open(filler) == 0);
	CHECK(is_same(desk_number(0), filler));
}

static void without_its_filler_nothing_of_the_programs_stays(void **state)
{
	(void)state;
	in_child(loses_its_filler);
}

/* ---- fork ---- */

static struct tcp_pair shared;

static int child_returns(int filler, int copy, const int go[2])
{
	char byte;
	(void)alarm(20);
	(void)close(go[1]);
	sl_desk_forked();
	if (sl_ownfd_lent != -1 || !is_same(copy, filler) || !sl_ownfd_is_true(copy))
		return 1;
	if (close(shared.client) != 0)
		return 2;
	(void)!read(go[0], &byte, 1); /* until the parent has seen the end of its own */
	return desk_number(0) == copy ? 0 : 3;
}

static void forks_while_lent(void)
{
	int filler = filler_make(), go[2], status = -1;
	char byte;
	tcp_open(&shared);
	CHECK(pipe(go) == 0);
	CHECK(sl_desk_open(filler) == 0);
	sl_desk_forked(); /* nothing is lent: nothing happens */
	int copy = sl_desk_lend(shared.client);
	CHECK(copy >= 0);
	pid_t child = fork();
	if (child == 0)
		_exit(child_returns(filler, copy, go));
	CHECK(is_same(copy, shared.client) && sl_ownfd_lent == copy);
	sl_desk_return();
	CHECK(close(shared.client) == 0);
	/* Else the child held a copy of it that nobody knows of. */
	CHECK(recv(shared.server, &byte, 1, 0) == 0);
	CHECK(close(go[1]) == 0 && close(go[0]) == 0);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void a_forked_child_keeps_no_copy(void **state)
{
	(void)state;
	in_child(forks_while_lent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_lent_lies_on_a_number_of_ours),
		cmocka_unit_test(what_is_not_open_is_not_lent),
		cmocka_unit_test(a_copy_outlives_the_programs_number),
		cmocka_unit_test(errno_is_the_programs),
		cmocka_unit_test(there_is_a_number_below_every_limit),
		cmocka_unit_test(it_works_when_no_number_is_left),
		cmocka_unit_test(without_a_number_it_says_so_and_tries_again),
		cmocka_unit_test(it_is_one_of_our_few_places),
		cmocka_unit_test(a_limit_that_is_lowered_is_followed),
		cmocka_unit_test(a_number_that_was_lost_is_not_taken_for_the_desk),
		cmocka_unit_test(what_the_program_puts_there_is_left_alone),
		cmocka_unit_test(without_its_filler_nothing_of_the_programs_stays),
		cmocka_unit_test(a_forked_child_keeps_no_copy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
