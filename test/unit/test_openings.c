/* test_openings.c - calls that may open a socket, under way: told apart, seen until they are back, and never lost for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/openings.h"
#include "racers.h"

static int set_up(void **state)
{
	(void)state;
	sl_openings_forked();
	return 0;
}

static unsigned count(const struct sl_openings *seen)
{
	struct sl_opening_under_way opening;
	unsigned n = 0, at = 0;
	while (sl_openings_next(seen, &at, &opening))
		n++;
	return n;
}

static unsigned count_now(void)
{
	struct sl_openings now;
	sl_openings_look(&now);
	return count(&now);
}

static void what_is_under_way_is_seen(void **state)
{
	(void)state;
	struct sl_openings before, seen;
	struct sl_opening_under_way opening;
	unsigned at = 0;
	sl_openings_look(&before);
	struct sl_openings_call call = sl_openings_begin(SL_KIND_UDP, -1);
	sl_openings_look(&seen);
	assert_int_equal(count(&before), 0); /* it began after that look */
	assert_true(sl_openings_next(&seen, &at, &opening));
	assert_int_equal(opening.kind, SL_KIND_UDP);
	assert_int_equal(opening.listener, -1);
	assert_false(sl_openings_next(&seen, &at, &opening));
	sl_openings_end(&call);
	assert_int_equal(count(&seen), 0);
	/* Another is none of those that were seen, though it takes the same place. */
	call = sl_openings_begin(SL_KIND_UDP, -1);
	assert_int_equal(count(&seen), 0);
	assert_int_equal(count_now(), 1);
	sl_openings_end(&call);
	assert_int_equal(count_now(), 0);
}

static void listeners(void **state)
{
	(void)state;
	const int fds[] = {0, 7, 16777214, 16777215, 1 << 30, -1};
	const int known[] = {0, 7, 16777214, -1, -1, -1};
	for (unsigned i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		struct sl_openings_call call = sl_openings_begin(SL_KIND_TCP, fds[i]);
		struct sl_openings seen;
		struct sl_opening_under_way opening;
		unsigned at = 0;
		sl_openings_look(&seen);
		assert_true(sl_openings_next(&seen, &at, &opening));
		assert_int_equal(opening.listener, known[i]);
		sl_openings_end(&call);
	}
}

/* In a handler that came between: both are seen. */
__attribute__((noinline)) static void from_below(unsigned before)
{
	volatile char room[512]; /* a signal's frame is no smaller */
	room[0] = 0;
	struct sl_openings_call call = sl_openings_begin(SL_KIND_UNIX, -1);
	assert_int_equal(count_now(), before + 1);
	sl_openings_end(&call);
	assert_int_equal(count_now(), before + (unsigned)room[0]);
}

static void one_within_another(void **state)
{
	(void)state;
	struct sl_openings seen;
	struct sl_openings_call call = sl_openings_begin(SL_KIND_TCP, 5);
	sl_openings_look(&seen);
	from_below(1);
	assert_int_equal(count(&seen), 1);
	sl_openings_end(&call);
	assert_int_equal(count_now(), 0);
}

__attribute__((noinline)) static void leave_one(void)
{
	volatile char room[512];
	room[0] = 0;
	(void)sl_openings_begin(SL_KIND_TCP, 5 + room[0]);
}

/* As by longjmp. The next call from as high up finds what was left. */
static void one_that_never_comes_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3 * SL_OPENINGS_MAX; i++) {
		leave_one();
		assert_int_equal(count_now(), 1);
	}
	struct sl_openings_call call = sl_openings_begin(SL_KIND_UDP, -1);
	assert_int_equal(count_now(), 1);
	sl_openings_end(&call);
	assert_int_equal(count_now(), 0);
}

static void no_place(void **state)
{
	(void)state;
	struct sl_openings_call calls[SL_OPENINGS_MAX];
	for (unsigned i = 0; i < SL_OPENINGS_MAX; i++) {
		/* Each as from a frame of its own above the one before: none looks left behind. */
		volatile char *room = __builtin_alloca(512);
		room[0] = 0;
		calls[i] = sl_openings_begin(SL_KIND_TCP, (int)i + room[0]);
		assert_true(calls[i].word != 0);
	}
	assert_int_equal(count_now(), SL_OPENINGS_MAX);
	volatile char *room = __builtin_alloca(512);
	room[0] = 0;
	struct sl_openings_call none = sl_openings_begin(SL_KIND_TCP, room[0]);
	assert_true(none.word == 0);
	sl_openings_end(&none);
	assert_int_equal(count_now(), SL_OPENINGS_MAX);
	for (unsigned i = 0; i < SL_OPENINGS_MAX; i++)
		sl_openings_end(&calls[i]);
	assert_int_equal(count_now(), 0);
}

static void a_forked_child_begins_anew(void **state)
{
	(void)state;
	struct sl_openings_call call = sl_openings_begin(SL_KIND_TCP, 5);
	sl_openings_forked();
	assert_int_equal(count_now(), 0);
	sl_openings_end(&call); /* as a handler's would that forked */
	assert_int_equal(count_now(), 0);
}

/* What is published before the end is seen by who sees the end. */

#define THREADS 4
static struct {
	_Atomic unsigned made[THREADS];     /* by the kernel, so to say */
	_Atomic unsigned recorded[THREADS]; /* relaxed: only the order of the places counts */
	_Atomic unsigned running, wrong, looks;
} raced;

static void open_many(unsigned index, void *unused)
{
	(void)unused;
	if (index == THREADS) {
		while (atomic_load(&raced.running)) {
			struct sl_openings seen;
			unsigned made[THREADS];
			for (unsigned i = 0; i < THREADS; i++)
				made[i] = atomic_load(&raced.made[i]);
			sl_openings_look(&seen);
			if (count(&seen) > 0)
				continue; /* a call may yet record */
			for (unsigned i = 0; i < THREADS; i++)
				if (atomic_load_explicit(&raced.recorded[i], memory_order_relaxed) <
				    made[i])
					atomic_fetch_add(&raced.wrong, 1);
			atomic_fetch_add(&raced.looks, 1);
		}
		return;
	}
	for (unsigned n = 1; n <= RACE_ROUNDS(3000u); n++) {
		struct sl_openings_call call = sl_openings_begin(SL_KIND_TCP, -1);
		atomic_store(&raced.made[index], n);
		if (n % 64 == 0)
			give_way();
		atomic_store_explicit(&raced.recorded[index], n, memory_order_relaxed);
		sl_openings_end(&call);
	}
	atomic_fetch_sub(&raced.running, 1);
}

static void what_is_back_has_recorded(void **state)
{
	(void)state;
	atomic_store(&raced.running, THREADS);
	race(THREADS + 1, open_many, NULL);
	assert_int_equal(raced.wrong, 0);
	assert_true(raced.looks > 0);
	assert_int_equal(count_now(), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_under_way_is_seen), TEST(listeners), TEST(one_within_another),
		TEST(one_that_never_comes_back), TEST(no_place),  TEST(a_forked_child_begins_anew),
		TEST(what_is_back_has_recorded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
