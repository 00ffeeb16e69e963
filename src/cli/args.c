/* args.c - see args.h. */
#include "cli/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/say.h"

#define SL_NUMBER_MAX 1000000000
#define SL_MISTAKE_BYTES 1024
#define SL_DURATION_MAX_MS (24ull * 24 * 3600 * 1000)

static void end_with(const char *name, const char *text) __attribute__((noreturn));

static void end_with(const char *name, const char *text)
{
	const char *verb = strchr(name, ' '); /* of "sockleak VERB" */
	sl_say_note("%s%s%s; see 'sockleak help%s'", verb ? verb + 1 : "", verb ? ": " : "", text,
	            verb ? verb : "");
	exit(SL_EXIT_USAGE);
}

void sl_args_refuse(const char *name, const char *format, ...)
{
	char text[SL_MISTAKE_BYTES];
	va_list list;
	va_start(list, format);
	(void)vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	end_with(name, text);
}

void sl_args_fail(const struct argp_state *state, const char *format, ...)
{
	char text[SL_MISTAKE_BYTES];
	va_list list;
	va_start(list, format);
	(void)vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	end_with(state->name, text);
}

/* Digits at *at, which moves behind them. False: none, or too large. */
static bool read_digits(const char **at, uint64_t most, uint64_t *value)
{
	const char *begin = *at;
	for (*value = 0; **at >= '0' && **at <= '9'; ++*at) {
		*value = *value * 10 + (uint64_t)(**at - '0');
		if (*value > most)
			return false;
	}
	return *at != begin;
}

int64_t sl_args_number(struct argp_state *state, const char *text, const char *of)
{
	uint64_t value;
	const char *at = text;
	if (!read_digits(&at, SL_NUMBER_MAX, &value) || *at)
		sl_args_fail(state, "%s=%s: a number from 0 to %d", of, text, SL_NUMBER_MAX);
	return (int64_t)value;
}

bool sl_args_read_duration(const char *text, uint64_t *ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	uint64_t value;
	const char *at = text;
	if (!read_digits(&at, SL_DURATION_MAX_MS, &value))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(at, units[i].name) == 0) {
			*ms = value * units[i].ms;
			return *ms <= SL_DURATION_MAX_MS;
		}
	return false;
}

uint64_t sl_args_duration(struct argp_state *state, const char *text, const char *of)
{
	uint64_t ms = 0;
	if (!sl_args_read_duration(text, &ms))
		sl_args_fail(state, "%s=%s: a duration with its unit, such as 60s, 500ms, 10m, 2h",
		             of, text);
	return ms;
}

bool sl_args_read_pid(const char *text, int *pid)
{
	uint64_t value;
	const char *at = text;
	if (!read_digits(&at, INT32_MAX, &value) || *at || value == 0)
		return false;
	*pid = (int)value;
	return true;
}

error_t sl_args_take_pid(int key, const char *argument, const struct argp_state *state, int *pid)
{
	if (key == ARGP_KEY_NO_ARGS)
		sl_args_fail(state, "which process?");
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	if (*pid)
		sl_args_fail(state, "one PID only");
	if (!sl_args_read_pid(argument, pid))
		sl_args_fail(state, "%s: not a process id", argument);
	return 0;
}
