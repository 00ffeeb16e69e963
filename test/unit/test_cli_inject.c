/* test_cli_inject.c - what bringing a library in rests on: mappings, symbols in memory, system calls, the frame of a signal. The rest
 * needs a process: test/e2e/test_inject*.py. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/inject_calls.h"
#include "cli/inject_machine.h"
#include "cli/inject_maps.h"
#include "cli/inject_object.h"

struct fixture {
	struct sl_maps maps;
	int memory;
};

static int set_up(void **state)
{
	struct fixture *own = calloc(1, sizeof(*own));
	assert_int_equal(sl_maps_read(getpid(), &own->maps), 0);
	own->memory = sl_memory_open(getpid());
	assert_true(own->memory >= 0);
	*state = own;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *own = *state;
	sl_maps_free(&own->maps);
	close(own->memory);
	free(own);
	return 0;
}

static const struct sl_map *map_of(const struct fixture *own, const void *address)
{
	return sl_maps_at(&own->maps, (uintptr_t)address);
}

/* ---- mappings ---- */

static void test_a_mapping_is_found_by_an_address(void **state)
{
	const struct fixture *own = *state;
	/* No local: under ASan that may lie elsewhere. */
	const struct sl_map *stack = map_of(own, __builtin_frame_address(0)),
			    *code = map_of(own, (void *)strtoul);
	size_t n;
	assert_non_null(stack);
	assert_string_equal(stack->path, "[stack]");
	assert_true(stack->is_writable && !stack->is_executable);
	assert_non_null(code);
	assert_true(code->is_executable && !code->is_writable && code->inode);
	const char *name = sl_map_name(code, &n);
	assert_int_equal(n, strlen("libc.so.6"));
	assert_memory_equal(name, "libc.so.6", n);
	const struct sl_map *first = sl_maps_first(&own->maps, code);
	assert_non_null(first);
	assert_int_equal(first->offset, 0);
	assert_string_equal(first->path, code->path);
	assert_null(sl_maps_at(&own->maps, 16));
}

static void test_a_deleted_file_has_its_name(void **state)
{
	(void)state;
	struct sl_map map = {.path = "/usr/lib/libc.so.6 (deleted)"};
	size_t n;
	const char *name = sl_map_name(&map, &n);
	assert_int_equal(n, 9);
	assert_memory_equal(name, "libc.so.6", 9);
	map.path = "[vdso]";
	(void)sl_map_name(&map, &n);
	assert_int_equal(n, 0);
}

static void test_no_process_has_no_mappings(void **state)
{
	(void)state;
	struct sl_maps maps;
	assert_int_equal(sl_maps_read(0x3fffffff, &maps), -ESRCH);
	assert_int_equal(sl_memory_open(0x3fffffff), -ESRCH);
}

/* ---- objects ---- */

static void read_libc(const struct fixture *own, struct sl_object *object)
{
	const struct sl_map *first = sl_maps_first(&own->maps, map_of(own, (void *)strtoul));
	assert_true(sl_object_read(own->memory, first->start, object));
}

static void test_functions_are_found_as_the_loader_finds_them(void **state)
{
	const struct fixture *own = *state;
	static const char *const names[] = {"dlsym", "dlerror", "__errno_location", "strtoul",
	                                    "socket"};
	struct sl_object libc;
	void *handle = dlopen("libc.so.6", RTLD_NOW);
	read_libc(own, &libc);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(sl_object_function(own->memory, &libc, names[i]),
		                 (uintptr_t)dlsym(handle, names[i]));
	uint64_t bytes = 0;
	assert_int_equal(sl_object_function_bytes(own->memory, &libc, "pthread_sigmask", &bytes),
	                 (uintptr_t)dlsym(handle, "pthread_sigmask"));
	assert_in_range(bytes, 32, 512);
	assert_int_equal(sl_object_function(own->memory, &libc, "no_such_function"), 0);
	assert_int_equal(sl_object_function(own->memory, &libc, ""), 0);
	/* Data is no function. */
	assert_int_equal(sl_object_function(own->memory, &libc, "environ"), 0);
	dlclose(handle);
}

