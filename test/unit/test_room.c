/* test_room.c - is there stack enough? On stacks with a page below them that nobody may touch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#include "stack/room.h"

#define PAGE 4096u
#define STACK (64u << 10)

static ucontext_t back, there;
static uintptr_t bottom; /* of the stack that runs */
static unsigned asked, wrong_yes, wrong_no;

__attribute__((noinline)) static void descend(void)
{
	volatile char room[256];
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	room[0] = 0;
	bool is_enough = sl_room_is_enough();
	uintptr_t left = here - bottom;
	asked++;
	wrong_yes += is_enough && left < SL_ROOM_BYTES;
	wrong_no += !is_enough && left > SL_ROOM_BYTES + 2 * PAGE;
	if (left > 2 * PAGE)
		descend();
	wrong_yes += sl_room_is_enough() && left < SL_ROOM_BYTES; /* on the way back, too */
	room[1] = room[0];
}

static char *new_stack(void)
{
	char *memory = mmap(NULL, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                    -1, 0);
	assert_true(memory != MAP_FAILED);
	assert_int_equal(mprotect(memory, PAGE, PROT_NONE), 0);
	return memory;
}

static void run_on(char *memory)
{
	bottom = (uintptr_t)memory + PAGE;
	assert_int_equal(getcontext(&there), 0);
	there.uc_stack.ss_sp = memory + PAGE;
	there.uc_stack.ss_size = STACK;
	there.uc_link = &back;
	makecontext(&there, descend, 0);
	assert_int_equal(swapcontext(&back, &there), 0);
}

static void the_end_of_a_stack_is_seen(void **state)
{
	(void)state;
	char *memory = new_stack();
	run_on(memory);
	assert_true(asked > 100);
	assert_int_equal(wrong_yes, 0);
	assert_int_equal(wrong_no, 0);
	assert_int_equal(munmap(memory, STACK + PAGE), 0);
}

/* The thread goes from one stack to another, as coroutines do. */
static void each_stack_is_asked_about(void **state)
{
	(void)state;
	char *memory[] = {new_stack(), new_stack(), new_stack()};
	for (unsigned i = 0; i < 12; i++) {
		run_on(memory[i % 3]);
		assert_true(sl_room_is_enough()); /* here */
	}
	assert_int_equal(wrong_yes, 0);
	assert_int_equal(wrong_no, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(munmap(memory[i], STACK + PAGE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_stack_is_seen),
		cmocka_unit_test(each_stack_is_asked_about),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
