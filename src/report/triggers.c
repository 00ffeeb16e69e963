#include "report/triggers.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/clerk.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "reclaim/reclaim.h"
#include "reclaim/rescue.h"
#include "report/events.h"
#include "report/gather.h"
#include "report/sinks.h"
#include "report/totals.h"
#include "report/warnings.h"
#include "stack/java.h"
#include "stack/names.h"
#include "watch/adopt.h"
#include "watch/evidence.h"
#include "watch/growth.h"
#include "watch/ports.h"
#include "watch/sweep.h"

#include "base/poison.h"

/* Between two listings of all fds, for sockets that nobody saw open and for the limit: rarer where it costs more. */
#define SL_SCAN_GAP_MS 5000
#define SL_SCAN_MANY_GAP_MS 30000
#define SL_SCAN_MANY 2000
#define SL_PRESSURES 16
#define SL_PRESSURE_GAP_MS 60000
#define SL_DELIVERY_WAIT_MS 2000
#define SL_LATE_SLACK_MS 250

static uint64_t swept_at_ms;
static uint64_t scanned_at_ms;
static uint64_t reported_at_ms; /* by every= */
static int64_t open_fds = -1;
/* What had its report, and when. */
static struct {
	struct sl_pressure what;
	uint64_t at_ms;
} reported[SL_PRESSURES];
static uint64_t next_sweep_ms =
	UINT64_MAX; /* wanted before the interval is over; UINT64_MAX: not */
static bool was_late;

static void sweep(uint64_t now_ms)
{
	uint64_t gap_ms = open_fds > SL_SCAN_MANY ? SL_SCAN_MANY_GAP_MS : SL_SCAN_GAP_MS;
	if (scanned_at_ms == 0 || now_ms - scanned_at_ms >= gap_ms) {
		scanned_at_ms = now_ms;
		open_fds = sl_adopt_scan(now_ms);
	}
	sl_sweep((uint64_t)sl_options.deadline_ms, now_ms);
	sl_names_native();
}

/* The process may have been stopped since the last sweep: it gets this one to react in. A machine that is always slow must not
 * lose the mitigation for that. */
static bool is_late(uint64_t now_ms)
{
	bool late =
		swept_at_ms != 0 &&
		now_ms - swept_at_ms > 2 * sl_options_interval_ms(&sl_options) + SL_LATE_SLACK_MS;
	bool first = late && !was_late;
	was_late = late;
	return first;
}

/* Everything that follows a sweep, whether it was one of a report or not. */
static void after_sweep(uint64_t now_ms)
{
	next_sweep_ms = sl_reclaim_turn(now_ms, is_late(now_ms));
	sl_events_flush();
	swept_at_ms = now_ms;
	sl_totals_publish(now_ms);
	sl_java_look();
	sl_growth_sample(now_ms);
	sl_evidence_sample(now_ms);
	sl_ports_sample(now_ms, open_fds);
	sl_warnings_look(now_ms, open_fds);
}

/* One report at a time is under way: its memory is the clerk's while that writes files. */
static struct delivery {
	struct sl_arena arena;
	struct sl_snapshot snapshot;
	bool is_open; /* memory to free */
} delivery = {.arena = SL_ARENA(1u << 20, 0)};

static void write_files(void *unused)
{
	(void)unused;
	sl_sinks_write_files(&delivery.snapshot);
}

/* False: the clerk still has it. */
static bool end_delivery(void)
{
	if (!delivery.is_open)
		return true;
	if (sl_clerk_is_busy())
		return false;
	sl_arena_free(&delivery.arena);
	delivery.is_open = false;
	sl_sinks_say();
	return true;
}

static void nothing(void *unused)
{
	(void)unused;
}

/* A report while the last one is still being written, on a disk that hangs, is not made: it would say the same. */
static void report(enum sl_trigger trigger, const struct sl_pressure *pressure)
{
	bool is_begun;
	if (!end_delivery() &&
	    (!sl_clerk_do(nothing, NULL, SL_DELIVERY_WAIT_MS, &is_begun) || !end_delivery()))
		return;
	delivery.is_open = true;
	sl_gather(&delivery.arena, trigger, pressure, &delivery.snapshot);
	if (delivery.snapshot.limits.nofile_used != SL_UNKNOWN)
		open_fds = delivery.snapshot.limits.nofile_used;
	sl_sinks_write_stderr(&delivery.snapshot);
	if (sl_sinks_want_files() &&
	    !sl_clerk_do(write_files, NULL, SL_DELIVERY_WAIT_MS, &is_begun) && !is_begun)
		sl_sinks_no_files();
	(void)end_delivery();
}

