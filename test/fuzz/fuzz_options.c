/* fuzz_options.c - any text as SOCKLEAK_OPTIONS: nothing breaks, every complaint is one short printable line, and what was
 * understood reads back as the same set.
 *
 * A libFuzzer entry; with -DSL_FUZZ_MAIN a program that replays the files named as arguments.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/rule.h"

#define SL_FUZZ_TEXT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static unsigned told;

static void check_line(const char *line)
{
	told++;
	size_t length = strlen(line);
	require(length > 0 && length < 500);
	for (size_t i = 0; i < length; i++)
		require((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
}

/* The set as a text that means the same. */
struct spelled {
	char text[16384];
	size_t length;
};

static void spell(void *context, const char *key, const char *value)
{
	struct spelled *spelled = context;
	require(strlen(value) < SL_OPTION_TEXT_MAX);
	/* A list's members go one by one; no other value can have a comma. */
	while (*value) {
		size_t part = strcspn(value, ",");
		int n = snprintf(spelled->text + spelled->length,
		                 sizeof(spelled->text) - spelled->length, "%s=%.*s ", key,
		                 (int)part, value);
		require(n > 0 && (size_t)n < sizeof(spelled->text) - spelled->length);
		spelled->length += (size_t)n;
		value += part + (value[part] == ',');
	}
}

static void check_rules(const char *list)
{
	while (*list) {
		struct sl_rule rule;
		size_t length = strcspn(list, ",");
		require(!sl_rule_read(list, length, &rule));
		list += length + (list[length] == ',');
	}
}

static void check_ranges(const struct sl_options *o)
{
	require(o->deadline_ms >= 100 && o->deadline_ms <= 86400000);
	require(o->interval_ms == SL_AUTO || (o->interval_ms >= 50 && o->interval_ms <= 3600000));
	require(o->every_ms == SL_OFF || (o->every_ms >= 1000 && o->every_ms <= 86400000));
	require(o->depth >= 1 && o->depth <= 256);
	require(o->max_output_bytes >= 4096 && o->max_output_bytes <= 1 << 30);
	require(o->mode >= 0400 && o->mode <= 0777);
	require(o->warn_at == SL_AUTO || o->warn_at == SL_OFF ||
	        (o->warn_at >= 1 && o->warn_at <= 1000000000));
	require(o->stacks >= SL_STACKS_AUTO && o->stacks <= SL_STACKS_NONE);
	require(o->argv >= SL_ARGV_SHORT && o->argv <= SL_ARGV_FULL);
	require(o->signal == SL_AUTO || o->signal == SL_OFF || (o->signal > 0 && o->signal < 65));
	require(*o->report);
	require(o->action >= SL_ACTION_REPORT && o->action <= SL_ACTION_CLOSE);
	require(o->side >= SL_SIDE_OUT && o->side <= SL_SIDE_BOTH);
	require(o->probe >= SL_PROBE_AUTO && o->probe <= SL_PROBE_OFF);
	require(o->rescue >= SL_RESCUE_AUTO && o->rescue <= SL_RESCUE_OFF);
	require(o->deadline_in_ms >= 100 && o->deadline_in_ms <= 86400000);
	require(o->rescue_after_ms >= 100 && o->rescue_after_ms <= 86400000);
	require(o->grace_ms >= 100 && o->grace_ms <= 3600000);
	require(o->max_rate >= 0 && o->max_rate <= 1000000);
	require(o->raise_nofile == SL_OFF ||
	        (o->raise_nofile >= 64 && o->raise_nofile <= 1073741816));
	require(o->keepalive_s == SL_OFF || (o->keepalive_s >= 1 && o->keepalive_s <= 32767));
	check_rules(o->only);
	check_rules(o->never);
	uint64_t interval_ms = sl_options_interval_ms(o);
	require(interval_ms >= 50 && interval_ms <= 3600000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[SL_FUZZ_TEXT_MAX];
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';

	struct sl_options options, again;
	sl_options_defaults(&options);
	told = 0;
	unsigned complaints = sl_options_parse(&options, text, check_line);
	unsigned of_pairs = complaints > 16 ? 17 : complaints;
	bool is_disarmed = complaints > 0 && told == of_pairs + 1;
	require(told == of_pairs || is_disarmed);
	if (is_disarmed)
		require(options.action == SL_ACTION_REPORT && !sl_options_want_rescue(&options));
	check_ranges(&options);

	static struct spelled first, second;
	first = (struct spelled){.length = 0};
	sl_options_each(&options, spell, &first);
	sl_options_defaults(&again);
	require(sl_options_parse(&again, first.text, check_line) == 0);
	second = (struct spelled){.length = 0};
	sl_options_each(&again, spell, &second);
	require(strcmp(first.text, second.text) == 0);
	return 0;
}

#include "replay.h"
