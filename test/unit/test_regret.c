/* test_regret.c - we were wrong: noted by many threads at once, drawn together by the worker. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "captured.h"
#include "ledger/sites.h"
#include "racers.h"
#include "reclaim/regret.h"
#include "suspected.h"

#define MINUTE 60000u
#define START 100000000u
#define RING 64   /* places for those not drained yet */
#define FIRST 100 /* numbers that no fd has: a record is all it takes */
#define COOKIE 900000u

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	suspected_reset();
	capture_stderr();
	alarm(60);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)captured_stderr();
	return 0;
}

/* A connection that we ended, of this site; its head. */
static uint64_t ended(int fd, uint32_t site, uint32_t marks)
{
	tcp_record(fd, SUSPECTED_OUT, site);
	struct sl_fd_record record = suspected_record(fd);
	sl_fdtable_identify(fd, record.generation, COOKIE + (unsigned)fd, 17);
	assert_true(sl_fdtable_mark_held(fd, record.generation, marks));
	return atomic_load(&sl_fdtable_slot(fd)->head);
}

static uint64_t shut_down(int fd)
{
	return ended(fd, SL_SITE_NO_STACK, SL_MARK_GUARDED | SL_MARK_ENDED);
}

static void note_new(int fd)
{
	sl_regret_note(fd, shut_down(fd));
}

static void one(void **state)
{
	(void)state;
	uint64_t head = ended(FIRST, SL_SITE_ADOPTED, SL_MARK_GUARDED | SL_MARK_ENDED);
	sl_regret_note(FIRST, head);
	assert_int_equal(sl_regret_count(), 0);
	assert_int_equal(suspected_marks(FIRST) & SL_MARK_REGRETTED, SL_MARK_REGRETTED);
	/* The program may close it before anybody looks. */
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(FIRST);
	sl_fdtable_commit(&forgotten);
	sl_regret_drain(START, told_note);
	assert_int_equal(told_count, 1);
	assert_int_equal(told[0].kind, SL_EVENT_REGRETTED);
	assert_int_equal(told[0].fd, FIRST);
	assert_true(told[0].cookie == COOKIE + FIRST);
	assert_int_equal(told[0].peer, 17);
	assert_int_equal(told[0].site, SL_SITE_ADOPTED);
	assert_int_equal(told[0].rung, SL_RUNG_SHUTDOWN);
	assert_int_equal(told[0].quiet_ms, -1);
	assert_int_equal(sl_regret_count(), 1);
	assert_int_equal(sl_site_get(SL_SITE_ADOPTED)->regretted, 1);
	assert_int_equal(sl_site_get(SL_SITE_NO_STACK)->regretted, 0);
	assert_false(sl_regret_has_stopped_us());
	/* Once. */
	sl_regret_drain(START + 1, told_note);
	assert_int_equal(told_count, 1);
	assert_string_equal(captured_stderr(), "");
	capture_stderr();
}

/* Once for each socket, however often the program tries; the next one at the same number is another. */
static void once_each(void **state)
{
	(void)state;
	uint64_t head = shut_down(FIRST);
	for (int i = 0; i < 5; i++)
		sl_regret_note(FIRST, head);
	sl_regret_drain(START, told_note);
	sl_regret_note(FIRST, head);
	sl_regret_drain(START, told_note);
	assert_int_equal(sl_regret_count(), 1);
	note_new(FIRST);
	/* A call that began when the number was another socket's says nothing of this one. */
	sl_regret_note(FIRST, head);
	sl_regret_drain(START, told_note);
	assert_int_equal(sl_regret_count(), 2);
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(FIRST);
	sl_fdtable_commit(&forgotten);
	sl_regret_note(FIRST, head);
	sl_regret_note(-1, head);
	sl_regret_note(1 << 28, head);
	sl_regret_drain(START, told_note);
	assert_int_equal(sl_regret_count(), 2);
}

static void the_rung_that_was_reached(void **state)
{
	(void)state;
	sl_regret_note(FIRST, ended(FIRST, SL_SITE_NO_STACK,
	                            SL_MARK_GUARDED | SL_MARK_ENDED | SL_MARK_DEAD));
	sl_regret_drain(START, told_note);
	assert_int_equal(told_last(SL_EVENT_REGRETTED)->rung, SL_RUNG_NEUTRALIZE);
}

static void regret_at(uint64_t at_ms)
{
	static int fd = FIRST;
	note_new(fd++);
	sl_regret_drain(at_ms, told_note);
}

static void three_within_ten_minutes(void **state)
{
	(void)state;
	regret_at(START);
	regret_at(START + 5 * MINUTE);
	assert_false(sl_regret_has_stopped_us());
	assert_string_equal(captured_stderr(), "");
	capture_stderr();
	regret_at(START + 10 * MINUTE);
	assert_true(sl_regret_has_stopped_us());
	assert_int_equal(told_of(SL_EVENT_STOPPED), 1);
	assert_int_equal(told[told_count - 1].kind, SL_EVENT_STOPPED);
	assert_int_equal(told[told_count - 1].fd, -1);
	/* For good, and said once; counting goes on. */
	regret_at(START + 10 * MINUTE + 1);
	sl_regret_drain(START + 1000 * MINUTE, told_note);
	assert_true(sl_regret_has_stopped_us());
	assert_int_equal(told_of(SL_EVENT_STOPPED), 1);
	assert_int_equal(sl_regret_count(), 4);
	const char *said = captured_stderr();
	assert_int_equal(occurrences(said, "action=report from now on"), 1);
	assert_int_equal(occurrences(said, "\n"), 1);
	capture_stderr();
}

