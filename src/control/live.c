#include "control/live.h"

#include <string.h>

#include "base/clock.h"
#include "base/option.h"
#include "base/options.h"
#include "control/power.h"
#include "control/reap.h"
#include "control/request.h"
#include "report/events.h"
#include "report/json_write.h"
#include "report/snapshot.h"

#include "base/poison.h"

#define SL_ROWS_MAX 64 /* bits of a mask */
#define SL_AGAIN_MS 100

/* What a row goes back to, and when; 0: it stays. */
static struct sl_options before;
static uint64_t until_ms[SL_ROWS_MAX];

static struct sl_out *refusal; /* of the change under way */

static void complain(const char *line)
{
	if (refusal->length > 0)
		sl_out_text(refusal, "; ");
	sl_out_text(refusal, line);
}

static bool may_act(const struct sl_options *options)
{
	return options->action != SL_ACTION_REPORT || sl_options_want_rescue(options);
}

static uint64_t bit_of(const char *key)
{
	return UINT64_C(1) << (sl_option_find(key, strlen(key)) - sl_option_rows);
}

/* Does the change set actions going, or further than they went? Then it ends by itself, unless it is said that it has no end. */
static bool lets_act(const struct sl_options *wanted, uint64_t rows)
{
	bool is_named = rows & (bit_of("action") | bit_of("rescue"));
	bool is_in_earnest = (rows & bit_of("dry_run")) && sl_options.dry_run && !wanted->dry_run;
	return may_act(wanted) && (is_named || is_in_earnest);
}

static const char *value_of(size_t row, const struct sl_options *options, char *text)
{
	struct sl_out out;
	sl_out_init(&out, text, SL_OPTION_TEXT_MAX - 1, NULL, NULL);
	sl_option_write(&out, &sl_option_rows[row], options);
	text[out.length] = 0;
	return text;
}

static bool has_changed(size_t row, const struct sl_options *a, const struct sl_options *b)
{
	char one[SL_OPTION_TEXT_MAX], other[SL_OPTION_TEXT_MAX];
	return strcmp(value_of(row, a, one), value_of(row, b, other)) != 0;
}

static void tell(size_t row, const struct sl_options *old, const struct sl_options *new,
                 enum sl_event_kind kind, int64_t uid, int64_t for_ms)
{
	char was[SL_OPTION_TEXT_MAX], is[SL_OPTION_TEXT_MAX];
	sl_events_tell(&(struct sl_event){.kind = kind,
	                                  .fd = -1,
	                                  .quiet_ms = -1,
	                                  .option = {.key = sl_option_rows[row].key,
	                                             .was = value_of(row, old, was),
	                                             .is = value_of(row, new, is),
	                                             .uid = uid,
	                                             .for_ms = for_ms}});
}

/* Each named row, whether it changes or not, has its time set anew. */
static void take(const struct sl_live_change *change, const struct sl_options *wanted,
                 uint64_t rows, int64_t for_ms)
{
	const struct sl_options old = sl_options;
	for (size_t row = 0; row < sl_option_row_count; row++) {
		if (!(rows & UINT64_C(1) << row))
			continue;
		if (for_ms > 0 && until_ms[row] == 0)
			sl_options_copy(&before, &old, UINT64_C(1) << row);
		until_ms[row] = for_ms > 0 ? sl_clock_ms() + (uint64_t)for_ms : 0;
	}
	sl_options_copy(&sl_options, wanted, rows);
	for (size_t row = 0; row < sl_option_row_count; row++)
		if ((rows & UINT64_C(1) << row) && has_changed(row, &old, wanted))
			tell(row, &old, wanted, SL_EVENT_SET, change->uid, for_ms);
}

static void put_changes(struct sl_out *answer, const struct sl_options *wanted, uint64_t rows,
                        int64_t for_ms, bool is_dry)
{
	struct sl_json json = {.out = answer};
	char text[SL_OPTION_TEXT_MAX];
	sl_json_open(&json, NULL, '{');
	sl_json_open(&json, "changed", '[');
	for (size_t row = 0; row < sl_option_row_count; row++) {
		if (!(rows & UINT64_C(1) << row))
			continue;
		sl_json_open(&json, NULL, '{');
		sl_json_text(&json, "key", sl_option_rows[row].key);
		sl_json_text(&json, "old", value_of(row, &sl_options, text));
		sl_json_text(&json, "new", value_of(row, wanted, text));
		sl_json_close(&json, '}');
	}
	sl_json_close(&json, ']');
	sl_json_known(&json, "for_ms", for_ms > 0 ? for_ms : SL_UNKNOWN);
	sl_json_bool(&json, "dry", is_dry);
	sl_json_close(&json, '}');
	sl_out_char(answer, '\n');
}

bool sl_live_set(const struct sl_live_change *change, struct sl_out *answer)
{
	struct sl_options wanted = sl_options;
	uint64_t rows;
	int64_t for_ms = change->for_ms;
	refusal = answer;
	if (sl_options_change(&wanted, change->pairs, &rows, complain) > 0)
		return false;
	if (for_ms == SL_FOR_UNSAID && lets_act(&wanted, rows))
		for_ms = SL_LIVE_USUAL_MS;
	put_changes(answer, &wanted, rows, for_ms, change->is_dry);
	if (!change->is_dry)
		take(change, &wanted, rows, for_ms);
	return true;
}

static size_t power_row(void)
{
	return (size_t)(sl_option_find("enabled", 7) - sl_option_rows);
}

bool sl_live_power(bool on, const struct sl_live_change *change, struct sl_out *answer)
{
	const struct sl_options was = sl_options;
	const size_t row = power_row();
	struct sl_options wanted = was;
	wanted.enabled = on;
	int was_on = change->is_dry && sl_power_may_ask() ? 0 : sl_power_order(on);
	if (was_on < 0) {
		sl_out_text(answer, "it cannot be switched in this process now");
		return false;
	}
	sl_options_copy(&sl_options, &was, UINT64_C(1) << row);
	put_changes(answer, &wanted, UINT64_C(1) << row, change->for_ms, change->is_dry);
	if (!change->is_dry)
		take(change, &wanted, UINT64_C(1) << row, change->for_ms);
	return true;
}

/* Back as it was. False: not now: the program switches just then. */
static bool take_back(size_t row)
{
	const struct sl_options old = sl_options;
	if (row == power_row() && sl_power_order(before.enabled) < 0 && sl_power_may_ask())
		return false;
	sl_options_copy(&sl_options, &before, UINT64_C(1) << row);
	if (has_changed(row, &old, &sl_options))
		tell(row, &old, &sl_options, SL_EVENT_REVERTED, -1, -1);
	return true;
}

uint64_t sl_live_turn(uint64_t now_ms)
{
	uint64_t next_ms = UINT64_MAX;
	if (sl_reap_is_under_way())
		return next_ms; /* it would put back what is taken back here; its own turns come soon */
	for (size_t row = 0; row < sl_option_row_count; row++) {
		if (until_ms[row] == 0)
			continue;
		uint64_t left_ms = until_ms[row] > now_ms ? until_ms[row] - now_ms : 0;
		if (left_ms > 0 || !take_back(row)) {
			left_ms = left_ms ? left_ms : SL_AGAIN_MS;
			next_ms = left_ms < next_ms ? left_ms : next_ms;
			continue;
		}
		until_ms[row] = 0;
		if (row == power_row())
			next_ms = 0; /* there is something to be done, or to be ended, at once */
	}
	return next_ms;
}

void sl_live_forget(void)
{
	memset(until_ms, 0, sizeof(until_ms));
}
