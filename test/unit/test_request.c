/* test_request.c - a line of the control socket, taken apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/request.h"

static struct sl_request request;
static const char *code;

static const char *read_line(const char *line)
{
	return sl_request_read(line, &request, &code);
}

static void what_is_asked(void **state)
{
	(void)state;
	assert_null(read_line("sockleak/1 version"));
	assert_int_equal(request.kind, SL_REQUEST_VERSION);
	assert_null(read_line("sockleak/1   snapshot  json "));
	assert_int_equal(request.kind, SL_REQUEST_SNAPSHOT_JSON);
	assert_null(read_line("sockleak/1 snapshot text"));
	assert_int_equal(request.kind, SL_REQUEST_SNAPSHOT_TEXT);
	assert_null(read_line("sockleak/1 snapshot short"));
	assert_int_equal(request.kind, SL_REQUEST_SNAPSHOT_SHORT);
	assert_null(read_line("sockleak/1 off"));
	assert_int_equal(request.kind, SL_REQUEST_SET);
	assert_string_equal(request.pairs, "enabled=0");
	assert_int_equal(request.for_ms, SL_FOR_UNSAID);
	assert_null(read_line("sockleak/1 off for=10m dry=1"));
	assert_string_equal(request.pairs, "enabled=0");
	assert_int_equal(request.for_ms, 10 * 60 * 1000);
	assert_true(request.is_dry);
	assert_non_null(read_line("sockleak/1 off now"));
	assert_non_null(read_line("sockleak/1 off for=x"));
}

static void what_is_to_be_set(void **state)
{
	(void)state;
	assert_null(read_line("sockleak/1 set action=shutdown  deadline=60s"));
	assert_string_equal(request.pairs, "action=shutdown deadline=60s");
	assert_int_equal(request.for_ms, SL_FOR_UNSAID);
	assert_false(request.is_dry);
	assert_null(read_line("sockleak/1 set for=2h action=shutdown dry=1"));
	assert_string_equal(request.pairs, "action=shutdown");
	assert_int_equal(request.for_ms, 2 * 3600 * 1000);
	assert_true(request.is_dry);
	assert_null(read_line("sockleak/1 set for=forever action=close"));
	assert_int_equal(request.for_ms, SL_FOR_EVER);
	assert_null(read_line("sockleak/1 set for=366h action=close"));
}

static void what_is_to_be_reaped(void **state)
{
	(void)state;
	assert_null(read_line("sockleak/1 reap"));
	assert_int_equal(request.kind, SL_REQUEST_REAP);
	assert_int_equal(request.for_ms, SL_FOR_UNSAID);
	assert_string_equal(request.pairs, "");
	assert_null(read_line("sockleak/1 reap older_than=60000ms peer=10.0.0.0/8:443 dry_run=1"));
	assert_int_equal(request.for_ms, 60000);
	assert_string_equal(request.pairs, "10.0.0.0/8:443");
	assert_true(request.is_dry);
	assert_null(read_line("sockleak/1 reap older_than=0ms inbound=1"));
	assert_int_equal(request.for_ms, 0);
	assert_true(request.is_inbound && !request.is_dry);
	assert_non_null(read_line("sockleak/1 reap peer=:80,action=close"));
	assert_non_null(read_line("sockleak/1 reap older_than=25h"));
	assert_non_null(read_line("sockleak/1 reap now"));
	assert_string_equal(code, "value");
	assert_non_null(read_line("sockleak/1 reap older_than="));
}

static void refusals(void **state)
{
	(void)state;
	static const struct {
		const char *line, *code;
	} bad[] = {
		{"", "version"},
		{"sockleak", "version"},
		{"sockleak/11 version", "version"},
		{"SOCKLEAK/1 version", "version"},
		{"sockleak/1", "usage"},
		{"sockleak/1 Version", "usage"},
		{"sockleak/1 versions", "usage"},
		{"sockleak/1 snapshot", "usage"},
		{"sockleak/1 snapshot jsonx", "usage"},
		{"sockleak/1 set", "value"},
		{"sockleak/1 set for=2h", "value"},
		{"sockleak/1 set a=b for=", "value"},
		{"sockleak/1 set a=b for=1", "value"},
		{"sockleak/1 set a=b for=-1s", "value"},
		{"sockleak/1 set a=b for=1ms", "value"},
		{"sockleak/1 set a=b for=9000h", "value"},
		{"sockleak/1 set a=b for=99999999999999999999999999999999999999999h", "value"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why = read_line(bad[i].line);
		if (!why)
			fail_msg("%s", bad[i].line);
		assert_string_equal(code, bad[i].code);
	}
}

static void the_longest_line(void **state)
{
	(void)state;
	char line[SL_REQUEST_BYTES];
	memset(line, 'x', sizeof(line));
	memcpy(line, "sockleak/1 set ", 15);
	line[sizeof(line) - 1] = 0;
	assert_null(read_line(line));
	assert_int_equal(strlen(request.pairs), sizeof(line) - 1 - 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked),        cmocka_unit_test(what_is_to_be_set),
		cmocka_unit_test(what_is_to_be_reaped), cmocka_unit_test(refusals),
		cmocka_unit_test(the_longest_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
