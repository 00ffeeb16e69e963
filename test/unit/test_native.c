/* test_native.c - native stacks of real calls, and life without libunwind. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/options.h"
#include "captured.h"
#include "ledger/sites.h"
#include "stack/native.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SMALL_STACK_BYTES (256u << 10) /* its own frames are large */
#else
#define SMALL_STACK_BYTES ((size_t)PTHREAD_STACK_MIN)
#endif

#define NOINLINE __attribute__((noinline))

static bool is_libunwind_missing;

/* Stands before libc's. */
void *dlopen(const char *name, int flags)
{
	static void *(*real)(const char *, int);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "dlopen");
	if (is_libunwind_missing && name && strstr(name, "libunwind"))
		return NULL;
	return real(name, flags);
}

struct walk {
	uint64_t words[SL_NATIVE_WORDS(SL_STACK_MAX)];
	uint32_t count;
	uint32_t limit;
	bool is_cut;
	const void *caller;  /* the address that door() returns to */
	const void *callers; /* ... and the one that its caller returns to */
};

/* Like a hook: it is called by the program and walks from there on. */
NOINLINE static void door(struct walk *walk)
{
	struct sl_guard g = {true};
	walk->caller = __builtin_return_address(0);
	errno = 4711;
	walk->count = sl_native_capture(&g, walk->caller, walk->words, walk->limit, &walk->is_cut);
	assert_int_equal(errno, 4711);
}

NOINLINE static void outer(struct walk *walk)
{
	walk->callers = __builtin_return_address(0);
	door(walk);
	__asm__ volatile("");
}

NOINLINE static void deep(struct walk *walk, unsigned frames)
{
	if (frames > 0)
		deep(walk, frames - 1);
	else
		outer(walk);
	__asm__ volatile("");
}

/* Must run first: nothing has opened libunwind yet. */
static void nothing_before_the_start(void **state)
{
	(void)state;
	struct walk walk = {.limit = 64};
	outer(&walk);
	assert_int_equal(walk.count, 0);
}

static void missing_libunwind_is_said(void **state)
{
	(void)state;
	struct walk walk = {.limit = 64};
	capture_stderr();
	is_libunwind_missing = true;
	sl_native_open();
	sl_native_start();
	is_libunwind_missing = false;
	outer(&walk);
	const char *said = captured_stderr();
	assert_string_equal(
		said,
		"sockleak: libunwind.so.8 cannot be opened: going on without native stacks\n");
	assert_int_equal(walk.count, 0);
}

static void the_caller_comes_first(void **state)
{
	(void)state;
	struct walk walk = {.limit = 64};
	sl_native_open();
	sl_native_start();
	sl_native_start(); /* a second time does no harm */
	outer(&walk);
	assert_true(walk.count >= 3);
	assert_false(walk.is_cut);
	assert_true(walk.words[0] == (uint64_t)(uintptr_t)walk.caller);
	assert_true(walk.words[1] == (uint64_t)(uintptr_t)walk.callers);
	for (uint32_t i = 0; i < walk.count; i++)
		assert_true(walk.words[i] != 0);
}

static void the_same_call_is_the_same_stack(void **state)
{
	(void)state;
	struct walk walks[3] = {{.limit = 64}, {.limit = 64}, {.limit = 64}};
	for (volatile int i = 0; i < 2; i++) /* not unrolled: one call, made twice */
		outer(&walks[i]);
	outer(&walks[2]);
	assert_int_equal(walks[0].count, walks[1].count);
	assert_memory_equal(walks[0].words, walks[1].words, walks[0].count * sizeof(uint64_t));
	/* Another line of this function. */
	assert_int_equal(walks[0].count, walks[2].count);
	assert_true(walks[0].words[1] != walks[2].words[1]);
}

static void no_more_than_the_limit(void **state)
{
	(void)state;
	static const uint32_t limits[] = {1, 2, 8, 64, 255, 256};
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		static struct walk walk;
		memset(&walk, 0, sizeof(walk));
		walk.limit = limits[i];
		deep(&walk, 300);
		assert_int_equal(walk.count, limits[i]);
		assert_true(walk.is_cut);
		assert_true(walk.words[0] == (uint64_t)(uintptr_t)walk.caller);
	}
}

/* A limit that the stack just reaches cuts nothing, one less does. */
static void the_limit_itself(void **state)
{
	(void)state;
	static struct walk walk;
	walk = (struct walk){.limit = SL_STACK_MAX};
	deep(&walk, 40);
	assert_false(walk.is_cut);
	uint32_t depth = walk.count;
	walk = (struct walk){.limit = depth};
	deep(&walk, 40);
	assert_int_equal(walk.count, depth);
	assert_false(walk.is_cut);
	walk = (struct walk){.limit = depth - 1};
	deep(&walk, 40);
	assert_int_equal(walk.count, depth - 1);
	assert_true(walk.is_cut);
}

/* An address that the walk does not meet: better our own frames as well than none. */
static void a_caller_that_is_not_met(void **state)
{
	(void)state;
	struct sl_guard g = {true};
	uint64_t words[SL_NATIVE_WORDS(64)];
	bool is_cut;
	assert_true(sl_native_capture(&g, (void *)1, words, 64, &is_cut) > 2);
}

static struct walk from_handler;

static void handle(int number)
{
	(void)number;
	outer(&from_handler);
}

static void in_a_signal_handler(void **state)
{
	(void)state;
	struct sigaction action = {.sa_handler = handle}, before;
	from_handler = (struct walk){.limit = 64};
	assert_int_equal(sigaction(SIGUSR2, &action, &before), 0);
	raise(SIGUSR2);
	sigaction(SIGUSR2, &before, NULL);
	assert_true(from_handler.count > 3);
	assert_true(from_handler.words[0] == (uint64_t)(uintptr_t)from_handler.caller);
}

static void *walk_here(void *context)
{
	outer(context);
	return NULL;
}

/* With the default depth, the stack that a thread must have anyway is enough. */
static void on_a_small_stack(void **state)
{
	(void)state;
	static struct walk walk;
	pthread_attr_t small;
	pthread_t thread;
	walk = (struct walk){.limit = 64};
	pthread_attr_init(&small);
	assert_int_equal(pthread_attr_setstacksize(&small, SMALL_STACK_BYTES), 0);
	assert_int_equal(pthread_create(&thread, &small, walk_here, &walk), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&small);
	assert_true(walk.count >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_before_the_start),
		cmocka_unit_test(missing_libunwind_is_said),
		cmocka_unit_test(the_caller_comes_first),
		cmocka_unit_test(the_same_call_is_the_same_stack),
		cmocka_unit_test(no_more_than_the_limit),
		cmocka_unit_test(the_limit_itself),
		cmocka_unit_test(a_caller_that_is_not_met),
		cmocka_unit_test(in_a_signal_handler),
		cmocka_unit_test(on_a_small_stack),
	};
	sl_options.stacks = SL_STACKS_NATIVE; /* this program may be built with a sanitizer */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
