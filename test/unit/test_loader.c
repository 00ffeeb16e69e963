/* test_loader.c - the gate between stack walks and fork. Each test is a process of its own: a gate that is closed for good
 * stays so. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/process.h"
#include "child.h"
#include "stack/loader.h"

#define PATIENCE_MS 5000
#define WAIT_MS 20 /* what loader.h promises at most, each time */
#define ERRNO_BEFORE 4321

static void pause_ms(unsigned ms)
{
	struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
	(void)nanosleep(&time, NULL);
}

static _Atomic bool is_in, may_leave, has_left;

static void *stay_inside(void *unused)
{
	CHECK(sl_loader_enter());
	is_in = true;
	while (!may_leave)
		pause_ms(1);
	has_left = true;
	sl_loader_leave();
	return unused;
}

static pthread_t put_inside(void)
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, stay_inside, NULL) == 0);
	while (!is_in) /* the child has its alarm */
		pause_ms(1);
	return thread;
}

static void enter_and_leave(void)
{
	CHECK(sl_loader_enter());
	sl_loader_leave();
}

static void open_child(void)
{
	errno = ERRNO_BEFORE;
	CHECK(sl_loader_enter());
	CHECK(sl_loader_enter()); /* a signal handler, say */
	sl_loader_leave();
	sl_loader_leave();
	enter_and_leave();
	CHECK(errno == ERRNO_BEFORE);
}

static void in_and_out(void **state)
{
	(void)state;
	in_child(open_child);
}

static void prepare_child(void)
{
	errno = ERRNO_BEFORE;
	sl_loader_hold(SL_LOADER_FORK_MS);
	uint64_t before_ms = sl_clock_ms();
	CHECK(!sl_loader_enter());
	uint64_t waited_ms = sl_clock_ms() - before_ms;
	CHECK(waited_ms >= WAIT_MS - 1 && waited_ms < PATIENCE_MS);
	sl_loader_release();
	enter_and_leave();
	/* Nobody was counted in who was turned away: the next fork does not wait. Each would; one may be late on a busy machine. */
	unsigned at_once = 0;
	for (int i = 0; i < 5; i++) {
		before_ms = sl_clock_ms();
		sl_loader_hold(SL_LOADER_FORK_MS);
		at_once += sl_clock_ms() - before_ms < WAIT_MS - 1;
		sl_loader_release();
	}
	CHECK(at_once > 0);
	CHECK(errno == ERRNO_BEFORE);
}

static void closed_while_forking(void **state)
{
	(void)state;
	in_child(prepare_child);
}

static void *leave_soon(void *unused)
{
	pause_ms(3);
	may_leave = true;
	return unused;
}

static void waits_child(void)
{
	pthread_t inside = put_inside(), other;
	CHECK(pthread_create(&other, NULL, leave_soon, NULL) == 0);
	/* Bounded: where the machine is too slow to let it leave in time, a turn more. */
	bool had_left = false;
	for (int i = 0; i < 100 && !had_left; i++) {
		sl_loader_hold(SL_LOADER_FORK_MS);
		had_left = has_left;
		sl_loader_release();
	}
	CHECK(had_left);
	CHECK(pthread_join(inside, NULL) == 0 && pthread_join(other, NULL) == 0);
	enter_and_leave();
}

static void fork_waits_for_who_is_inside(void **state)
{
	(void)state;
	in_child(waits_child);
}

static void bounded_child(void)
{
	pthread_t inside = put_inside();
	uint64_t before_ms = sl_clock_ms();
	sl_loader_hold(SL_LOADER_FORK_MS);
	uint64_t waited_ms = sl_clock_ms() - before_ms;
	CHECK(waited_ms >= WAIT_MS - 1 && waited_ms < PATIENCE_MS);
	CHECK(!has_left);
	sl_loader_release();
	may_leave = true;
	CHECK(pthread_join(inside, NULL) == 0);
	enter_and_leave();
}

static void but_not_for_ever(void **state)
{
	(void)state;
	in_child(bounded_child);
}

static void sandbox_child(void)
{
	pthread_t inside = put_inside(), other;
	CHECK(pthread_create(&other, NULL, leave_soon, NULL) == 0);
	sl_loader_hold(PATIENCE_MS);
	CHECK(has_left);
	sl_loader_release(); /* it was no filter */
	CHECK(pthread_join(inside, NULL) == 0 && pthread_join(other, NULL) == 0);
	enter_and_leave();
	sl_loader_hold(PATIENCE_MS);
	sl_loader_close();
	uint64_t before_ms = sl_clock_ms();
	for (int i = 0; i < 1000; i++)
		CHECK(!sl_loader_enter());
	CHECK(sl_clock_ms() - before_ms < PATIENCE_MS); /* without a wait */
	sl_loader_release();
	sl_loader_try();
	CHECK(!sl_loader_enter());
	sl_loader_forked();
	CHECK(!sl_loader_enter());
}

static void a_sandbox_has_it_closed_for_good(void **state)
{
	(void)state;
	in_child(sandbox_child);
}

static void *wait_to_enter(void *result)
{
	is_in = true;
	*(bool *)result = sl_loader_enter();
	if (*(bool *)result)
		sl_loader_leave();
	return NULL;
}

