/* test_fdtable.c - the fd table under threads: whatever the order, a record is one whole record, and counts are exact.
 *
 * A record that was opened with the number n says n in each of its fields, so that a mixture shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/fdtable.h"
#include "racers.h"

/* Each test has chunks of its own: the table is one for the process. */
#define CHUNK(n) ((int)((n)*SL_FD_CHUNK_SLOTS))
#define NUMBERS 4095u /* fit in each field */

static struct sl_fd_opening opening_of(uint32_t n)
{
	return (struct sl_fd_opening){
		.kind = SL_KIND_TCP,
		.flags = n << 16,
		.site = n,
		.dest = n,
		.thread = n,
		.opened_at_ms = n,
	};
}

static bool open_as(int fd, uint32_t n)
{
	struct sl_fd_opening opening = opening_of(n);
	sl_fdtable_prepare();
	return sl_fdtable_open(fd, &opening);
}

static bool is_whole(const struct sl_fd_record *r)
{
	uint32_t n = r->site;
	return r->kind == SL_KIND_TCP && n != 0 && r->thread == n && r->dest == n &&
	       r->opened_at_ms == n && r->flags >> 16 == n;
}

static void end(int fd, bool really)
{
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	if (really)
		sl_fdtable_commit(&forgotten);
	else
		sl_fdtable_put_back(&forgotten);
}

/* ---- writers that overtake each other on the same numbers, and readers ---- */

#define CHURN_FDS 2
#define CHURN_ROUNDS RACE_ROUNDS(150000u)

struct churn {
	int first;
	_Atomic uint32_t next;
	_Atomic unsigned writing;
	_Atomic unsigned torn;
	_Atomic unsigned mistagged;
};

static uint32_t next_number(struct churn *churn)
{
	return churn->next++ % NUMBERS + 1;
}

static void churn_write(struct churn *churn, unsigned index)
{
	for (unsigned i = 0; i < CHURN_ROUNDS; i++) {
		int fd = churn->first + (int)(i % CHURN_FDS);
		(void)open_as(fd, next_number(churn));
		if (i % 3 == index % 3)
			end(fd, i % 2);
		else if (i % 7 == 0)
			(void)sl_fdtable_dup(fd, churn->first + (int)((i + 1) % CHURN_FDS));
	}
}

/* The worker's part: it writes late, with the generation that it saw. */
static void churn_look(struct churn *churn)
{
	struct sl_fd_record r;
	for (unsigned i = 0; churn->writing; i++) {
		int fd = churn->first + (int)(i % CHURN_FDS);
		if (!sl_fdtable_get(fd, &r))
			continue;
		churn->torn += !is_whole(&r);
		churn->mistagged += r.peer && (r.peer != r.site || r.cookie != r.site);
		/* These marks say whether the record's number is odd. */
		churn->mistagged += (r.flags & SL_FD_EOF) && r.site % 2 == 0;
		churn->mistagged += (r.flags & SL_FD_EPOLL) && r.site % 2 == 1;
		sl_fdtable_mark(fd, r.generation, r.site % 2 ? SL_FD_EOF : SL_FD_EPOLL, 0);
		sl_fdtable_identify(fd, r.generation, r.site, r.site);
		if (i % 64 == 0)
			sl_fdtable_drop(fd, r.generation);
	}
}

static void churn_racer(unsigned index, void *context)
{
	struct churn *churn = context;
	if (index == 0) {
		churn_look(churn);
		return;
	}
	churn_write(churn, index);
	churn->writing--;
}

static void a_record_is_never_mixed_of_two(void **state)
{
	(void)state;
	struct churn churn = {.first = CHUNK(1), .writing = 3};
	race(4, churn_racer, &churn);
	assert_int_equal(churn.torn, 0);
	assert_int_equal(churn.mistagged, 0);
	/* Quiet again: all that is left is whole. */
	struct sl_fd_record r;
	for (int fd = CHUNK(1); fd < CHUNK(1) + CHURN_FDS; fd++)
		assert_true(!sl_fdtable_get(fd, &r) || is_whole(&r));
	assert_true(open_as(CHUNK(1), 7));
	assert_true(sl_fdtable_get(CHUNK(1), &r) && is_whole(&r) && r.site == 7);
}

/* ---- the worker finds a number in /proc whose hook has yet to record it ---- */

#define ADOPT_ROUNDS RACE_ROUNDS(6000u)
#define ADOPT_FDS 64

struct adoption {
	struct meeting meeting;
	unsigned torn, lost, adoptions;
};

