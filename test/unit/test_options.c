/* test_options.c - the option table: every type at its bounds, every complaint, and back into text. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/options.h"

#include "parsed.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void expect_defaults(const struct sl_options *o)
{
	assert_int_equal(o->enabled, 1);
	assert_string_equal(o->programs, "");
	assert_int_equal(o->deadline_ms, 60000);
	assert_int_equal(o->action, SL_ACTION_REPORT);
	assert_int_equal(o->side, SL_SIDE_OUT);
	assert_int_equal(o->deadline_in_ms, 600000);
	assert_int_equal(o->probe, SL_PROBE_AUTO);
	assert_int_equal(o->grace_ms, 5000);
	assert_int_equal(o->dry_run, 0);
	assert_int_equal(o->rescue, SL_RESCUE_AUTO);
	assert_int_equal(o->rescue_after_ms, 10000);
	assert_int_equal(o->raise_nofile, SL_OFF);
	assert_string_equal(o->only, "");
	assert_string_equal(o->never, "");
	assert_int_equal(o->max_rate, 100);
	assert_string_equal(o->events, "");
	assert_int_equal(o->keepalive_s, SL_OFF);
	assert_int_equal(o->interval_ms, SL_AUTO);
	assert_int_equal(o->signal, SL_AUTO);
	assert_int_equal(o->every_ms, SL_OFF);
	assert_int_equal(o->warn_at, SL_AUTO);
	assert_int_equal(o->exit_report, 0);
	assert_string_equal(o->report, "stderr");
	assert_string_equal(o->json, "");
	assert_int_equal(o->max_output_bytes, 10 << 20);
	assert_int_equal(o->mode, 0600);
	assert_int_equal(o->detail, 0);
	assert_int_equal(o->argv, SL_ARGV_SHORT);
	assert_int_equal(o->stacks, SL_STACKS_AUTO);
	assert_int_equal(o->depth, 64);
	assert_string_equal(o->app, "");
	assert_int_equal(o->help, 0);
}

/* First of all tests: nothing has called sl_options_start() yet. */
static void defaults(void **state)
{
	(void)state;
	expect_defaults(&sl_options);
	memset(&options, 0xa5, sizeof(options));
	sl_options_defaults(&options);
	expect_defaults(&options);
	static const char *const empty[] = {NULL, "", " ", ", ,\t\n ,,"};
	for (size_t i = 0; i < COUNT_OF(empty); i++) {
		assert_int_equal(parse(empty[i]), 0);
		expect_defaults(&options);
	}
}

static void defaults_as_text(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"enabled", "1"},
		{"programs", ""},
		{"deadline", "60s"},
		{"interval", "auto"},
		{"signal", "auto"},
		{"every", "off"},
		{"warn_at", "auto"},
		{"exit_report", "0"},
		{"report", "stderr"},
		{"json", "off"},
		{"max_output", "10m"},
		{"mode", "0600"},
		{"detail", "0"},
		{"argv", "short"},
		{"stacks", "auto"},
		{"depth", "64"},
		{"app", ""},
		{"action", "report"},
		{"side", "out"},
		{"deadline_in", "10m"},
		{"probe", "auto"},
		{"grace", "5s"},
		{"dry_run", "0"},
		{"rescue", "auto"},
		{"rescue_after", "10s"},
		{"raise_nofile", "off"},
		{"only", ""},
		{"never", ""},
		{"max_rate", "100"},
		{"events", "off"},
		{"keepalive", "off"},
		{"help", "0"},
	};
	sl_options_defaults(&options);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_string_equal(value_of(rows[i][0]), rows[i][1]);
}