/* Whoever waits for a fork under way goes in once it is over. */
static void goes_on_child(void)
{
	bool has_entered = false;
	for (int i = 0; i < 100 && !has_entered; i++) {
		pthread_t thread;
		is_in = false;
		sl_loader_hold(SL_LOADER_FORK_MS);
		CHECK(pthread_create(&thread, NULL, wait_to_enter, &has_entered) == 0);
		while (!is_in)
			pause_ms(0);
		sl_loader_release();
		CHECK(pthread_join(thread, NULL) == 0);
	}
	CHECK(has_entered);
}

static void who_waits_goes_in(void **state)
{
	(void)state;
	in_child(goes_on_child);
}

/* A jump out of a handler has left it inside: it is there once all the same, and goes out at the end of its next walk. */
static void left_behind_child(void)
{
	for (int i = 0; i < 5; i++)
		CHECK(sl_loader_enter());
	sl_loader_leave();
	uint64_t before_ms = sl_clock_ms();
	for (int i = 0; i < 100; i++) {
		sl_loader_hold(SL_LOADER_FORK_MS);
		sl_loader_release();
	}
	CHECK(sl_clock_ms() - before_ms < 100 * (WAIT_MS - 1));
	sl_loader_leave(); /* not inside */
	CHECK(sl_loader_enter());
	sl_loader_leave();
}

static void who_was_left_behind_is_inside_once(void **state)
{
	(void)state;
	in_child(left_behind_child);
}

/* ---- the child ---- */

static void is_open_in_child(void)
{
	sl_loader_forked();
	enter_and_leave();
}

static void quiet_fork_child(void)
{
	sl_loader_hold(SL_LOADER_FORK_MS);
	CHECK(child_status(is_open_in_child) == 0);
	sl_loader_release();
	CHECK(child_status(is_open_in_child) == 0); /* nobody told of this one */
	enter_and_leave();
}

static void a_child_has_it_open(void **state)
{
	(void)state;
	in_child(quiet_fork_child);
}

static void is_still_closed(void)
{
	sl_loader_forked();
	CHECK(!sl_loader_enter());
}

static void is_closed_in_child(void)
{
	sl_loader_forked();
	uint64_t before_ms = sl_clock_ms();
	for (int i = 0; i < 1000; i++)
		CHECK(!sl_loader_enter());
	CHECK(sl_clock_ms() - before_ms < PATIENCE_MS); /* without a wait */
	/* Its own forks change nothing: the locks are as they were. */
	sl_loader_hold(SL_LOADER_FORK_MS);
	CHECK(child_status(is_still_closed) == 0);
	sl_loader_release();
	CHECK(!sl_loader_enter());
	sl_loader_forked();
	CHECK(!sl_loader_enter());
}

static void caught_fork_child(void)
{
	pthread_t inside = put_inside();
	sl_loader_hold(SL_LOADER_FORK_MS);
	CHECK(child_status(is_closed_in_child) == 0);
	sl_loader_release();
	CHECK(child_status(is_closed_in_child) == 0); /* nobody told of this one */
	enter_and_leave();                            /* here all is well */
	may_leave = true;
	CHECK(pthread_join(inside, NULL) == 0);
	enter_and_leave();
}

static void a_child_of_a_walk_has_it_closed_for_good(void **state)
{
	(void)state;
	in_child(caught_fork_child);
}

static void tries_in_child(void)
{
	sl_loader_forked();
	CHECK(!sl_loader_enter());
	sl_loader_forked(); /* found out twice */
	CHECK(!sl_loader_enter());
	sl_loader_try();
	enter_and_leave();
	sl_loader_try();
	enter_and_leave();
}

static void does_not_try_in_child(void)
{
	CHECK(sl_process_is_ours()); /* finds out that it is a child */
	sl_loader_forked();
	sl_loader_try();
	CHECK(!sl_loader_enter());
}

/* Any thread of the program may have held the lock of the loader's list. */
static void threads_child(void)
{
	sl_process_start(NULL);
	sl_process_note_threads();
	sl_loader_try();
	enter_and_leave();
	sl_loader_hold(SL_LOADER_FORK_MS);
	CHECK(child_status(tries_in_child) == 0);
	sl_loader_release();
	CHECK(child_status(does_not_try_in_child) == 0);
	enter_and_leave();
}

static void a_child_of_threads_has_it_closed_until_one_is_through(void **state)
{
	(void)state;
	in_child(threads_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_and_out),
		cmocka_unit_test(closed_while_forking),
		cmocka_unit_test(fork_waits_for_who_is_inside),
		cmocka_unit_test(but_not_for_ever),
		cmocka_unit_test(a_sandbox_has_it_closed_for_good),
		cmocka_unit_test(who_waits_goes_in),
		cmocka_unit_test(who_was_left_behind_is_inside_once),
		cmocka_unit_test(a_child_has_it_open),
		cmocka_unit_test(a_child_of_a_walk_has_it_closed_for_good),
		cmocka_unit_test(a_child_of_threads_has_it_closed_until_one_is_through),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
