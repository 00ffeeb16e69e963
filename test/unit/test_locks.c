/* test_locks.c - the locks of the table: exclusion, their order around fork, waiters that are woken. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/locks.h"
#include "racers.h"

static bool is_free(int lock)
{
	if (!sl_lock_try((enum sl_lock)lock))
		return false;
	sl_lock_release((enum sl_lock)lock);
	return true;
}

static unsigned count_free(void)
{
	unsigned n = 0;
	for (int lock = 0; lock < SL_LOCK_COUNT; lock++)
		n += is_free(lock);
	return n;
}

static void one_holder_each(void **state)
{
	(void)state;
	for (int lock = 0; lock < SL_LOCK_COUNT; lock++) {
		assert_true(sl_lock_try((enum sl_lock)lock));
		assert_false(sl_lock_try((enum sl_lock)lock));
		assert_int_equal(count_free(), SL_LOCK_COUNT - 1);
		sl_lock_release((enum sl_lock)lock);
		sl_lock_take((enum sl_lock)lock);
		assert_false(sl_lock_try((enum sl_lock)lock));
		sl_lock_release((enum sl_lock)lock);
	}
	assert_int_equal(count_free(), SL_LOCK_COUNT);
}

/* ---- contention ---- */

#define HOLDERS 4
#define HOLDS RACE_ROUNDS(50000u)

struct contention {
	uint64_t held; /* plain: only the lock keeps it right */
	_Atomic uint64_t tried;
	_Atomic unsigned inside;
	_Atomic unsigned crowded;
};

static void hold(unsigned index, void *context)
{
	struct contention *c = context;
	for (unsigned i = 0; i < HOLDS; i++) {
		if (index == 0 && !sl_lock_try(SL_LOCK_WORKER))
			continue; /* as hooks do: never wait */
		if (index != 0)
			sl_lock_take(SL_LOCK_WORKER);
		else
			c->tried++;
		c->crowded += c->inside++ != 0;
		c->held++;
		if (i % 1000 == 0)
			sched_yield();
		c->inside--;
		sl_lock_release(SL_LOCK_WORKER);
	}
}

static void threads_exclude_each_other(void **state)
{
	(void)state;
	struct contention c = {.held = 0};
	race(HOLDERS, hold, &c);
	assert_int_equal(c.crowded, 0);
	assert_int_equal(c.held, (HOLDERS - 1) * HOLDS + c.tried);
	assert_true(is_free(SL_LOCK_WORKER));
}

#define TURNS RACE_ROUNDS(800u)

/* Two take turns at a lock that one of them always waits for: a lost wake-up hangs, and alarm() ends it. */
static void take_turns(unsigned index, void *context)
{
	_Atomic unsigned *turn = context;
	for (unsigned i = 0; i < TURNS; i++)
		for (bool is_mine = false; !is_mine;) {
			sl_lock_take(SL_LOCK_JAVA);
			is_mine = *turn % 2 == index;
			*turn += is_mine;
			sl_lock_release(SL_LOCK_JAVA);
		}
}

static void no_wake_is_lost(void **state)
{
	(void)state;
	_Atomic unsigned turn = 0;
	race(2, take_turns, &turn);
	assert_int_equal(turn, 2 * TURNS);
}

/* ---- fork ---- */

