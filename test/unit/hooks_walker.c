/* hooks_walker.c - the pipe of the stack walker, as the doors see it. Skipped where there is no libunwind. */
#include "doors.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clerk.h"
#include "base/guard.h"
#include "base/ownfd.h"
#include "base/sys.h"
#include "hooks/real.h"
#include "hooks/walker.h"
#include "stack/native.h"

#define STACK_BYTES (1u << 20)

static int opened; /* pipes, by the real call */

static int counted_pipe2(int fds[2], int flags)
{
	opened++;
	return (int)SL_SYS2(SYS_pipe2, fds, flags);
}

static void *walk(void *found)
{
	struct sl_guard g;
	uint64_t words[32];
	bool is_cut;
	if (sl_guard_enter(&g))
		*(uint32_t *)found = sl_native_capture(&g, NULL, words, 32, &is_cut);
	sl_guard_leave(&g);
	return NULL;
}

/* On a stack where nobody was before: the walker knows none of its addresses. */
static uint32_t walk_in_a_thread(void)
{
	pthread_t thread;
	pthread_attr_t attributes;
	uint32_t found = 0;
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	assert_ptr_not_equal(stack, MAP_FAILED);
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK_BYTES), 0);
	assert_int_equal(pthread_create(&thread, &attributes, walk, &found), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return found;
}

static int own_numbers(int numbers[SL_OWN_FDS])
{
	int n = 0;
	for (int fd = -1; (fd = sl_ownfd_first_in((unsigned)fd + 1, INT32_MAX)) >= 0;)
		numbers[n++] = fd;
	return n;
}

/* None of the program's numbers is needed, nor touched, not even to load the library. */
static int open_without_a_number(void *unused)
{
	(void)unused;
	sl_walker_reserve();
	sl_clerk_start();
	while (dup(0) >= 0)
		;
	sl_native_open();
	sl_native_start();
	uint32_t found = 0;
	(void)walk(&found);
	NEED(found > 0);
	return 0;
}

static void the_walker_opens_nothing_among_the_programs(void **state)
{
	(void)state;
	if (is_sanitized() || !dlopen("libunwind.so.8", RTLD_LAZY))
		skip();
	assert_int_equal(in_fork(open_without_a_number, NULL), 0);
}

static void the_first_pipe_is_reserved(void **state)
{
	(void)state;
	int numbers[SL_OWN_FDS], fds[2] = {-1, -1};
	UNTOUCHED((sl_walker_reserve(), 0));
	assert_int_equal(own_numbers(numbers), 2);
	assert_true(numbers[0] >= SL_OWN_FD_FLOOR);
	sl_walker_reserve(); /* once */
	assert_int_equal(own_numbers(numbers), 2);
	assert_false(sl_walker_gets(fds, NULL)); /* the program has its own */
	assert_int_equal(fds[0], -1);
	sl_real.pipe2 = counted_pipe2;
	sl_native_open();
	sl_native_start();
	assert_int_equal(opened, 0);
	if (walk_in_a_thread() == 0)
		skip();
	assert_int_equal(opened, 0);
}

/* Both ends are the program's by now, and say so if they are touched. */
static void what_took_its_place_is_left_alone(void **state)
{
	(void)state;
	int numbers[SL_OWN_FDS], ends[2];
	char bytes[8];
	if (own_numbers(numbers) != 2 || walk_in_a_thread() == 0)
		skip();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	for (int i = 0; i < 2; i++)
		assert_int_equal(dup2(ends[0], numbers[i]), numbers[i]);
	assert_true(walk_in_a_thread() > 0);
	assert_int_equal(opened, 1);
	assert_int_equal(read(numbers[0], bytes, sizeof(bytes)), 3);
	errno = 0;
	assert_int_equal(read(ends[1], bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, EAGAIN);
	for (int i = 0; i < 2; i++)
		assert_int_equal(close(numbers[i]), 0);
	assert_int_equal(own_numbers(numbers), 2);
	/* The end that is written, past the hooks. */
	assert_int_equal(SL_SYS3(SYS_dup3, ends[0], numbers[1], 0), numbers[1]);
	assert_true(walk_in_a_thread() > 0);
	assert_int_equal(opened, 2);
	errno = 0;
	assert_int_equal(read(ends[1], bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(sl_sys_close(numbers[1]) + close(ends[0]) + close(ends[1]), 0);
}

/* The doors of read() and close() are the program's own elsewhere. */
static void it_is_asked_of_the_walker_alone(void **state)
{
	(void)state;
	int numbers[SL_OWN_FDS];
	if (own_numbers(numbers) != 2)
		skip();
	for (int i = 0; i < 2; i++) {
		assert_false(sl_walker_has_lost(numbers[i], NULL));
		assert_false(sl_walker_closes(numbers[i], NULL));
	}
	assert_false(sl_walker_has_lost(-1, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_walker_opens_nothing_among_the_programs),
		cmocka_unit_test(the_first_pipe_is_reserved),
		cmocka_unit_test(what_took_its_place_is_left_alone),
		cmocka_unit_test(it_is_asked_of_the_walker_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