static void test_the_room_behind_code_is_no_ones(void **state)
{
	const struct fixture *own = *state;
	struct sl_object libc;
	uint64_t start, end, slack;
	read_libc(own, &libc);
	assert_true(sl_object_code(&libc, &start, &end));
	assert_true(start <= (uintptr_t)strtoul && (uintptr_t)strtoul < end);
	const size_t n = sl_object_slack(&libc, &slack);
	assert_true(n < 4096 && slack >= end && (slack + n) % 4096 == 0);
	/* Full to its last byte, or with data on the same page: none. */
	for (unsigned i = 0; i < libc.n; i++)
		if (libc.segments[i].p_flags & PF_X) {
			libc.segments[i].p_memsz++;
			assert_int_equal(sl_object_slack(&libc, &slack), 0);
			libc.segments[i].p_memsz--;
			libc.segments[(i + 1) % libc.n] = libc.segments[i];
			libc.segments[(i + 1) % libc.n].p_flags = PF_R;
			libc.segments[(i + 1) % libc.n].p_vaddr += 16;
			assert_int_equal(sl_object_slack(&libc, &slack), 0);
			return;
		}
	fail();
}

static void test_bytes_that_are_no_object_are_refused(void **state)
{
	const struct fixture *own = *state;
	struct sl_object object;
	unsigned char *page =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_false(sl_object_read(own->memory, (uintptr_t)page, &object));
	srand(4711);
	for (int round = 0; round < 2000; round++) {
		const struct sl_map *first =
			sl_maps_first(&own->maps, map_of(own, (void *)strtoul));
		memcpy(page, (void *)(uintptr_t)first->start, 4096);
		for (int i = 0; i < 8; i++)
			page[16 + rand() % 1000] = (unsigned char)rand();
		if (sl_object_read(own->memory, (uintptr_t)page, &object)) {
			uint64_t at;
			(void)sl_object_function(own->memory, &object, "dlopen");
			(void)sl_object_slack(&object, &at);
		}
	}
	munmap(page, 4096);
}

/* ---- system calls ---- */

static void test_calls_under_a_lock_are_not_taken(void **state)
{
	(void)state;
	static const int never[] = {SYS_mmap, SYS_munmap, SYS_brk,   SYS_mprotect,   SYS_madvise,
	                            SYS_exit, SYS_execve, SYS_vfork, SYS_sched_yield};
	const uint64_t none[6] = {0};
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert_int_equal(sl_call_use(never[i], none), SL_CALL_NO);
	assert_int_equal(sl_call_use(-1, none), SL_CALL_NO);
	assert_int_equal(sl_call_use(SYS_epoll_pwait, none), SL_CALL_WAITING);
	assert_int_equal(sl_call_use(SYS_write, none), SL_CALL_BEHIND);
}

static void test_of_futexes_only_those_of_conditions(void **state)
{
	(void)state;
	uint64_t arguments[6] = {0, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, 0, 0, 0};
	assert_int_equal(sl_call_use(SYS_futex, arguments), SL_CALL_NO);
	arguments[1] = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
	assert_int_equal(sl_call_use(SYS_futex, arguments), SL_CALL_NO);
	arguments[5] = FUTEX_BITSET_MATCH_ANY;
	assert_int_equal(sl_call_use(SYS_futex, arguments), SL_CALL_LAST);
	arguments[1] = FUTEX_LOCK_PI;
	assert_int_equal(sl_call_use(SYS_futex, arguments), SL_CALL_NO);
}

static void test_a_read_that_wants_all_is_not_cut(void **state)
{
	(void)state;
	uint64_t arguments[6] = {3, 0, 100, 0, 0, 0};
	assert_int_equal(sl_call_use(SYS_recvfrom, arguments), SL_CALL_WAITING);
	arguments[3] = MSG_WAITALL;
	assert_int_equal(sl_call_use(SYS_recvfrom, arguments), SL_CALL_BEHIND);
	arguments[2] = MSG_WAITALL;
	assert_int_equal(sl_call_use(SYS_recvmsg, arguments), SL_CALL_BEHIND);
}

/* ---- the frame of a signal ---- */

static struct {
	const struct fixture *own;
	uint64_t restorer;
	unsigned frames;
	struct sl_point interrupted;
} seen;

static bool is_code(void *context, uint64_t address)
{
	const struct sl_map *map = sl_maps_at(context, address);
	return map && map->is_executable;
}