static void fork_finds_all_locks_taken_and_leaves_them_free(void **state)
{
	(void)state;
	sl_locks_fork_prepare();
	assert_int_equal(count_free(), 0);
	pid_t child = fork();
	if (child == 0) {
		unsigned before = count_free();
		sl_locks_fork_done();
		_exit(before == 0 && count_free() == SL_LOCK_COUNT ? 0 : 1);
	}
	assert_int_equal(count_free(), 0);
	sl_locks_fork_done();
	assert_int_equal(count_free(), SL_LOCK_COUNT);
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A fork handler of the program that runs inside of ours may call what takes a lock. */
static void the_thread_that_forks_has_all(void **state)
{
	(void)state;
	sl_locks_fork_prepare();
	for (int lock = 0; lock < SL_LOCK_COUNT; lock++) {
		sl_lock_take((enum sl_lock)lock);
		sl_lock_release((enum sl_lock)lock);
	}
	assert_int_equal(count_free(), 0);
	sl_locks_forked(); /* a child that is found out between the two: its fork handler is still to come */
	assert_int_equal(count_free(), 0);
	sl_locks_fork_done();
	assert_int_equal(count_free(), SL_LOCK_COUNT);
}

struct ordering {
	int held; /* by racer 0 while racer 1 prepares to fork */
	struct meeting meeting;
	unsigned out_of_order;
};

static void prepare_against_a_holder(unsigned index, void *context)
{
	struct ordering *o = context;
	if (index == 1) {
		meet(&o->meeting, 2);
		sl_locks_fork_prepare();
		sl_locks_fork_done();
		return;
	}
	sl_lock_take((enum sl_lock)o->held);
	meet(&o->meeting, 2);
	/* It comes as far as the lock that is held, and waits there with all before it. */
	while (o->held > 0 && is_free(o->held - 1))
		sched_yield();
	for (int lock = 0; lock < SL_LOCK_COUNT; lock++)
		o->out_of_order += lock != o->held && is_free(lock) != (lock > o->held);
	sl_lock_release((enum sl_lock)o->held);
}

static void fork_takes_the_locks_in_the_order_of_the_table(void **state)
{
	(void)state;
	for (int held = 0; held < SL_LOCK_COUNT; held++) {
		struct ordering o = {.held = held};
		race(2, prepare_against_a_holder, &o);
		assert_int_equal(o.out_of_order, 0);
		assert_int_equal(count_free(), SL_LOCK_COUNT);
	}
}

static void hold_or_fork(unsigned index, void *context)
{
	_Atomic unsigned *inside = context;
	for (unsigned i = 0; i < RACE_ROUNDS(20000u); i++) {
		if (index == 0) {
			sl_locks_fork_prepare();
			inside[1] += inside[0] != 0;
			sl_locks_fork_done();
			continue;
		}
		enum sl_lock lock = (enum sl_lock)(i % SL_LOCK_COUNT);
		sl_lock_take(lock);
		inside[0]++;
		inside[0]--;
		sl_lock_release(lock);
	}
}

static void fork_waits_for_holders(void **state)
{
	(void)state;
	_Atomic unsigned inside[2] = {0, 0};
	race(3, hold_or_fork, inside);
	assert_int_equal(inside[1], 0);
	assert_int_equal(count_free(), SL_LOCK_COUNT);
}

static void a_child_without_a_handler_finds_them_free(void **state)
{
	(void)state;
	int status;
	for (int lock = 0; lock < SL_LOCK_COUNT; lock++)
		assert_true(
			sl_lock_try((enum sl_lock)lock)); /* as another thread would hold them */
	pid_t child = _Fork();
	assert_true(child >= 0);
	if (child == 0) {
		bool were_held = count_free() == 0;
		sl_locks_forked();
		_exit(were_held && count_free() == SL_LOCK_COUNT ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(count_free(), 0);
	sl_locks_fork_done();
}

static void spinning_takes_a_free_one_and_gives_up_a_held_one(void **state)
{
	(void)state;
	assert_true(sl_lock_spin((enum sl_lock)0));
	assert_false(sl_lock_spin((enum sl_lock)0));
	sl_lock_release((enum sl_lock)0);
	assert_int_equal(count_free(), SL_LOCK_COUNT);
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
		cmocka_unit_test(one_holder_each),
		cmocka_unit_test(threads_exclude_each_other),
		cmocka_unit_test(no_wake_is_lost),
		cmocka_unit_test(fork_finds_all_locks_taken_and_leaves_them_free),
		cmocka_unit_test(the_thread_that_forks_has_all),
		cmocka_unit_test(fork_takes_the_locks_in_the_order_of_the_table),
		cmocka_unit_test(fork_waits_for_holders),
		cmocka_unit_test(a_child_without_a_handler_finds_them_free),
		cmocka_unit_test(spinning_takes_a_free_one_and_gives_up_a_held_one),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
