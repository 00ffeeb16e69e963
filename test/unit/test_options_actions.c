/* test_options_actions.c - lists with commas; and that nothing is touched where an option that bears on it was not
 * understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/options.h"

#include "parsed.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char disarmed[] =
	"an option was not understood: nothing will be touched (action=report, rescue=off)";

static void a_comma_goes_on_with_a_list(void **state)
{
	(void)state;
	static const struct {
		const char *text, *key, *value;
	} rows[] = {
		{"never=10.0.0.0/8,:443", "never", "10.0.0.0/8,:443"},
		{"never=:1,:2 never=:3,:4", "never", ":1,:2,:3,:4"},
		{"only=[2001:db8::/32]:443,local:80,::1", "only",
	         "[2001:db8::/32]:443,local:80,::1"},
		{"app=a,b", "app", "a,b"},
		{"app=a, b", "app", "a,b"},
		{"app=a ,b", "app", "a,b"},
		{"app=a,,b,", "app", "a,b"},
		{"app=a,\n\tb", "app", "a,b"},
		{"app=a,b,deadline=5s", "deadline", "5s"},
		{"app=a,b,deadline=5s", "app", "a,b"},
		{"programs=java,nginx,app=x", "programs", "java,nginx"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (parse(rows[i].text))
			fail_msg("%s: %s", rows[i].text, said[0]);
		assert_string_equal(value_of(rows[i].key), rows[i].value);
	}
}

/* A word goes on with a list where a comma leads to it, directly from that list. */
static void what_goes_on_with_no_list(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"app=a b",     "app=a\nb",   "deadline=5s,b", "json=/a,b",       "argv=full,b",
		"app=a c=1,b", "app=a,c=,b", "b,app=a",       "app=a depth=5,b",
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		unsigned strays = 0;
		assert_in_range(parse(rows[i]), 1, 2);
		for (unsigned line = 0; line < said_count; line++)
			strays += strcmp(said[line], "'b' is not key=value; see help=1") == 0;
		assert_int_equal(strays, 1);
		assert_true(!*options.app || strcmp(options.app, "a") == 0);
	}
	/* Behind a word that stands alone nothing goes on either. */
	assert_int_equal(parse("app=a b,c"), 2);
	assert_string_equal(options.app, "a");
}

/* Each member of a list is looked at by itself, and named by itself. */
static void a_bad_member(void **state)
{
	(void)state;
	assert_int_equal(parse("never=:1,x,:2"), 1);
	assert_string_equal(options.never, ":1,:2");
	assert_non_null(strstr(said[0], "never=x: not an address; allowed: "));
	assert_non_null(strstr(said[0], "; keeping :1"));
	assert_int_equal(parse("only=x,:2"), 1);
	assert_string_equal(options.only, ":2");
}

/* What sl_options_each() gives can be given back as it is. */
static void a_list_as_written(void **state)
{
	(void)state;
	assert_int_equal(parse("never=:1 never=10.0.0.0/8:2 never=local:3"), 0);
	char pair[SL_OPTION_TEXT_MAX + 16];
	snprintf(pair, sizeof(pair), "never=%s", value_of("never"));
	assert_int_equal(parse(pair), 0);
	assert_string_equal(options.never, ":1,10.0.0.0/8:2,local:3");
}

static void a_full_list_of_rules(void **state)
{
	(void)state;
	char text[1024] = "action=close never=:1";
	for (size_t length = strlen(text), i = 1; i < 170; i++, length += 3)
		memcpy(text + length, ",:1", 4);
	assert_int_equal(parse(text), 0);
	assert_int_equal(strlen(options.never), 170 * 3 - 1);
	assert_int_equal(options.action, SL_ACTION_CLOSE);
	strcat(text, ",:2");
	assert_int_equal(parse(text), 1);
	assert_non_null(strstr(said[0], "never=:2: the list is full; allowed: "));
	assert_int_equal(strlen(options.never), 170 * 3 - 1);
	assert_int_equal(options.action, SL_ACTION_REPORT);
}