/* The wording is what a user greps for: key, value, reason, what is allowed, what stays. */
static void complaints(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"deadline=abc",
	         "deadline=abc: not a duration; allowed: 100ms..24h, such as 60s; keeping 60s"},
		{"deadline=60",
	         "deadline=60: no unit; allowed: 100ms..24h, such as 60s; keeping 60s"},
		{"deadline=0s",
	         "deadline=0s: out of range; allowed: 100ms..24h, such as 60s; keeping 60s"},
		{"interval=1ms",
	         "interval=1ms: out of range; allowed: auto, 50ms..1h; keeping auto"},
		{"every=x", "every=x: not a duration; allowed: off, 1s..24h; keeping off"},
		{"warn_at=x",
	         "warn_at=x: not a number; allowed: auto, off, 1..1000000000; keeping auto"},
		{"depth=0", "depth=0: out of range; allowed: 1..256, such as 64; keeping 64"},
		{"max_output=1t",
	         "max_output=1t: not a size; allowed: 4k..1g, such as 10m; keeping 10m"},
		{"mode=9", "mode=9: not a number; allowed: 0400..0777, such as 0600; keeping 0600"},
		{"argv=x", "argv=x: not one of the words; allowed: short, full; keeping short"},
		{"signal=HUP",
	         "signal=HUP: not a signal for reports; allowed: auto, none, USR1, USR2, "
	         "RTMIN+0..RTMIN+30; keeping auto"},
		{"enabled=yes", "enabled=yes: not a number; allowed: 0, 1; keeping 1"},
		{"report=",
	         "report=: empty; allowed: stderr, a path, up to 511 bytes; keeping stderr"},
		{"json=", "json=: empty; allowed: off, a path, up to 511 bytes; keeping off"},
		{"app=",
	         "app=: empty; allowed: a name, repeated for more, up to 511 bytes together; "
	         "keeping none"},
		{"only=a.b:80",
	         "only=a.b:80: not an address; allowed: CIDR[:port], [v6]:port, :port, local:PORT, "
	         "up to 511 bytes together; keeping none"},
		{"never=:0",
	         "never=:0: not a port; allowed: CIDR[:port], [v6]:port, :port, local:PORT, "
	         "up to 511 bytes together; keeping none"},
		{"action=kill",
	         "action=kill: not one of the words; allowed: report, shutdown, neutralize, close; "
	         "keeping report"},
		{"max_rate=x",
	         "max_rate=x: not a number; allowed: 0..1000000, such as 100; keeping 100"},
		{"raise_nofile=1",
	         "raise_nofile=1: out of range; allowed: off, 64..1073741816; keeping off"},
		{"foo=1", "unknown option 'foo'; see help=1"},
		{"=1", "unknown option ''; see help=1"},
		{"deadline", "'deadline' is not key=value; see help=1"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(parse(rows[i][0]), 1);
		assert_string_equal(said[0], rows[i][1]);
	}
	/* A bad value keeps what stands, which an earlier pair may have set. */
	assert_int_equal(parse("deadline=5s deadline=x"), 1);
	assert_string_equal(
		said[0],
		"deadline=x: not a duration; allowed: 100ms..24h, such as 60s; keeping 5s");
	assert_int_equal(options.deadline_ms, 5000);
}

static void the_rest_is_still_read(void **state)
{
	(void)state;
	assert_int_equal(parse("foo=1 deadline=30s bar depth=0,interval=1s"), 3);
	assert_int_equal(said_count, 3);
	assert_int_equal(options.deadline_ms, 30000);
	assert_int_equal(options.interval_ms, 1000);
	assert_int_equal(options.depth, 64);
}

static void last_wins_but_lists_grow(void **state)
{
	(void)state;
	assert_int_equal(parse("depth=1 depth=2 report=/a report=/b json=/a json=off "
	                       "app=com.a app=org.b,app=c programs=off programs=java"),
	                 0);
	assert_int_equal(options.depth, 2);
	assert_string_equal(options.report, "/b");
	assert_string_equal(options.json, "");
	assert_string_equal(options.app, "com.a,org.b,c");
	assert_string_equal(options.programs, "off,java");
}

static void long_values(void **state)
{
	(void)state;
	static char text[4096];
	static const char *const keys[] = {"report=", "json=", "app="};
	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		size_t key = strlen(keys[i]);
		memset(text, 'x', sizeof(text));
		memcpy(text, keys[i], key);
		text[key + SL_OPTION_TEXT_MAX - 1] = '\0';
		assert_int_equal(parse(text), 0);
		text[key + SL_OPTION_TEXT_MAX - 1] = 'x';
		text[key + SL_OPTION_TEXT_MAX] = '\0';
		assert_int_equal(parse(text), 1);
		expect_defaults(&options);
		assert_non_null(strstr(said[0], "xxx...: too long; allowed: "));
		assert_true(strlen(said[0]) < 250);
	}
	memset(text, '9', sizeof(text));
	memcpy(text, "deadline=", 9);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(parse(text), 1);
	expect_defaults(&options);
	/* A key without end, and a pair without '='. */
	memset(text, 'k', sizeof(text));
	text[3000] = '\0';
	assert_int_equal(parse(text), 1);
	assert_true(strlen(said[0]) < 150);
	memcpy(text + 2990, "=1", 3);
	assert_int_equal(parse(text), 1);
	assert_true(strlen(said[0]) < 150);
}

static void full_list(void **state)
{
	(void)state;
	char text[1200] = "app=";
	memset(text + 4, 'a', 508);
	memcpy(text + 512, " app=bb", 8);
	assert_int_equal(parse(text), 0);
	assert_int_equal(strlen(options.app), SL_OPTION_TEXT_MAX - 1);
	assert_string_equal(options.app + 507, "a,bb");
	memcpy(text + 512, " app=bbb app=c", 15);
	assert_int_equal(parse(text), 1);
	assert_int_equal(strlen(options.app), 510);
	assert_string_equal(options.app + 507, "a,c");
	assert_non_null(strstr(said[0], "app=bbb: the list is full; allowed: "));
}

