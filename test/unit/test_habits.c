/* test_habits.c - after how long a peer closes what is idle: the numbers, and the words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "report/text_habit.h"
#include "watch/habits.h"
#include "watch/kernel.h"

#include "watch/table.h"

static int set_up(void **state)
{
	(void)state;
	sl_pool_reset(&sl_worker_pool);
	sl_habits_forked();
	return 0;
}

static void of_sorted(void **state)
{
	(void)state;
	int64_t times_ms[100];
	for (int i = 0; i < 100; i++)
		times_ms[i] = i + 1;
	struct sl_habit habit = sl_habit_of(times_ms, 100);
	assert_int_equal(habit.p10_ms, 10);
	assert_int_equal(habit.p50_ms, 51);
	assert_int_equal(habit.p90_ms, 91);
	assert_int_equal(habit.count, 100);
	habit = sl_habit_of(times_ms + 6, 1);
	assert_int_equal(habit.p10_ms, 7);
	assert_int_equal(habit.p50_ms, 7);
	assert_int_equal(habit.p90_ms, 7);
}

static void of_the_latest(void **state)
{
	(void)state;
	struct sl_habit habit;
	assert_false(sl_habits_of_peer(3, &habit));
	sl_habits_note(0, 15000);
	assert_false(sl_habits_of_peer(0, &habit));
	for (int i = 0; i < 1000; i++)
		sl_habits_note(3, 5000);
	for (uint32_t i = 0; i < SL_HABIT_KEPT; i++)
		sl_habits_note(3, 15000 - i);
	sl_habits_note(4, 70);
	assert_true(sl_habits_of_peer(3, &habit));
	assert_int_equal(habit.count, SL_HABIT_KEPT);
	assert_int_equal(habit.p50_ms, 15000 - SL_HABIT_KEPT / 2 + 1);
	assert_int_equal(habit.p10_ms, 15000 - SL_HABIT_KEPT + 1 + (SL_HABIT_KEPT - 1) / 10);
	assert_true(sl_habits_of_peer(4, &habit));
	assert_int_equal(habit.count, 1);
	assert_int_equal(habit.p50_ms, 70);
}

static void in_words(void **state)
{
	(void)state;
	const struct {
		enum sl_direction direction;
		int64_t p10, p50, p90;
		uint64_t count;
		const char *words, *counted;
		int64_t least_ms;
	} rows[] = {
		{SL_DIRECTION_OUT, SL_UNKNOWN, SL_UNKNOWN, SL_UNKNOWN, 0, "", "", SL_UNKNOWN},
		{SL_DIRECTION_OUT, 14990, 15000, 15011, 11641, ", which closes after 15.0s idle",
	         " (p50 of 11641)", 15000},
		{SL_DIRECTION_OUT, 15000, 15000, 15000, 1, ", which closes after 15.0s idle", "",
	         15000},
		{SL_DIRECTION_OUT, 12000, 15000, 18500, 40,
	         ", which closes after 12.0s to 18.5s idle", " (8 in 10 of 40)", 12000},
		/* Within what a timer's grain, or a fifth, explains. */
		{SL_DIRECTION_OUT, 1000, 1500, 2000, 40, ", which closes after 1.5s idle",
	         " (p50 of 40)", 1500},
		{SL_DIRECTION_OUT, 55000, 60000, 66000, 40, ", which closes after 1min idle",
	         " (p50 of 40)", 60000},
		{SL_DIRECTION_OUT, 0, 1, 99, 40, ", which closes at once after each answer",
	         " (p50 of 40)", 1},
		{SL_DIRECTION_OUT, 1, 1, 1, 1, ", which closes after 1ms idle", "", 1},
		{SL_DIRECTION_OUT, 0, 1, 100, 40, ", which closes after 1ms idle", " (p50 of 40)",
	         1},
		{SL_DIRECTION_IN, 0, 1, 2, 40, ", which close after 1ms idle", " (p50 of 40)", 1},
		/* A snapshot of an older library has the middle only. */
		{SL_DIRECTION_OUT, SL_UNKNOWN, 15000, SL_UNKNOWN, 0,
	         ", which closes after 15.0s idle", "", 15000},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_text_line line;
		struct sl_snapshot_peer peer = {
			.direction = rows[i].direction,
			.address = "10.0.0.1",
			.idle_before_fin_ms_p10 = rows[i].p10,
			.idle_before_fin_ms_p50 = rows[i].p50,
			.idle_before_fin_ms_p90 = rows[i].p90,
			.idle_before_fin_count = rows[i].count,
		};
		sl_text_line_start(&line, false);
		sl_text_habit(&line, &peer);
		line.bytes[line.out.length] = '\0';
		assert_string_equal(line.bytes, rows[i].words);
		sl_text_line_start(&line, false);
		sl_text_habit_count(&line, &peer);
		line.bytes[line.out.length] = '\0';
		assert_string_equal(line.bytes, rows[i].counted);
		assert_true(sl_text_habit_least_ms(&peer) == rows[i].least_ms);
	}
}

static void idle_before_the_fin(void **state)
{
	(void)state;
	const uint32_t never = 40u * 24 * 3600 * 1000;
	const struct {
		uint32_t sent_ms, recv_ms, ack_ms, unread_bytes;
		uint64_t bytes_sent;
		int64_t idle_ms;
	} rows[] = {
		{16500, 16000, 1000, 0, 100, 15000},
		{16500, 16000, 1000, 5000, 100, 15000}, /* the answer, never read */
		{16500, never, 1000, 0, 100, -1},
		{16500, 500, 1000, 0, 100, -1},
		/* The goodbye came with the FIN. */
		{16500, 1000, 1000, 31, 100, 15500},
		{16500, 1100, 1000, 1024, 100, 15500},
		{16500, 1101, 1000, 31, 100, 101},
		{16500, 1000, 1000, 1025, 100, 0},
		{16500, 1000, 1000, 0, 100,
	         0},                           /* it was read: an answer with "Connection: close" */
		{16500, 1000, 1000, 31, 0, 0}, /* a server that greets and closes */
		{never, 1000, 1000, 31, 100, 0},
		{900, 1000, 1000, 31, 100, 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sl_kernel_tcp tcp = {.last_data_sent_ms = rows[i].sent_ms,
		                                  .last_data_recv_ms = rows[i].recv_ms,
		                                  .last_ack_recv_ms = rows[i].ack_ms,
		                                  .bytes_sent = rows[i].bytes_sent};
		if (sl_habit_idle_ms(&tcp, rows[i].unread_bytes) != rows[i].idle_ms)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(of_sorted, set_up),
		cmocka_unit_test_setup(of_the_latest, set_up),
		cmocka_unit_test_setup(in_words, set_up),
		cmocka_unit_test_setup(idle_before_the_fin, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
