/* test_option.c - values of every type: taken up to their bounds, refused beyond, written back. */
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

/* Taken as written, and given back as `back` (NULL: the same). */
static void accepted(void **state)
{
	(void)state;
	static const struct {
		const char *key, *value, *back;
	} rows[] = {
		{"enabled", "0", NULL},          {"enabled", "1", NULL},
		{"enabled", "01", "1"},          {"deadline", "100ms", NULL},
		{"deadline", "99999ms", NULL},   {"deadline", "1s", NULL},
		{"deadline", "1000ms", "1s"},    {"deadline", "60s", NULL},
		{"deadline", "1m", "60s"},       {"deadline", "90s", NULL},
		{"deadline", "120s", "2m"},      {"deadline", "2h", NULL},
		{"deadline", "60m", "1h"},       {"deadline", "61m", NULL},
		{"deadline", "24h", NULL},       {"deadline", "86400000ms", "24h"},
		{"deadline", "007s", "7s"},      {"interval", "auto", NULL},
		{"interval", "50ms", NULL},      {"interval", "1h", NULL},
		{"every", "off", NULL},          {"every", "1s", NULL},
		{"every", "24h", NULL},          {"warn_at", "auto", NULL},
		{"warn_at", "off", NULL},        {"warn_at", "1", NULL},
		{"warn_at", "1000000000", NULL}, {"depth", "1", NULL},
		{"depth", "256", NULL},          {"max_output", "4k", NULL},
		{"max_output", "4096", "4k"},    {"max_output", "4097", NULL},
		{"max_output", "1024k", "1m"},   {"max_output", "10m", NULL},
		{"max_output", "1g", NULL},      {"max_output", "1048576k", "1g"},
		{"mode", "0400", NULL},          {"mode", "0640", NULL},
		{"mode", "640", "0640"},         {"mode", "0777", NULL},
		{"argv", "full", NULL},          {"argv", "short", NULL},
		{"stacks", "auto", NULL},        {"stacks", "native", NULL},
		{"stacks", "none", NULL},        {"signal", "auto", NULL},
		{"signal", "none", NULL},        {"signal", "USR1", NULL},
		{"signal", "USR2", NULL},        {"signal", "RTMIN+0", NULL},
		{"signal", "RTMIN+5", NULL},     {"report", "stderr", NULL},
		{"report", "/tmp/%p.txt", NULL}, {"report", "a=b", NULL},
		{"json", "off", NULL},           {"json", "/tmp/x.json", NULL},
		{"programs", "java", NULL},      {"app", "com.example", NULL},
		{"action", "report", NULL},      {"action", "shutdown", NULL},
		{"action", "neutralize", NULL},  {"action", "close", NULL},
		{"side", "out", NULL},           {"side", "in", NULL},
		{"side", "both", NULL},          {"deadline_in", "100ms", NULL},
		{"deadline_in", "24h", NULL},    {"probe", "auto", NULL},
		{"probe", "on", NULL},           {"probe", "off", NULL},
		{"grace", "100ms", NULL},        {"grace", "1h", NULL},
		{"dry_run", "0", NULL},          {"dry_run", "1", NULL},
		{"rescue", "auto", NULL},        {"rescue", "on", NULL},
		{"rescue", "off", NULL},         {"rescue_after", "100ms", NULL},
		{"rescue_after", "24h", NULL},   {"raise_nofile", "off", NULL},
		{"raise_nofile", "64", NULL},    {"raise_nofile", "1073741816", NULL},
		{"only", "10.0.0.0/8", NULL},    {"only", "[2001:db8::]:443", NULL},
		{"never", ":443", NULL},         {"never", "local:8080", NULL},
		{"max_rate", "0", NULL},         {"max_rate", "1000000", NULL},
		{"events", "off", NULL},         {"events", "/tmp/%p.events", NULL},
		{"keepalive", "off", NULL},      {"keepalive", "1", NULL},
		{"keepalive", "32767", NULL},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char pair[128];
		snprintf(pair, sizeof(pair), "%s=%s", rows[i].key, rows[i].value);
		unsigned complaints = parse(pair);
		if (complaints)
			fail_msg("%s: %s", pair, said[0]);
		assert_string_equal(value_of(rows[i].key),
		                    rows[i].back ? rows[i].back : rows[i].value);
	}
}