static void three_in_more_than_ten_minutes(void **state)
{
	(void)state;
	/* Any three in a row are too far apart. */
	for (uint64_t i = 0; i < 10; i++)
		regret_at(START + i * 5 * MINUTE + i);
	assert_false(sl_regret_has_stopped_us());
	assert_int_equal(sl_regret_count(), 10);
	/* The last two of those, and one more soon after. */
	regret_at(START + 50 * MINUTE);
	assert_true(sl_regret_has_stopped_us());
}

static void three_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		note_new(FIRST + i);
	sl_regret_drain(START, told_note);
	assert_true(sl_regret_has_stopped_us());
	assert_int_equal(told_of(SL_EVENT_REGRETTED), 3);
}

/* Those that find no place are counted without a name, and count for the end. */
static void a_full_ring(void **state)
{
	(void)state;
	for (int i = 0; i < RING + 6; i++)
		note_new(FIRST + i);
	sl_regret_drain(START, told_note);
	assert_int_equal(sl_regret_count(), RING + 6);
	assert_int_equal(told_of(SL_EVENT_REGRETTED), RING + 6);
	unsigned nameless = 0;
	for (unsigned i = 0; i < told_count; i++)
		nameless += told[i].kind == SL_EVENT_REGRETTED && told[i].fd == -1 &&
		            told[i].cookie == 0 && told[i].site == 0;
	assert_int_equal(nameless, 6);
	assert_int_equal(sl_site_get(SL_SITE_NO_STACK)->regretted, RING);
	assert_true(sl_regret_has_stopped_us());
	/* There is room again. */
	told_forget();
	note_new(FIRST);
	sl_regret_drain(START, told_note);
	assert_int_equal(told_last(SL_EVENT_REGRETTED)->fd, FIRST);
}

static void a_child_starts_anew(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		regret_at(START);
	for (int i = 0; i < RING + 1; i++)
		note_new(FIRST + i);
	assert_true(sl_regret_has_stopped_us());
	sl_regret_forked();
	assert_false(sl_regret_has_stopped_us());
	assert_int_equal(sl_regret_count(), 0);
	told_forget();
	sl_regret_drain(START, told_note);
	assert_int_equal(told_count, 0);
	regret_at(START);
	regret_at(START);
	assert_false(sl_regret_has_stopped_us());
	assert_int_equal(sl_regret_count(), 2);
}

/* ---- many threads, and the worker that drains meanwhile ---- */

enum { NOTERS = 6, EACH = 40 };

struct noting {
	uint64_t heads[NOTERS * EACH];
	_Atomic unsigned noted;
	_Atomic unsigned wrong;
	unsigned drained;
};

static struct noting *now_noting;

static void note_and_check(const struct sl_event *event)
{
	if (event->kind != SL_EVENT_REGRETTED)
		return;
	now_noting->drained++;
	/* Whole, or nameless: never the half of one and the half of another. */
	if (event->fd >= 0 && (event->cookie != COOKIE + (unsigned)event->fd ||
	                       event->site != SL_SITE_NO_STACK || event->peer != 17))
		atomic_fetch_add(&now_noting->wrong, 1);
}

static void note_or_drain(unsigned index, void *context)
{
	struct noting *noting = context;
	if (index == 0) {
		while (atomic_load(&noting->noted) < NOTERS * EACH)
			sl_regret_drain(START, note_and_check);
		return;
	}
	for (unsigned i = 0; i < EACH; i++) {
		unsigned which = (index - 1) * EACH + i;
		sl_regret_note(FIRST + (int)which, noting->heads[which]);
		atomic_fetch_add(&noting->noted, 1);
	}
}

static void noted_at_once(void **state)
{
	(void)state;
	static struct noting noting;
	now_noting = &noting;
	for (unsigned round = 0; round < RACE_ROUNDS(40); round++) {
		sl_regret_forked();
		atomic_store(&noting.noted, 0);
		noting.drained = 0;
		for (int i = 0; i < NOTERS * EACH; i++)
			noting.heads[i] = shut_down(FIRST + i);
		race(NOTERS + 1, note_or_drain, &noting);
		sl_regret_drain(START, note_and_check);
		assert_int_equal(noting.drained, NOTERS * EACH);
		assert_int_equal(sl_regret_count(), NOTERS * EACH);
		assert_int_equal(noting.wrong, 0);
	}
}

/* The same socket, by all of them at once: one regret. */
static void note_the_same(unsigned index, void *context)
{
	(void)index;
	sl_regret_note(FIRST, *(uint64_t *)context);
}

static void the_same_at_once(void **state)
{
	(void)state;
	for (unsigned round = 1; round <= RACE_ROUNDS(200); round++) {
		uint64_t head = shut_down(FIRST);
		race(4, note_the_same, &head);
		sl_regret_drain(START, told_note);
		assert_int_equal(sl_regret_count(), round);
		told_forget();
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one),
		TEST(once_each),
		TEST(the_rung_that_was_reached),
		TEST(three_within_ten_minutes),
		TEST(three_in_more_than_ten_minutes),
		TEST(three_at_once),
		TEST(a_full_ring),
		TEST(a_child_starts_anew),
		TEST(noted_at_once),
		TEST(the_same_at_once),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
