/* test_directory.c - the names in a directory: all of them, as many as are wanted, and none that is no directory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/directory.h"

#define MANY 500 /* more than one reading brings */

static char folder[] = "/tmp/sockleak-directory-XXXXXX";

struct seen {
	unsigned times[MANY];
	unsigned others; /* "." and ".." */
	unsigned left;   /* until it is enough */
};

static bool see(void *context, int directory, const char *name)
{
	struct seen *seen = context;
	const int64_t number = sl_directory_number(name);
	assert_int_equal(faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW), 0);
	if (number >= 0 && number < MANY)
		seen->times[number]++;
	else
		seen->others++;
	return --seen->left > 0;
}

static int make(void **state)
{
	char path[64], target[32];
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(path, sizeof(path), "%s/%d", folder, i);
		(void)snprintf(target, sizeof(target), "target:[%d]", i);
		if (symlink(target, path) < 0)
			return -1;
	}
	return 0;
}

static int clear(void **state)
{
	char path[64];
	(void)state;
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(path, sizeof(path), "%s/%d", folder, i);
		(void)unlink(path);
	}
	return rmdir(folder);
}

static void every_name_once(void **state)
{
	struct seen seen = {.left = UINT32_MAX};
	(void)state;
	int fd = sl_directory_open(AT_FDCWD, folder);
	assert_true(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	assert_int_equal(sl_directory_each(fd, see, &seen), 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(seen.times[i], 1);
	assert_int_equal(seen.others, 2);
	assert_int_equal(close(fd), 0);
}

static void as_many_as_are_wanted(void **state)
{
	struct seen seen = {.left = 7};
	unsigned count = 0;
	(void)state;
	int at = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = sl_directory_open(at, folder + strlen("/tmp/"));
	assert_true(fd >= 0);
	assert_int_equal(sl_directory_each(fd, see, &seen), 0);
	for (int i = 0; i < MANY; i++)
		count += seen.times[i];
	assert_int_equal(count + seen.others, 7);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(at), 0);
}

static void where_a_link_leads(void **state)
{
	char link[32];
	(void)state;
	int fd = sl_directory_open(AT_FDCWD, folder);
	assert_int_equal(sl_directory_link(fd, "42", link, sizeof(link)), 11);
	assert_string_equal(link, "target:[42]");
	assert_int_equal(sl_directory_link(fd, "42", link, 7), 6);
	assert_string_equal(link, "target");
	assert_int_equal(sl_directory_link(fd, "none", link, sizeof(link)), -ENOENT);
	assert_string_equal(link, "");
	assert_int_equal(close(fd), 0);
}

static void what_is_none(void **state)
{
	struct seen seen = {.left = 1};
	char path[64];
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/none", folder);
	errno = E2BIG;
	assert_int_equal(sl_directory_open(AT_FDCWD, path), -ENOENT);
	assert_int_equal(sl_directory_open(AT_FDCWD, "/proc/self/exe"), -ENOTDIR);
	assert_int_equal(sl_directory_each(-1, see, &seen), -EBADF);
	assert_int_equal(seen.left, 1);
	assert_int_equal(errno, E2BIG);
}

static void numbers(void **state)
{
	(void)state;
	assert_int_equal(sl_directory_number("0"), 0);
	assert_int_equal(sl_directory_number("12719"), 12719);
	assert_int_equal(sl_directory_number("17]"), 17);
	assert_int_equal(sl_directory_number("4294967296"), 4294967296);
	assert_int_equal(sl_directory_number("9223372036854775808"), 0);
	assert_true(sl_directory_number("99999999999999999999999999") >= 0);
	assert_int_equal(sl_directory_number(""), -1);
	assert_int_equal(sl_directory_number("."), -1);
	assert_int_equal(sl_directory_number("-1"), -1);
	assert_int_equal(sl_directory_number("self"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_once),
		cmocka_unit_test(as_many_as_are_wanted),
		cmocka_unit_test(where_a_link_leads),
		cmocka_unit_test(what_is_none),
		cmocka_unit_test(numbers),
	};
	return cmocka_run_group_tests(tests, make, clear);
}