static void values_in_units(void **state)
{
	(void)state;
	assert_int_equal(parse("deadline=2h,interval=250ms every=3m,,warn_at=7\tmax_output=5k "
	                       "mode=0644\nargv=full stacks=none depth=9 detail=1 help=1 "
	                       "exit_report=1 enabled=0"),
	                 0);
	assert_int_equal(options.deadline_ms, 2 * 3600000);
	assert_int_equal(options.interval_ms, 250);
	assert_int_equal(options.every_ms, 180000);
	assert_int_equal(options.warn_at, 7);
	assert_int_equal(options.max_output_bytes, 5120);
	assert_int_equal(options.mode, 0644);
	assert_int_equal(options.argv, SL_ARGV_FULL);
	assert_int_equal(options.stacks, SL_STACKS_NONE);
	assert_int_equal(options.depth, 9);
	assert_int_equal(options.detail, 1);
	assert_int_equal(options.help, 1);
	assert_int_equal(options.exit_report, 1);
	assert_int_equal(options.enabled, 0);
	assert_int_equal(parse("action=neutralize side=both deadline_in=3m probe=off grace=2s "
	                       "dry_run=1 rescue=on rescue_after=500ms raise_nofile=65536 "
	                       "max_rate=7 keepalive=60"),
	                 0);
	assert_int_equal(options.action, SL_ACTION_NEUTRALIZE);
	assert_int_equal(options.side, SL_SIDE_BOTH);
	assert_int_equal(options.deadline_in_ms, 180000);
	assert_int_equal(options.probe, SL_PROBE_OFF);
	assert_int_equal(options.grace_ms, 2000);
	assert_int_equal(options.dry_run, 1);
	assert_int_equal(options.rescue, SL_RESCUE_ON);
	assert_int_equal(options.rescue_after_ms, 500);
	assert_int_equal(options.raise_nofile, 65536);
	assert_int_equal(options.max_rate, 7);
	assert_int_equal(options.keepalive_s, 60);
	assert_int_equal(parse("action=shutdown side=in probe=on rescue=off raise_nofile=off"), 0);
	assert_int_equal(options.action, SL_ACTION_SHUTDOWN);
	assert_int_equal(options.side, SL_SIDE_IN);
	assert_int_equal(options.probe, SL_PROBE_ON);
	assert_int_equal(options.rescue, SL_RESCUE_OFF);
	assert_int_equal(options.raise_nofile, SL_OFF);
	assert_int_equal(parse("action=close keepalive=off"), 0);
	assert_int_equal(options.action, SL_ACTION_CLOSE);
	assert_int_equal(options.keepalive_s, SL_OFF);
	assert_int_equal(parse("interval=auto every=off warn_at=off stacks=native"), 0);
	assert_int_equal(options.interval_ms, SL_AUTO);
	assert_int_equal(options.every_ms, SL_OFF);
	assert_int_equal(options.warn_at, SL_OFF);
	assert_int_equal(options.stacks, SL_STACKS_NATIVE);
}

static void signals(void **state)
{
	(void)state;
	assert_int_equal(parse("signal=USR2"), 0);
	assert_int_equal(options.signal, SIGUSR2);
	assert_int_equal(parse("signal=RTMIN+3"), 0);
	assert_int_equal(options.signal, SIGRTMIN + 3);
	assert_int_equal(parse("signal=none"), 0);
	assert_int_equal(options.signal, SL_OFF);
	char pair[64];
	snprintf(pair, sizeof(pair), "signal=RTMIN+%d", SIGRTMAX - SIGRTMIN);
	assert_int_equal(parse(pair), 0);
	assert_int_equal(options.signal, SIGRTMAX);
	snprintf(pair, sizeof(pair), "signal=RTMIN+%d", SIGRTMAX - SIGRTMIN + 1);
	assert_int_equal(parse(pair), 1);
	assert_int_equal(options.signal, SL_AUTO);
}