/* What a user did not write must not steer the terminal that shows the complaint. */
static void hostile_text(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"deadline=\x1b[2J",
	         "deadline=\\x1b[2J: not a duration; allowed: 100ms..24h, such as 60s; "
	         "keeping 60s"},
		{"\x1b]0;x\x07=1", "unknown option '\\x1b]0;x\\x07'; see help=1"},
		{"\xff\xfe", "'\\xff\\xfe' is not key=value; see help=1"},
		{"\xc2\x9b=1", "unknown option '\\xc2\\x9b'; see help=1"},
		{"%s%n=%s", "unknown option '%s%n'; see help=1"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(parse(rows[i][0]), 1);
		assert_string_equal(said[0], rows[i][1]);
	}
	assert_int_equal(parse("report=\x1b[31m report="), 1);
	assert_non_null(strstr(said[0], "keeping \\x1b[31m"));
	/* 64 bytes are shown, and never half an escape. */
	char text[600] = "report=/a";
	memset(text + 9, '\x1b', 400);
	memcpy(text + 409, " report=", 9);
	assert_int_equal(parse(text), 1);
	assert_non_null(strstr(said[0], "keeping /a\\x1b\\x1b"));
	assert_string_equal(said[0] + strlen(said[0]) - 11, "\\x1b\\x1b...");
}

/* A variable full of nonsense does not fill a log. */
static void many_complaints(void **state)
{
	(void)state;
	static char text[40000];
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "x ", 2);
	assert_int_equal(parse(text), 19999);
	assert_int_equal(said_count, 17);
	assert_string_equal(said[16], "19983 more options were not understood; see help=1");
	text[32] = '\0';
	assert_int_equal(parse(text), 16);
	assert_int_equal(said_count, 16);
	assert_int_equal(sl_options_parse(&options, "x y=1 depth=0", NULL), 3);
}

static void the_process_own_set(void **state)
{
	(void)state;
	said_count = 0;
	assert_int_equal(sl_options_start("depth=7 x", hear), 1);
	assert_int_equal(sl_options.depth, 7);
	assert_int_equal(sl_options_start(NULL, hear), 0);
	expect_defaults(&sl_options);
}

static void interval(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t interval_ms;
	} rows[] = {
		{"", 5000},
		{"deadline=100ms", 250},
		{"deadline=1s", 250},
		{"deadline=1003ms", 250},
		{"deadline=1004ms", 251},
		{"deadline=10s", 2500},
		{"deadline=19999ms", 4999},
		{"deadline=20s", 5000},
		{"deadline=24h", 5000},
		{"deadline=24h interval=50ms", 50},
		{"deadline=100ms interval=1h", 3600000},
		/* Where rescues are on, their own quiet time counts too. */
		{"rescue_after=4s", 5000},
		{"rescue_after=4s rescue=on", 1000},
		{"rescue_after=4s action=shutdown", 1000},
		{"rescue_after=4s action=shutdown rescue=off", 5000},
		{"rescue_after=100ms action=close", 250},
		{"action=shutdown", 2500},
		{"rescue_after=1h action=shutdown", 5000},
		{"rescue_after=1h action=shutdown deadline=4s", 1000},
		{"rescue_after=4s action=shutdown interval=3s", 3000},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(parse(rows[i].text), 0);
		assert_int_equal(sl_options_interval_ms(&options), rows[i].interval_ms);
	}
}

static unsigned keys_in_help;
static char help[16384];

static void find_in_help(void *context, const char *key, const char *value)
{
	(void)context;
	char row[128];
	int n = snprintf(row, sizeof(row), "\n  %-13s%-9s", key, *value ? value : "(none)");
	row[n] = '\0';
	if (!strstr(help, row))
		fail_msg("help has no row '%s'", row + 1);
	keys_in_help++;
}

static void help_shows_every_option(void **state)
{
	(void)state;
	struct sl_out out;
	sl_out_init(&out, help, sizeof(help) - 1, NULL, NULL);
	sl_options_print_help(&out);
	assert_false(out.is_cut);
	help[out.length] = '\0';
	sl_options_defaults(&options);
	sl_options_each(&options, find_in_help, NULL);
	assert_int_equal(keys_in_help, 35);
	for (const char *line = help; *line;) {
		const char *end = strchr(line, '\n');
		assert_non_null(end);
		assert_in_range(end - line, 1, 100);
		assert_int_not_equal(end[-1], ' ');
		line = end + 1;
	}
	assert_non_null(strstr(help, "\n  depth        64       1..256\n"
	                             "                        frames kept for each stack\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(defaults_as_text),
		cmocka_unit_test(complaints),
		cmocka_unit_test(the_rest_is_still_read),
		cmocka_unit_test(last_wins_but_lists_grow),
		cmocka_unit_test(long_values),
		cmocka_unit_test(full_list),
		cmocka_unit_test(hostile_text),
		cmocka_unit_test(many_complaints),
		cmocka_unit_test(the_process_own_set),
		cmocka_unit_test(interval),
		cmocka_unit_test(help_shows_every_option),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
