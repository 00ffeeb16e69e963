/* test_fdnames.c - names of connections: they belong to one record of a number, and not to the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ledger/fdnames.h"
#include "ledger/fdtable.h"
#include "racers.h"

#define FD 5

static uint32_t open_fd(int fd)
{
	const struct sl_fd_opening opening = {.kind = SL_KIND_TCP, .opened_at_ms = 1};
	struct sl_fd_record record;
	sl_fdtable_prepare();
	assert_true(sl_fdtable_open(fd, &opening));
	assert_true(sl_fdtable_get(fd, &record));
	return record.generation;
}

static void close_fd(int fd)
{
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	sl_fdtable_commit(&forgotten);
}

static bool set_name(int fd, const char *name)
{
	return sl_fdname_set(fd, name, strlen(name));
}

static void a_name_ends_with_its_record(void **state)
{
	(void)state;
	uint32_t first = open_fd(FD);
	assert_null(sl_fdname_get(FD, first));
	assert_true(set_name(FD, "db-pool"));
	assert_string_equal(sl_fdname_get(FD, first), "db-pool");
	close_fd(FD);
	assert_false(set_name(FD, "late"));
	uint32_t second = open_fd(FD);
	assert_int_not_equal(second, first);
	assert_null(sl_fdname_get(FD, second));
	close_fd(FD);
}

static void a_name_is_changed_and_taken_back(void **state)
{
	(void)state;
	uint32_t generation = open_fd(FD);
	assert_true(set_name(FD, "one"));
	assert_true(set_name(FD, "two"));
	assert_string_equal(sl_fdname_get(FD, generation), "two");
	assert_true(set_name(FD, ""));
	assert_null(sl_fdname_get(FD, generation));
	close_fd(FD);
}

static void equal_names_are_one(void **state)
{
	(void)state;
	uint32_t a = open_fd(FD), b = open_fd(FD + 1);
	assert_true(set_name(FD, "db-pool") && set_name(FD + 1, "db-pool"));
	assert_ptr_equal(sl_fdname_get(FD, a), sl_fdname_get(FD + 1, b));
	close_fd(FD);
	assert_string_equal(sl_fdname_get(FD + 1, b), "db-pool");
	close_fd(FD + 1);
}

static void a_long_name_is_cut(void **state)
{
	(void)state;
	uint32_t generation = open_fd(FD);
	assert_true(set_name(FD, "0123456789012345678901234567890123456789"));
	assert_string_equal(sl_fdname_get(FD, generation), "0123456789012345678901234567890");
	close_fd(FD);
}

static void a_copy_has_the_name(void **state)
{
	(void)state;
	struct sl_fd_record copy;
	(void)open_fd(FD);
	assert_true(set_name(FD, "db-pool"));
	assert_true(sl_fdtable_dup(FD, FD + 2));
	assert_true(sl_fdtable_get(FD + 2, &copy));
	assert_string_equal(sl_fdname_get(FD + 2, copy.generation), "db-pool");
	/* What has none gives none. */
	(void)open_fd(FD + 1);
	assert_true(sl_fdtable_dup(FD + 1, FD + 2));
	assert_true(sl_fdtable_get(FD + 2, &copy));
	assert_null(sl_fdname_get(FD + 2, copy.generation));
	for (int fd = FD; fd <= FD + 2; fd++)
		close_fd(fd);
}

/* A thread that copied the number, and was overtaken by a close and another open. */
static void a_late_copy_does_no_harm(void **state)
{
	(void)state;
	uint32_t from = open_fd(FD), before = open_fd(FD + 1), after;
	assert_true(set_name(FD, "old"));
	close_fd(FD + 1);
	after = open_fd(FD + 1);
	assert_true(set_name(FD + 1, "new"));
	sl_fdname_copy(FD, from, FD + 1, before);
	assert_string_equal(sl_fdname_get(FD + 1, after), "new");
	close_fd(FD);
	close_fd(FD + 1);
}

static void numbers_out_of_range_have_none(void **state)
{
	(void)state;
	assert_false(set_name(-1, "x"));
	assert_false(set_name(INT32_MAX, "x"));
	assert_false(set_name(4000, "x"));
	assert_null(sl_fdname_get(-1, 1));
	assert_null(sl_fdname_get(INT32_MAX, 0));
	assert_null(sl_fdname_get(4000, 0));
}

static _Atomic unsigned wrong;

static void name_own_number(unsigned index, void *context)
{
	(void)context;
	int fd = 2048 + (int)index; /* of a chunk that all of them make */
	char name[16];
	snprintf(name, sizeof(name), "racer-%u", index);
	const struct sl_fd_opening opening = {.kind = SL_KIND_TCP, .opened_at_ms = 1};
	for (unsigned i = 0; i < RACE_ROUNDS(5000u); i++) {
		struct sl_fd_record record;
		wrong += !sl_fdtable_open(fd, &opening) || !sl_fdtable_get(fd, &record);
		wrong += sl_fdname_get(fd, record.generation) != NULL;
		wrong += !sl_fdname_set(fd, name, strlen(name));
		const char *kept = sl_fdname_get(fd, record.generation);
		wrong += !kept || strcmp(kept, name) != 0;
		close_fd(fd);
	}
}

static void threads_name_at_once(void **state)
{
	(void)state;
	(void)open_fd(2048);
	race(4, name_own_number, NULL);
	assert_int_equal(wrong, 0);
}

/* The last test: it fills the table. */
static void a_full_table_keeps_the_old_name(void **state)
{
	(void)state;
	uint32_t generation = open_fd(FD);
	char name[16];
	unsigned i = 0;
	do
		snprintf(name, sizeof(name), "name-%u", i);
	while (set_name(FD, name) && ++i <= SL_FDNAMES_MAX);
	assert_in_range(i, SL_FDNAMES_MAX / 2, SL_FDNAMES_MAX);
	snprintf(name, sizeof(name), "name-%u", i - 1);
	assert_string_equal(sl_fdname_get(FD, generation), name);
	assert_true(set_name(FD, "name-0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_ends_with_its_record),
		cmocka_unit_test(a_name_is_changed_and_taken_back),
		cmocka_unit_test(equal_names_are_one),
		cmocka_unit_test(a_long_name_is_cut),
		cmocka_unit_test(a_copy_has_the_name),
		cmocka_unit_test(a_late_copy_does_no_harm),
		cmocka_unit_test(numbers_out_of_range_have_none),
		cmocka_unit_test(threads_name_at_once),
		cmocka_unit_test(a_full_table_keeps_the_old_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