/* Refused: one line, and everything stays at its default. */
static void refused(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"enabled=2",
		"enabled=",
		"enabled=on",
		"enabled=-1",
		"enabled=1s",
		"deadline=",
		"deadline=0",
		"deadline=0s",
		"deadline=60",
		"deadline=99ms",
		"deadline=25h",
		"deadline=86400001ms",
		"deadline=1.5s",
		"deadline=-60s",
		"deadline=+60s",
		"deadline=60S",
		"deadline=60sec",
		"deadline=60s60s",
		"deadline=s",
		"deadline=auto",
		"deadline=off",
		"deadline=0x10s",
		"deadline=99999999999999999999999999999999h",
		"deadline=18446744073709551617s",
		"deadline=4294967296000h",
		"deadline==60s",
		"deadline=\xd9\xa1s",
		"interval=49ms",
		"interval=61m",
		"interval=off",
		"interval=au",
		"every=999ms",
		"every=25h",
		"every=auto",
		"every=offf",
		"warn_at=0",
		"warn_at=1000000001",
		"warn_at=18446744073709551617",
		"warn_at=1k",
		"depth=0",
		"depth=257",
		"depth=auto",
		"depth=64frames",
		"max_output=0",
		"max_output=4095",
		"max_output=3k",
		"max_output=2g",
		"max_output=1073741825",
		"max_output=10mb",
		"max_output=10M",
		"max_output=m",
		"max_output=17179869185g",
		"mode=0377",
		"mode=01000",
		"mode=0800",
		"mode=rw",
		"mode=",
		"mode=0o600",
		"argv=long",
		"argv=",
		"argv=short_",
		"argv=shor",
		"stacks=java",
		"stacks=0",
		"signal=USR3",
		"signal=usr1",
		"signal=SIGUSR1",
		"signal=10",
		"signal=RTMIN",
		"signal=RTMIN+",
		"signal=RTMIN+1x",
		"signal=RTMIN-1",
		"signal=RTMIN+99999999999999",
		"signal=off",
		"signal=KILL",
		"signal=",
		"report=",
		"json=",
		"app=",
		"programs=",
		"foo=1",
		"Deadline=60s",
		"deadlin=60s",
		"deadlines=60s",
		"=60s",
		"=",
		"action=",
		"action=off",
		"action=neutralise",
		"action=Close",
		"action=1",
		"side=outbound",
		"side=auto",
		"deadline_in=99ms",
		"deadline_in=25h",
		"deadline_in=10",
		"deadline_in=off",
		"probe=1",
		"probe=never",
		"grace=0s",
		"grace=99ms",
		"grace=61m",
		"dry_run=yes",
		"dry_run=2",
		"dry_run",
		"dryrun=1",
		"rescue=1",
		"rescue=no",
		"rescue_after=99ms",
		"rescue_after=25h",
		"raise_nofile=63",
		"raise_nofile=1073741817",
		"raise_nofile=auto",
		"raise_nofile=64k",
		"only=",
		"only=off",
		"only=all",
		"only=example.com",
		"never=10.0.0.0/33",
		"never=10.0.0.256",
		"never=:0",
		"never=:65536",
		"never=local:x",
		"never=[::1",
		"never==:443",
		"never:10.0.0.0/8",
		"max_rate=-1",
		"max_rate=1000001",
		"max_rate=off",
		"max_rate=5/s",
		"events=",
		"keepalive=0",
		"keepalive=32768",
		"keepalive=30s",
		"keepalive=auto",
		"deadline",
		"help",
		"off",
	};
	struct sl_options standard;
	sl_options_defaults(&standard);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (parse(rows[i]) != 1 || said_count != 1)
			fail_msg("%s: %u lines", rows[i], said_count);
		assert_null(strchr(said[0], '\n'));
		assert_memory_equal(&options, &standard, sizeof(options));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(values_in_units),
		cmocka_unit_test(signals),
		cmocka_unit_test(refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
