/* test_threads.c - thread names and their ids, up to the last one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/threads.h"
#include "racers.h"

static uint32_t intern_text(const char *name)
{
	return sl_thread_intern(name, strlen(name));
}

static void equal_names_have_one_id(void **state)
{
	(void)state;
	uint32_t main_id = intern_text("main"), pool = intern_text("pool-1-thread-1");
	assert_int_not_equal(main_id, 0);
	assert_int_not_equal(pool, 0);
	assert_int_not_equal(main_id, pool);
	assert_int_equal(intern_text("main"), main_id);
	assert_string_equal(sl_thread_name(main_id), "main");
	assert_string_equal(sl_thread_name(pool), "pool-1-thread-1");
	assert_int_not_equal(intern_text("mai"), main_id);
	assert_int_not_equal(intern_text("maim"), main_id);
	assert_null(sl_thread_name(0));
	assert_null(sl_thread_name(SL_THREADS_MAX - 1));
	assert_null(sl_thread_name(UINT32_MAX));
}

/* The name is a copy of n bytes: no NUL need follow them, and the buffer may change. */
static void a_name_is_copied(void **state)
{
	(void)state;
	char buffer[6] = {'a', 'b', 'c', 'd', 'e', 'f'};
	uint32_t id = sl_thread_intern(buffer, 3);
	buffer[0] = 'x';
	assert_string_equal(sl_thread_name(id), "abc");
	assert_int_equal(intern_text("abc"), id);
	assert_string_equal(sl_thread_name(sl_thread_intern(buffer, 6)), "xbcdef");
	assert_string_equal(sl_thread_name(sl_thread_intern(buffer, 0)), "");
}

static _Atomic unsigned wrong;

static void take_names(unsigned index, void *context)
{
	(void)index;
	(void)context;
	for (unsigned i = 0; i < RACE_ROUNDS(20000u); i++) {
		char name[32];
		snprintf(name, sizeof(name), "shared-%u", i % 100);
		const char *kept = sl_thread_name(intern_text(name));
		wrong += !kept || strcmp(kept, name) != 0;
	}
}

static void threads_share_names(void **state)
{
	(void)state;
	race(4, take_names, NULL);
	assert_int_equal(wrong, 0);
}

/* Each id has a bit in each site: none may be beyond. */
static void a_full_table_gives_zero(void **state)
{
	(void)state;
	char name[32];
	uint32_t highest = 0, zeros = 0;
	for (unsigned i = 0; i < 2 * SL_THREADS_MAX; i++) {
		snprintf(name, sizeof(name), "pool-%u-thread-1", i);
		uint32_t id = intern_text(name);
		highest = id > highest ? id : highest;
		zeros += id == 0;
		if (id)
			assert_string_equal(sl_thread_name(id), name);
	}
	assert_int_equal(highest, SL_THREADS_MAX - 1);
	assert_true(zeros > SL_THREADS_MAX);
	assert_int_not_equal(intern_text("main"), 0);
	assert_int_equal(intern_text("one more"), 0);
}

static int set_up(void **state)
{
	(void)state;
	alarm(60);
	return 0;
}

int main(void)
{
	/* One table for the process: the last test fills it. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_names_have_one_id),
		cmocka_unit_test(a_name_is_copied),
		cmocka_unit_test(threads_share_names),
		cmocka_unit_test(a_full_table_gives_zero),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
