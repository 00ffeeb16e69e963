/* test_scope.c - programs=: which names fit. children= is seen in test/e2e/test_power.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/scope.h"

static void an_empty_list_fits_all(void **state)
{
	(void)state;
	assert_true(sl_scope_fits("", "java"));
	assert_true(sl_scope_fits("", ""));
}

static void names_and_globs(void **state)
{
	(void)state;
	assert_true(sl_scope_fits("java", "java"));
	assert_false(sl_scope_fits("java", "javac"));
	assert_false(sl_scope_fits("java", "/usr/bin/java"));
	assert_true(sl_scope_fits("java*", "javac"));
	assert_true(sl_scope_fits("[a-j]ava", "java"));
	assert_false(sl_scope_fits("[k-z]ava", "java"));
	assert_true(sl_scope_fits("nginx,java", "java"));
	assert_true(sl_scope_fits("nginx,java", "nginx"));
	assert_false(sl_scope_fits("nginx,java", "nginx,java"));
	assert_false(sl_scope_fits("nginx,java", ""));
	assert_true(sl_scope_fits("*", "anything"));
}

static void empty_members_fit_nothing(void **state)
{
	(void)state;
	assert_false(sl_scope_fits(",", "java"));
	assert_false(sl_scope_fits(",,", ""));
	assert_true(sl_scope_fits(",java,", "java"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_fits_all),
		cmocka_unit_test(names_and_globs),
		cmocka_unit_test(empty_members_fit_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
