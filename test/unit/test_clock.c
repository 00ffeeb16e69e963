/* test_clock.c - our clock, and another library's that says what it likes: this program's own clock_gettime() stands still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){.tv_sec = 1};
	return 0;
}

static uint64_t kernel_ms(clockid_t clock)
{
	struct timespec ts = {0};
	(void)syscall(SYS_clock_gettime, clock, &ts);
	return sl_clock_to_ms(ts);
}

static void is_close(uint64_t ours, clockid_t clock)
{
	assert_in_range(ours + 5000, kernel_ms(clock), kernel_ms(clock) + 5000);
}

static void before_its_start_libc_is_asked(void **state)
{
	(void)state;
	assert_int_equal(sl_clock_ms(), 1000);
}

static void then_the_kernel(void **state)
{
	(void)state;
	sl_clock_start();
	is_close(sl_clock_ms(), CLOCK_MONOTONIC);
	is_close(sl_clock_wall_ms(), CLOCK_REALTIME);
	is_close(sl_clock_to_ms(sl_clock_read(CLOCK_BOOTTIME)), CLOCK_BOOTTIME);
	assert_int_equal(sl_clock_to_ms(sl_clock_read(999)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_its_start_libc_is_asked),
		cmocka_unit_test(then_the_kernel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