__attribute__((no_sanitize("address"))) static void count_frames(const void *from)
{
	const struct sl_map *stack = map_of(seen.own, from);
	struct sl_maps maps = seen.own->maps;
	seen.frames = 0;
	for (uint64_t at = (uintptr_t)from & ~(uint64_t)7; at + 8 < stack->end; at += 8)
		if (*(const uint64_t *)(uintptr_t)at == seen.restorer &&
		    sl_machine_is_signal_frame(seen.own->memory, at, is_code, &maps,
		                               &seen.interrupted))
			seen.frames++;
}

static volatile sig_atomic_t has_come;
static int may_end = -1; /* a pipe from which somebody reads */

static void handle(int number)
{
	(void)number;
	has_come = 1;
	count_frames(__builtin_frame_address(0));
	if (may_end >= 0)
		assert_int_equal(write(may_end, "x", 1), 1);
}

static void interrupt_soon(int flags)
{
	const struct itimerval soon = {.it_value = {.tv_usec = 1000}};
	struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
	sigaction(SIGALRM, &action, NULL);
	has_come = 0;
	setitimer(ITIMER_REAL, &soon, NULL);
}

/* Each in its own way: one ended with EINTR, one to be begun again, one with a number that is not moved but made; and none. */
static void test_what_it_interrupted_is_known(void)
{
	int ends[2];
	char byte;
	assert_int_equal(pipe(ends), 0);
	interrupt_soon(0);
	assert_int_equal(select(0, NULL, NULL, NULL, NULL), -1);
	assert_int_equal(seen.interrupted.call, SYS_pselect6);
	assert_int_equal(seen.interrupted.result, -EINTR);
	interrupt_soon(0);
	assert_int_equal(read(ends[0], &byte, 1), -1);
	assert_int_equal(seen.interrupted.call, SYS_read);
	assert_int_equal(seen.interrupted.arguments[0], ends[0]);
	may_end = ends[1];
	interrupt_soon(SA_RESTART);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(seen.interrupted.call, SYS_read);
	assert_int_equal(seen.interrupted.arguments[2], 1);
	may_end = -1;
	interrupt_soon(0);
	while (!has_come)
		;
	assert_int_equal(seen.interrupted.call, -1);
	close(ends[0]);
	close(ends[1]);
}

static void test_a_handler_is_seen_on_the_stack(void **state)
{
	size_t n;
	uint64_t start, end;
	struct sl_object libc;
	const unsigned char *bytes = sl_machine_restorer(&n);
	seen.own = *state;
	read_libc(seen.own, &libc);
	assert_true(sl_object_code(&libc, &start, &end));
	const void *found = memmem((void *)(uintptr_t)start, end - start, bytes, n);
	assert_non_null(found);
	seen.restorer = (uintptr_t)found;
	count_frames(__builtin_frame_address(0));
	assert_int_equal(seen.frames, 0);
	signal(SIGUSR1, handle);
	raise(SIGUSR1);
	assert_int_equal(seen.frames, 1);
	assert_int_equal(seen.interrupted.call, SYS_tgkill);
	test_what_it_interrupted_is_known();
	/* Behind it nothing but the word in a variable is left, which alone makes no frame. */
	volatile uint64_t lone[256] = {seen.restorer};
	count_frames((const void *)lone);
	assert_int_equal(seen.frames, 0);
}

static void test_the_code_is_marked_and_small(void **state)
{
	(void)state;
	size_t n;
	const unsigned char *code = sl_machine_code(&n);
	assert_memory_equal(code, "sockleak", SL_MACHINE_MARK_BYTES);
	assert_true(n < 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_mapping_is_found_by_an_address, set_up,
	                                        tear_down),
		cmocka_unit_test(test_a_deleted_file_has_its_name),
		cmocka_unit_test(test_no_process_has_no_mappings),
		cmocka_unit_test_setup_teardown(test_functions_are_found_as_the_loader_finds_them,
	                                        set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_room_behind_code_is_no_ones, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(test_bytes_that_are_no_object_are_refused, set_up,
	                                        tear_down),
		cmocka_unit_test(test_calls_under_a_lock_are_not_taken),
		cmocka_unit_test(test_of_futexes_only_those_of_conditions),
		cmocka_unit_test(test_a_read_that_wants_all_is_not_cut),
		cmocka_unit_test_setup_teardown(test_a_handler_is_seen_on_the_stack, set_up,
	                                        tear_down),
		cmocka_unit_test(test_the_code_is_marked_and_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
