/* turns.h - the ladder in a test program: turns at the test's own pace, and what they tell. Included once, by a test program, for
 * the clock is ahead.h's.
 */
#ifndef SL_TEST_TURNS_H
#define SL_TEST_TURNS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ahead.h"
#include "base/clock.h"
#include "base/options.h"
#include "ledger/sites.h"
#include "reclaim/reclaim.h"
#include "suspected.h"

#define TURN_MS 1000u
#define TURN_OPTIONS "interval=1s deadline=4s deadline_in=6s grace=2s "

static struct tcp_pair pair;
static struct sl_reclaim_counts counts; /* after the last turn */

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	start_clerk();
	sl_reclaim_start(told_note);
	return 0;
}

static void complain(const char *line)
{
	fail_msg("%s", line);
}

static void set_options(const char *text)
{
	char all[512];
	snprintf(all, sizeof(all), TURN_OPTIONS "%s", text);
	sl_options_defaults(&sl_options);
	assert_int_equal(sl_options_parse(&sl_options, all, complain), 0);
}

static int set_up(void **state)
{
	(void)state;
	suspected_reset();
	ahead_ms += 3600000;
	memset(&counts, 0, sizeof(counts));
	sl_reclaim_start(told_note);
	alarm(60);
	return 0;
}

/* The next interval's sweep and turn. However long they take in truth, the ladder takes no rest after them. */
static uint64_t turn(void)
{
	ahead_stop();
	ahead_ms += TURN_MS;
	uint64_t sleep_ms = suspected_turn(sl_clock_ms());
	ahead_go_on();
	sl_reclaim_counts(&counts);
	return sleep_ms;
}

__attribute__((unused)) static void turns(unsigned n)
{
	while (n-- > 0)
		(void)turn();
}

/* Until something of this kind is told; fails after ten turns. */
__attribute__((unused)) static const struct sl_event *turn_until(enum sl_event_kind kind)
{
	for (unsigned i = 0; i < 10; i++) {
		(void)turn();
		if (told_of(kind) > 0)
			return told_last(kind);
	}
	fail_msg("event %d was not told", kind);
	return NULL;
}

__attribute__((unused)) static void check_told(const char *file, int line,
                                               const enum sl_event_kind *kinds, unsigned n)
{
	for (unsigned i = 0; i < n && i < told_count; i++)
		if (told[i].kind != kinds[i])
			fail_msg("%s:%d: event %u is %d, wanted %d", file, line, i, told[i].kind,
			         kinds[i]);
	if (told_count != n)
		fail_msg("%s:%d: %u events were told, wanted %u", file, line, told_count, n);
}
#define CHECK_TOLD(...)                                                           \
	check_told(__FILE__, __LINE__, (const enum sl_event_kind[]){__VA_ARGS__}, \
	           sizeof((const enum sl_event_kind[]){__VA_ARGS__}) / sizeof(enum sl_event_kind))

__attribute__((unused)) static int open_one(void)
{
	struct tcp_pair other;
	suspected_open(&other);
	return other.client;
}

__attribute__((unused)) static unsigned shut_down_of(const int *fds, unsigned n)
{
	unsigned count = 0;
	for (unsigned i = 0; i < n; i++)
		count += (suspected_marks(fds[i]) & SL_MARK_ENDED) != 0;
	return count;
}

#endif