/* Each may have been meant to hold an action back. */
static void in_doubt_nothing_is_touched(void **state)
{
	(void)state;
	static const char *const doubts[] = {
		"only=x",
		"never=10.0.0.0/33",
		"never=",
		"never=:443,x",
		"never=x,:443",
		"never=10.0.0.0/8 :443",
		"never:10.0.0.0/8",
		"Never=:443",
		"dry_run=yes",
		"dry_run",
		"dryrun=1",
		"rescue=no",
		"action=neutralise",
		"enabled=off",
		"programs=",
		"children=x",
		"deadline=10min",
		"deadline_in=1d",
		"side=none",
		"probe=yes",
		"grace=60",
		"rescue_after=5min",
		"max_rate=1/s",
		"foo=1",
	};
	static const char *const armed[] = {"action=shutdown", "rescue=on",
	                                    "action=close rescue=off", "action=neutralize"};
	for (size_t i = 0; i < COUNT_OF(doubts); i++) {
		char text[256];
		const char *arm = armed[i % COUNT_OF(armed)];
		for (int is_first = 0; is_first <= 1; is_first++) {
			snprintf(text, sizeof(text), "%s %s", is_first ? doubts[i] : arm,
			         is_first ? arm : doubts[i]);
			if (parse(text) != 1 || said_count != 2 || strcmp(said[1], disarmed) != 0)
				fail_msg("%s: %s", text, said[said_count - 1]);
			assert_int_equal(options.action, SL_ACTION_REPORT);
			assert_int_equal(options.rescue, SL_RESCUE_OFF);
			assert_false(sl_options_want_rescue(&options));
		}
		/* Where nothing would have been touched there is nothing to say. */
		assert_int_equal(parse(doubts[i]), 1);
		assert_int_equal(said_count, 1);
		assert_int_equal(options.rescue, SL_RESCUE_AUTO);
		snprintf(text, sizeof(text), "rescue=off %s", doubts[i]);
		assert_int_equal(parse(text), 1);
		assert_int_equal(said_count, 1);
	}
}

static void count(void *context, const char *key, const char *value)
{
	(void)key;
	(void)value;
	++*(unsigned *)context;
}

/* The others say nothing about whom to touch: a mistyped depth is no reason to let the ports run out. */
static void other_doubts_change_nothing(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"interval=x", "signal=x",    "every=x",        "warn_at=x",    "exit_report=x",
		"report=",    "json=",       "events=",        "max_output=x", "mode=x",
		"detail=x",   "argv=x",      "stacks=x",       "depth=x",      "app=",
		"help=x",     "keepalive=x", "raise_nofile=x", "control=x",    "dir=",
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char text[128];
		snprintf(text, sizeof(text), "action=shutdown %s", rows[i]);
		assert_int_equal(parse(text), 1);
		assert_int_equal(said_count, 1);
		assert_int_equal(options.action, SL_ACTION_SHUTDOWN);
		assert_true(sl_options_want_rescue(&options));
	}
	/* Every key stands here or, 15 of them, above: a new one is to be thought about. */
	unsigned keys = 0;
	sl_options_each(&options, count, &keys);
	assert_int_equal(keys, COUNT_OF(rows) + 15);
}

/* Beyond the lines that are told, too. */
static void a_doubt_among_many(void **state)
{
	(void)state;
	char text[1024] = "action=close";
	for (int i = 0; i < 40; i++)
		strcat(text, " depth=x");
	assert_int_equal(parse(text), 40);
	assert_int_equal(options.action, SL_ACTION_CLOSE);
	assert_int_equal(said_count, 17);
	strcat(text, " never=x");
	assert_int_equal(parse(text), 41);
	assert_int_equal(options.action, SL_ACTION_REPORT);
	assert_int_equal(said_count, 18);
	assert_string_equal(said[17], disarmed);
	sl_options_defaults(&options);
	assert_int_equal(sl_options_parse(&options, text, NULL), 41);
	assert_int_equal(options.action, SL_ACTION_REPORT);
}

static void rescue_wanted(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool wanted;
	} rows[] = {
		{"", false},
		{"rescue=auto", false},
		{"rescue=on", true},
		{"rescue=off", false},
		{"action=report", false},
		{"action=shutdown", true},
		{"action=neutralize rescue=auto", true},
		{"action=close", true},
		{"action=close rescue=off", false},
		{"action=report rescue=on", true},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(parse(rows[i].text), 0);
		assert_int_equal(sl_options_want_rescue(&options), rows[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_comma_goes_on_with_a_list),
		cmocka_unit_test(what_goes_on_with_no_list),
		cmocka_unit_test(a_bad_member),
		cmocka_unit_test(a_list_as_written),
		cmocka_unit_test(a_full_list_of_rules),
		cmocka_unit_test(in_doubt_nothing_is_touched),
		cmocka_unit_test(other_doubts_change_nothing),
		cmocka_unit_test(a_doubt_among_many),
		cmocka_unit_test(rescue_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
