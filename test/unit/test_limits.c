/* test_limits.c - ports and fds that there are, against what /proc and getrlimit(2) say. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "watch/limits.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void set_soft(rlim_t soft)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = soft;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static rlim_t get_soft(void)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit.rlim_cur;
}

/* Must run first: there is no clerk yet, so nothing has been read. */
static void unknown_without_a_clerk(void **state)
{
	(void)state;
	rlim_t soft = get_soft();
	struct sl_limits limits;
	memset(&limits, 0x55, sizeof(limits));
	set_soft(3);
	sl_limits_read(&limits);
	set_soft(soft);
	assert_int_equal(limits.port_low, -1);
	assert_int_equal(limits.port_high, -1);
	assert_int_equal(limits.ports_reserved, 0);
	assert_int_equal(limits.nofile_soft, 3);
}

static void as_the_kernel_says(void **state)
{
	(void)state;
	struct sl_limits limits;
	int low, high;
	sl_clerk_start();
	FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	assert_non_null(range);
	assert_int_equal(fscanf(range, "%d %d", &low, &high), 2);
	fclose(range);
	sl_limits_read(&limits);
	assert_int_equal(limits.port_low, low);
	assert_int_equal(limits.port_high, high);
	assert_int_equal(limits.nofile_soft, get_soft());
	assert_true(limits.nofile_hard == -1 || limits.nofile_hard >= limits.nofile_soft);
	assert_in_range(limits.tcp_tw_reuse, 0, 2);
	assert_in_range(limits.ports_reserved, 0, high - low + 1);
}

/* Out of fds, of all times, the limits are needed. */
static void remembered_while_out_of_fds(void **state)
{
	(void)state;
	rlim_t soft = get_soft();
	struct sl_limits before, limits;
	sl_limits_read(&before);
	set_soft(3);
	sl_limits_read(&limits);
	set_soft(soft);
	assert_true(before.port_low > 0);
	assert_int_equal(limits.port_low, before.port_low);
	assert_int_equal(limits.port_high, before.port_high);
	assert_int_equal(limits.nofile_soft, 3);
}

static void no_file_stays_open(void **state)
{
	(void)state;
	struct sl_limits limits;
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(before >= 0);
	close(before);
	sl_limits_read(&limits);
	int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	assert_int_equal(after, before);
}

static void reserved_ports(void **state)
{
	(void)state;
	static const struct {
		const char *list;
		int32_t low, high, count;
	} rows[] = {
		{"", 32768, 60999, 0},
		{"\n", 32768, 60999, 0},
		{"40000\n", 32768, 60999, 1},
		{"32767,61000\n", 32768, 60999, 0},
		{"32768,60999\n", 32768, 60999, 2},
		{"40000-40009\n", 32768, 60999, 10},
		{"40000-40000", 32768, 60999, 1},
		{"1-65535", 32768, 60999, 28232},
		{"1-32768,60999-65535", 32768, 60999, 2},
		{"8080,9148,40000-40099,50000", 32768, 60999, 101},
		{"1-100", 32768, 60999, 0},
		{"61000-65535", 32768, 60999, 0},
		{"5", 5, 5, 1},
		{"0-10", 0, 0, 1},
		/* Cut, or nonsense: counted as far as it can be read, and always to an end. */
		{"40000,", 32768, 60999, 1},
		{"40000,4000", 32768, 60999, 1},
		{"40000-", 32768, 60999, 0},
		{"40010-40000", 32768, 60999, 0},
		{"abc", 32768, 60999, 0},
		{",", 32768, 60999, 0},
		{"-5", 32768, 60999, 0},
		{"40000 40001", 32768, 60999, 1},
		{"99999999999999999999", 32768, 60999, 0},
	};
	static uint8_t bits[SL_PORT_BITS_BYTES];
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int32_t count = sl_limits_count_reserved(rows[i].list, rows[i].low, rows[i].high);
		if (count != rows[i].count)
			fail_msg("\"%s\": %d", rows[i].list, count);
		sl_limits_mark_reserved(rows[i].list, bits);
		for (int32_t port = rows[i].low; port <= rows[i].high; port++)
			count -= bits[port / 8] >> (port % 8) & 1;
		if (count != 0)
			fail_msg("\"%s\": %d more than there are bits", rows[i].list, count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_without_a_clerk),
		cmocka_unit_test(as_the_kernel_says),
		cmocka_unit_test(remembered_while_out_of_fds),
		cmocka_unit_test(no_file_stays_open),
		cmocka_unit_test(reserved_ports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