/* Has this error, to this destination, had its report within the last minute? One may be harmless (::1 where IPv6 is off says
 * EADDRNOTAVAIL too) and must not hide the other. */
static bool is_news(const struct sl_pressure *pressure, uint64_t now_ms)
{
	unsigned oldest = 0;
	for (unsigned i = 0; i < SL_PRESSURES; i++) {
		const struct sl_pressure *known = &reported[i].what;
		if (known->error == pressure->error && known->dest == pressure->dest &&
		    now_ms - reported[i].at_ms < SL_PRESSURE_GAP_MS)
			return false;
		if (reported[i].at_ms < reported[oldest].at_ms)
			oldest = i;
	}
	if (reported[oldest].what.error != 0 &&
	    now_ms - reported[oldest].at_ms < SL_PRESSURE_GAP_MS)
		return false; /* that many different ones in a minute: enough is said */
	reported[oldest].what = *pressure;
	reported[oldest].at_ms = now_ms;
	if ((pressure->error == EMFILE || pressure->error == ENFILE) && !sl_rescue_has_freed_fds())
		sl_log("out of file descriptors (", pressure->error == EMFILE ? "EMFILE" : "ENFILE",
		       "): a call of the program failed; raise_nofile=N raises its limit, only "
		       "action=close "
		       "gives numbers back",
		       NULL);
	sl_events_tell(&(struct sl_event){.kind = SL_EVENT_PRESSURE,
	                                  .fd = -1,
	                                  .peer = pressure->dest,
	                                  .quiet_ms = -1,
	                                  .error = pressure->error});
	return true;
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
	if ((wanted & SL_WANTED_BY_PRESSURE) && is_news(pressure, now_ms)) {
		report(SL_TRIGGER_PRESSURE, pressure);
		has_reported = true;
	}
	if (wanted & SL_WANTED_BY_SIGNAL) {
		report(SL_TRIGGER_SIGNAL, &none);
		has_reported = true;
	}
	if (wanted & SL_WANTED_BY_PROGRAM) {
		report(SL_TRIGGER_COMMAND, &none);
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

void sl_triggers_snapshot(struct sl_arena *arena, struct sl_snapshot *snapshot)
{
	const struct sl_pressure none = {0};
	uint64_t now_ms = sl_clock_ms();
	sl_gather(arena, SL_TRIGGER_COMMAND, &none, snapshot);
	if (snapshot->limits.nofile_used != SL_UNKNOWN)
		open_fds = snapshot->limits.nofile_used;
	after_sweep(now_ms);
}

uint64_t sl_triggers_turn(unsigned wanted, const struct sl_pressure *pressure)
{
	uint64_t now_ms = sl_clock_ms();
	uint64_t interval_ms = sl_options_interval_ms(&sl_options);
	if (reported_at_ms == 0)
		reported_at_ms = now_ms;
	(void)end_delivery(); /* of a report that took long to write */
	sl_reclaim_listen(now_ms);
	/* First those who wait. What they swept is no sweep of ours: it acts on nothing else. */
	if (sl_rescue_turn(now_ms))
		sl_events_flush();
	if (next_sweep_ms < interval_ms)
		interval_ms = next_sweep_ms;
	if (report_what_is_due(wanted, pressure, now_ms)) {
		after_sweep(now_ms);
	} else if (now_ms - swept_at_ms >= interval_ms) {
		sweep(now_ms);
		after_sweep(now_ms);
	}
	if (next_sweep_ms < interval_ms)
		interval_ms = next_sweep_ms;
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
	memset(reported, 0, sizeof(reported));
	next_sweep_ms = UINT64_MAX;
	was_late = false;
	delivery = (struct delivery){.arena = SL_ARENA(1u << 20, 0)};
	sl_totals_forked();
	sl_warnings_forked();
}
