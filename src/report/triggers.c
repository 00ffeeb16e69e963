#include "report/triggers.h"

#include <errno.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/ownfd.h"
#include "report/gather.h"
#include "report/sinks.h"
#include "report/warnings.h"
#include "stack/java.h"
#include "stack/names.h"
#include "watch/adopt.h"
#include "watch/growth.h"
#include "watch/sweep.h"

#include "base/poison.h"

#define SL_SCAN_GAP_MS 30000 /* between two looks for sockets that nobody saw open */
#define SL_PRESSURES 3

static uint64_t swept_at_ms;
static uint64_t scanned_at_ms;
static uint64_t reported_at_ms; /* by every= */
static int64_t open_fds = -1;
static int pressures_reported[SL_PRESSURES]; /* errors that had their report: one each in a life */

static void sweep(uint64_t now_ms)
{
	if (scanned_at_ms == 0 || now_ms - scanned_at_ms >= SL_SCAN_GAP_MS) {
		scanned_at_ms = now_ms;
		open_fds = sl_adopt_scan(now_ms);
	}
	sl_sweep((uint64_t)sl_options.deadline_ms, now_ms);
	sl_names_native();
}

/* Everything that follows a sweep, whether it was one of a report or not. */
static void after_sweep(uint64_t now_ms)
{
	swept_at_ms = now_ms;
	sl_java_look();
	sl_ownfd_reserve();
	sl_growth_sample(now_ms);
	if (open_fds >= 0)
		sl_growth_sample_fds(now_ms, (uint32_t)open_fds);
	sl_warnings_look(now_ms, open_fds);
}

static void report(enum sl_trigger trigger, const struct sl_pressure *pressure)
{
	struct sl_arena arena = SL_ARENA(1u << 20, 0);
	struct sl_snapshot snapshot;
	sl_gather(&arena, trigger, pressure, &snapshot);
	sl_sinks_write(&snapshot);
	sl_arena_free(&arena);
}

/* The first time that this error comes? */
static bool is_news(int error)
{
	for (unsigned i = 0; i < SL_PRESSURES; i++) {
		if (pressures_reported[i] == error)
			return false;
		if (pressures_reported[i] == 0) {
			pressures_reported[i] = error;
			return true;
		}
	}
	return false;
}

static bool is_interval_due(uint64_t now_ms)
{
	if (sl_options.every_ms == SL_OFF ||
	    now_ms - reported_at_ms < (uint64_t)sl_options.every_ms)
		return false;
	reported_at_ms = now_ms;
	return true;
}

static bool report_what_is_due(unsigned wanted, const struct sl_pressure *pressure, uint64_t now_ms)
{
	const struct sl_pressure none = {0};
	bool has_reported = false;
	if ((wanted & SL_WANTED_BY_PRESSURE) && is_news(pressure->error)) {
		report(SL_TRIGGER_PRESSURE, pressure);
		has_reported = true;
	}
	if (wanted & SL_WANTED_BY_SIGNAL) {
		report(SL_TRIGGER_SIGNAL, &none);
		has_reported = true;
	}
	if (wanted & SL_WANTED_BY_EXIT) {
		report(SL_TRIGGER_EXIT, &none);
		has_reported = true;
	}
	if (is_interval_due(now_ms)) {
		report(SL_TRIGGER_INTERVAL, &none);
		has_reported = true;
	}
	return has_reported;
}

uint64_t sl_triggers_turn(unsigned wanted, const struct sl_pressure *pressure)
{
	uint64_t now_ms = sl_clock_ms();
	uint64_t interval_ms = sl_options_interval_ms(&sl_options);
	if (reported_at_ms == 0)
		reported_at_ms = now_ms;
	if (report_what_is_due(wanted, pressure, now_ms)) {
		after_sweep(now_ms);
	} else if (now_ms - swept_at_ms >= interval_ms) {
		sweep(now_ms);
		after_sweep(now_ms);
	}
	uint64_t elapsed_ms = sl_clock_ms() - swept_at_ms;
	uint64_t sleep_ms = elapsed_ms < interval_ms ? interval_ms - elapsed_ms : 1;
	if (sl_options.every_ms != SL_OFF) {
		uint64_t since_ms = sl_clock_ms() - reported_at_ms;
		uint64_t every_ms = (uint64_t)sl_options.every_ms;
		uint64_t left_ms = since_ms < every_ms ? every_ms - since_ms : 1;
		sleep_ms = left_ms < sleep_ms ? left_ms : sleep_ms;
	}
	return sleep_ms;
}

void sl_triggers_forked(void)
{
	swept_at_ms = scanned_at_ms = reported_at_ms = 0;
	open_fds = -1;
	for (unsigned i = 0; i < SL_PRESSURES; i++)
		pressures_reported[i] = 0;
	sl_warnings_forked();
}
