#include "report/events.h"

#include <errno.h>
#include <string.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/options.h"
#include "report/complaints.h"
#include "report/event_line.h"
#include "report/sinks.h"

#include "base/poison.h"

#define SL_BATCH_BYTES (128u << 10) /* some 350 lines */
#define SL_CLERK_WAIT_MS 50
#define SL_HOUR_OF_MS 3600000u
#define SL_REFUSED_GAP_MS \
	60000 /* between two tries to say what was dropped, where the budget refused it */

/* Lines on their way. One batch is filled by the worker while the clerk writes the other. */
struct batch {
	struct sl_sinks_lines lines;
	char bytes[SL_BATCH_BYTES];
};

static struct batch batches[2];
static unsigned filling; /* index: the worker's own; the other is given away, or empty */
static bool
	is_given; /* the other one is the clerk's while that is busy, and not yet written in full */
static bool is_blocked;           /* it took nothing: not tried again before the next flush */
static uint64_t dropped;          /* lines that no line has told of yet */
static uint64_t refused_until_ms; /* the budget: not asked for the line of the dropped before */
static uint64_t hour, hour_bytes; /* our share of the budget */

static void write_batch(void *context)
{
	struct batch *batch = context;
	sl_sinks_append_events(&batch->lines);
}

static void nothing(void *unused)
{
	(void)unused;
}

/* The clerk is idle: whatever it had is ours again. */
static bool is_clerk_free(bool may_wait)
{
	bool is_begun;
	return !sl_clerk_is_busy() ||
	       (may_wait && sl_clerk_do(nothing, NULL, SL_CLERK_WAIT_MS, &is_begun));
}

static void give_away(void)
{
	struct batch *batch = &batches[filling];
	batch->lines.bytes = batch->bytes;
	batch->lines.written = 0;
	batch->lines.error = 0;
	is_given = true;
	filling ^= 1;
	batches[filling].lines.length = 0;
}

/* Nothing is lost while there is room to gather: a slow reader is worth a complaint only then. */
static void complain(int error)
{
	if (!sl_clerk_is_there())
		sl_complaints_note(SL_COMPLAINT_EVENTS, sl_options.events, -ENOSYS);
	else if (error == -EAGAIN && dropped > 0)
		sl_complaints_note(SL_COMPLAINT_EVENTS, sl_options.events, error);
}

/* Have everything written that was gathered. False: the clerk is busy, or the file takes nothing now. */
static bool hand_over(bool may_wait)
{
	bool is_begun;
	if (!is_clerk_free(may_wait))
		return false;
	for (;;) {
		struct sl_sinks_lines *given = &batches[filling ^ 1].lines;
		if (is_given && given->written == given->length)
			is_given = false;
		if (!is_given && batches[filling].lines.length == 0)
			return true;
		if (!is_given) {
			give_away();
			given = &batches[filling ^ 1].lines;
		}
		bool is_done = sl_clerk_do(write_batch, &batches[filling ^ 1], SL_CLERK_WAIT_MS,
		                           &is_begun);
		if (is_done && given->error == 0)
			continue;
		if (is_done || !is_begun)
			complain(is_done ? given->error : 0);
		return false;
	}
}

/* max_output is for reports as well. */
static bool take_budget(size_t n)
{
	uint64_t now = sl_clock_ms() / SL_HOUR_OF_MS;
	uint64_t most = (uint64_t)sl_options.max_output_bytes / 100 * SL_EVENTS_SHARE_PERCENT;
	if (now != hour) {
		hour = now;
		hour_bytes = 0;
	}
	if (n > most || hour_bytes > most - n || !sl_sinks_take_budget(n))
		return false;
	hour_bytes += n;
	return true;
}

static bool has_room(size_t n)
{
	return n <= SL_BATCH_BYTES - batches[filling].lines.length;
}

static void append(const struct sl_out *out)
{
	struct batch *batch = &batches[filling];
	memcpy(batch->bytes + batch->lines.length, out->bytes, out->length);
	batch->lines.length += out->length;
}

/* Behind `out`, in the buffer of which the line before it has its own. */
static void print_dropped(struct sl_out *out, uint64_t wall_ms)
{
	if (dropped > 0)
		sl_event_line_dropped(out, dropped, wall_ms);
}

void sl_events_tell(const struct sl_event *event)
{
	char bytes[2 * SL_EVENT_LINE_BYTES];
	struct sl_out out;
	if (!sl_options.events[0])
		return;
	uint64_t wall_ms = sl_clock_wall_ms();
	sl_out_init(&out, bytes, sizeof(bytes), NULL, NULL);
	print_dropped(&out, wall_ms);
	sl_event_line(&out, event, wall_ms);
	if (!has_room(out.length) && !is_blocked)
		is_blocked = !hand_over(true);
	if (!has_room(out.length) || !take_budget(out.length)) {
		dropped++;
		return;
	}
	append(&out);
	dropped = 0;
}

/* No event may follow for long. */
static void tell_dropped(void)
{
	char bytes[SL_EVENT_LINE_BYTES];
	struct sl_out out;
	if (dropped == 0 || sl_clock_ms() < refused_until_ms)
		return;
	sl_out_init(&out, bytes, sizeof(bytes), NULL, NULL);
	print_dropped(&out, sl_clock_wall_ms());
	if (!has_room(out.length))
		return;
	if (!take_budget(out.length)) {
		refused_until_ms = sl_clock_ms() + SL_REFUSED_GAP_MS;
		return;
	}
	append(&out);
	dropped = 0;
}

void sl_events_flush(void)
{
	if (!sl_options.events[0])
		return;
	is_blocked = false;
	(void)hand_over(false);
	if (dropped > 0) {
		tell_dropped();
		(void)hand_over(false);
	}
	if (!sl_clerk_is_busy())
		sl_sinks_say();
}

void sl_events_forked(void)
{
	batches[0].lines.length = batches[1].lines.length = 0;
	filling = 0;
	is_given = is_blocked = false;
	dropped = refused_until_ms = 0;
}