/* Both go through the same numbers: side by side, or towards each other. */
static void adoption_racer(unsigned index, void *context)
{
	struct adoption *a = context;
	struct sl_fd_record r;
	for (uint32_t i = 0; i < ADOPT_ROUNDS; i++) {
		struct sl_fd_opening found = opening_of(2 + i % (NUMBERS - 2));
		found.flags |= SL_FD_ADOPTED;
		if (index == 1) /* one before the hook for certain */
			a->adoptions += sl_fdtable_adopt(CHUNK(2), &found);
		meet(&a->meeting, 2);
		for (int at = 0; at < ADOPT_FDS; at++)
			if (index == 0)
				(void)open_as(CHUNK(2) + at, 1);
			else
				a->adoptions += sl_fdtable_adopt(
					CHUNK(2) + (i % 2 ? at : ADOPT_FDS - 1 - at), &found);
		meet(&a->meeting, 2);
		for (int fd = CHUNK(2); fd < CHUNK(2) + ADOPT_FDS && index == 0; fd++) {
			/* Whoever came first: what the hook saw stands. */
			bool is_there = sl_fdtable_get(fd, &r);
			a->lost += !is_there || r.site != 1;
			a->torn += is_there && !is_whole(&r);
			end(fd, true);
		}
		meet(&a->meeting, 2);
	}
}

static void a_hook_stands_over_an_adoption(void **state)
{
	(void)state;
	struct adoption a = {.adoptions = 0};
	uint64_t opened = sl_fdtable_opened(SL_KIND_TCP), adopted = sl_fdtable_adopted();
	assert_true(open_as(CHUNK(2) + ADOPT_FDS, 1));
	race(2, adoption_racer, &a);
	assert_int_equal(a.lost, 0);
	assert_int_equal(a.torn, 0);
	assert_true(a.adoptions >= ADOPT_ROUNDS);
	/* Those adoptions were of the hook's own sockets: each counts once. */
	assert_int_equal(sl_fdtable_adopted(), adopted);
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), opened + 1 + ADOPT_ROUNDS * ADOPT_FDS);
}

/* ---- the end of a record, against the next one ---- */

#define REUSE_ROUNDS RACE_ROUNDS(20000u)

struct reuse {
	struct meeting meeting;
	int fd;
	bool is_forgotten_again; /* the opener's own close has begun already */
	unsigned disturbed;
};

/* Racer 0 has closed a number, which racer 1 was given at once; 0 comes to tell the table only now. */
static void reuse_racer(unsigned index, void *context)
{
	struct reuse *reuse = context;
	struct sl_fd_record r;
	for (uint32_t i = 0; i < REUSE_ROUNDS; i++) {
		struct sl_fd_forgotten forgotten = {.fd = -1};
		uint32_t n = i % (NUMBERS - 1) + 2;
		if (index == 0) {
			(void)open_as(reuse->fd, 1);
			forgotten = sl_fdtable_forget(reuse->fd);
		}
		meet(&reuse->meeting, 2);
		if (index == 1)
			(void)open_as(reuse->fd, n);
		else if (i % 2)
			sl_fdtable_put_back(&forgotten);
		else
			sl_fdtable_commit(&forgotten);
		meet(&reuse->meeting, 2);
		if (index == 1)
			reuse->disturbed +=
				!sl_fdtable_get(reuse->fd, &r) || !is_whole(&r) || r.site != n;
		meet(&reuse->meeting, 2);
	}
}

static void a_late_end_never_disturbs_the_next_record(void **state)
{
	(void)state;
	struct reuse reuse = {.fd = CHUNK(3)};
	race(2, reuse_racer, &reuse);
	assert_int_equal(reuse.disturbed, 0);
}

struct closing {
	struct meeting meeting;
	_Atomic unsigned winners;
	unsigned rounds_without_one;
};

static void closing_racer(unsigned index, void *context)
{
	struct closing *closing = context;
	for (unsigned i = 0; i < RACE_ROUNDS(5000u); i++) {
		if (index == 0) {
			(void)open_as(CHUNK(3) + 1, 1);
			closing->winners = 0;
		}
		meet(&closing->meeting, 3);
		struct sl_fd_forgotten forgotten = sl_fdtable_forget(CHUNK(3) + 1);
		closing->winners += forgotten.fd >= 0;
		meet(&closing->meeting, 3);
		sl_fdtable_commit(&forgotten);
		if (index == 0)
			closing->rounds_without_one += closing->winners != 1;
	}
}

static void one_of_many_closes_ends_the_record(void **state)
{
	(void)state;
	struct closing closing = {.rounds_without_one = 0};
	race(3, closing_racer, &closing);
	assert_int_equal(closing.rounds_without_one, 0);
}

/* ---- many threads at a new chunk, and counts ---- */

#define CROSSING_THREADS 4
#define CROSSINGS 300

struct crossing {
	struct meeting meeting;
	_Atomic unsigned failed;
};

static void crossing_racer(unsigned index, void *context)
{
	struct crossing *crossing = context;
	for (int i = 0; i < CROSSINGS; i++) {
		struct sl_fd_opening opening = opening_of(index + 1);
		sl_fdtable_prepare(); /* before the real call */
		meet(&crossing->meeting, CROSSING_THREADS);
		crossing->failed += !sl_fdtable_open(CHUNK(1000 + i) + (int)index, &opening);
		meet(&crossing->meeting, CROSSING_THREADS);
	}
}

static void threads_that_meet_at_a_new_chunk_all_find_room(void **state)
{
	(void)state;
	struct crossing crossing = {.failed = 0};
	uint64_t dropped = sl_fdtable_dropped(), opened = sl_fdtable_opened(SL_KIND_TCP);
	race(CROSSING_THREADS, crossing_racer, &crossing);
	assert_int_equal(crossing.failed, 0);
	assert_int_equal(sl_fdtable_dropped(), dropped);
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), opened + CROSSING_THREADS * CROSSINGS);
	struct sl_fd_record r;
	for (int i = 0; i < CROSSINGS; i++)
		for (unsigned thread = 0; thread < CROSSING_THREADS; thread++) {
			assert_true(sl_fdtable_get(CHUNK(1000 + i) + (int)thread, &r));
			assert_true(is_whole(&r) && r.site == thread + 1);
		}
}

#define COUNTED RACE_ROUNDS(100000u)

static void counting_racer(unsigned index, void *context)
{
	(void)context;
	for (unsigned i = 0; i < COUNTED; i++) {
		int fd = CHUNK(4) + (int)(i % 4); /* the same for all threads */
		(void)open_as(fd, index + 1);
		end(fd, true);
	}
}

static void openings_are_counted_exactly(void **state)
{
	(void)state;
	uint64_t opened = sl_fdtable_opened(SL_KIND_TCP), dropped = sl_fdtable_dropped();
	race(4, counting_racer, NULL);
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), opened + 4 * COUNTED);
	assert_int_equal(sl_fdtable_dropped(), dropped);
}

/* ---- walks and ranges ---- */

#define STEADY 700

struct walk {
	_Atomic unsigned churning;
	unsigned wrong;
};

/* Numbers that stay open between numbers that come and go. */
static void walk_racer(unsigned index, void *context)
{
	struct walk *walk = context;
	struct sl_fd_record r;
	if (index > 0) {
		for (unsigned i = 0; i < RACE_ROUNDS(100000u); i++) {
			int fd = CHUNK(5) + 2 * (int)(i % STEADY) + 1;
			(void)open_as(fd, 1);
			end(fd, true);
		}
		walk->churning--;
		return;
	}
	while (walk->churning) {
		int met = 0, last = -1;
		for (int at = CHUNK(5); sl_fdtable_next(at, &r) && r.fd < CHUNK(7); at = r.fd + 1) {
			walk->wrong += !is_whole(&r) || r.fd <= last;
			met += (r.fd - CHUNK(5)) % 2 == 0;
			last = r.fd;
		}
		walk->wrong += met != STEADY;
	}
}

static void a_walk_misses_nothing_that_stays(void **state)
{
	(void)state;
	struct walk walk = {.churning = 2};
	for (int i = 0; i < STEADY; i++)
		assert_true(open_as(CHUNK(5) + 2 * i, 3));
	race(3, walk_racer, &walk);
	assert_int_equal(walk.wrong, 0);
}

struct range {
	struct meeting meeting;
	unsigned wrong;
};

/* A close_range() that fails, beside a thread that opens at the range's numbers. */
static void range_racer(unsigned index, void *context)
{
	struct range *range = context;
	struct sl_fd_record r;
	unsigned first = (unsigned)CHUNK(8) + 1020, last = first + 7;
	for (uint32_t i = 0; i < RACE_ROUNDS(5000u); i++) {
		uint32_t n = i % (NUMBERS - 1) + 2;
		meet(&range->meeting, 2);
		if (index == 0) {
			sl_fdtable_forget_range(first, last);
			sl_fdtable_settle_range(first, last, false);
		} else {
			(void)open_as((int)first + (int)(i % 8), n);
		}
		meet(&range->meeting, 2);
		if (index == 0)
			continue;
		for (unsigned fd = first; fd <= last; fd++)
			range->wrong += !sl_fdtable_get((int)fd, &r) || !is_whole(&r);
		range->wrong += !sl_fdtable_get((int)(first + i % 8), &r) || r.site != n;
	}
}

static void a_range_put_back_is_as_before(void **state)
{
	(void)state;
	struct range range = {.wrong = 0};
	for (int i = 0; i < 8; i++)
		assert_true(open_as(CHUNK(8) + 1020 + i, 1));
	race(2, range_racer, &range);
	assert_int_equal(range.wrong, 0);
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
		cmocka_unit_test(a_record_is_never_mixed_of_two),
		cmocka_unit_test(a_hook_stands_over_an_adoption),
		cmocka_unit_test(a_late_end_never_disturbs_the_next_record),
		cmocka_unit_test(one_of_many_closes_ends_the_record),
		cmocka_unit_test(threads_that_meet_at_a_new_chunk_all_find_room),
		cmocka_unit_test(openings_are_counted_exactly),
		cmocka_unit_test(a_walk_misses_nothing_that_stays),
		cmocka_unit_test(a_range_put_back_is_as_before),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
