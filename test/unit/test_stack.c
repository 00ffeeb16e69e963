/* test_stack.c - who is calling: the site and the thread of one call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/options.h"
#include "ledger/sites.h"
#include "ledger/threads.h"
#include "stack/names.h"
#include "stack/native.h"
#include "stack/stack.h"

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	sl_options.stacks = SL_STACKS_NATIVE; /* this program may be built with a sanitizer */
	sl_native_open();
	sl_native_start();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	sl_options_defaults(&sl_options);
	return 0;
}

/* Like a hook; a place is a line that calls it. */
__attribute__((noinline)) static struct sl_origin origin(void)
{
	struct sl_guard g;
	assert_true(sl_guard_enter(&g));
	struct sl_origin found = sl_stack_origin(&g, __builtin_return_address(0), true);
	sl_guard_leave(&g);
	return found;
}

__attribute__((noinline)) static struct sl_origin deep(unsigned frames)
{
	struct sl_origin found = frames ? deep(frames - 1) : origin();
	__asm__ volatile("");
	return found;
}

static void one_place_is_one_site(void **state)
{
	(void)state;
	uint32_t sites[3];
	for (volatile int i = 0; i < 3; i++)
		sites[i] = origin().site;
	uint32_t another = origin().site;
	assert_true(sites[0] > SL_SITE_NO_STACK);
	assert_int_equal(sites[1], sites[0]);
	assert_int_equal(sites[2], sites[0]);
	assert_true(another > SL_SITE_NO_STACK);
	assert_int_not_equal(another, sites[0]);
	const struct sl_site *site = sl_site_get(another);
	assert_int_equal(site->kind, SL_STACK_NATIVE);
	assert_true(site->frame_count >= 2);
	assert_false(site->is_cut);
}

static void depth_cuts(void **state)
{
	(void)state;
	sl_options.depth = 5;
	const struct sl_site *site = sl_site_get(deep(20).site);
	assert_int_equal(site->frame_count, 5);
	assert_true(site->is_cut);
	sl_options.depth = 1;
	site = sl_site_get(deep(20).site);
	assert_int_equal(site->frame_count, 1);
	sl_options.depth = 256;
	site = sl_site_get(deep(20).site);
	assert_true(site->frame_count > 20);
	assert_false(site->is_cut);
	site = sl_site_get(deep(300).site);
	assert_int_equal(site->frame_count, 256);
	assert_true(site->is_cut);
}

static void stacks_none(void **state)
{
	(void)state;
	sl_options.stacks = SL_STACKS_NONE;
	struct sl_origin found = origin();
	assert_int_equal(found.site, SL_SITE_NO_STACK);
	assert_true(found.thread != 0);
	sl_options.stacks = SL_STACKS_NATIVE;
	assert_true(origin().site > SL_SITE_NO_STACK);
}

/* Is the stack of this line known already? */
__attribute__((noinline)) static bool is_known(void)
{
	struct sl_guard g = {true};
	uint64_t words[SL_NATIVE_WORDS(64)];
	bool is_cut;
	const void *caller = __builtin_return_address(0);
	bool is_known = sl_native_capture_known(&g, caller, words, 64, &is_cut) > 0;
	(void)sl_native_capture(&g, caller, words, 64, &is_cut);
	return is_known;
}

/* Other code may come where it was. */
static void unloaded_code_is_forgotten(void **state)
{
	(void)state;
	sl_names_native(); /* what was unloaded before */
	for (volatile int round = 0; round < 4; round++) {
		bool was_known = is_known();
		assert_int_equal(was_known, round % 2);
		if (round != 1)
			continue;
		void *object = dlopen("libnss_files.so.2", RTLD_NOW);
		if (!object)
			object = dlopen("libanl.so.1", RTLD_NOW);
		assert_non_null(object);
		dlclose(object);
		(void)origin(); /* a new stack */
		sl_names_native();
	}
}

static void *name_and_ask(void *name)
{
	pthread_setname_np(pthread_self(), name);
	struct sl_origin found = origin();
	sl_site_count_opened(found.site, found.thread);
	return (void *)(uintptr_t)found.thread;
}

static uint32_t thread_named(const char *name)
{
	pthread_t thread;
	void *id;
	assert_int_equal(pthread_create(&thread, NULL, name_and_ask, (void *)(uintptr_t)name), 0);
	pthread_join(thread, &id);
	return (uint32_t)(uintptr_t)id;
}

static void threads_have_names(void **state)
{
	(void)state;
	uint32_t first = thread_named("upload-1");
	uint32_t second = thread_named("upload-2");
	assert_string_equal(sl_thread_name(first), "upload-1");
	assert_string_equal(sl_thread_name(second), "upload-2");
	/* The id belongs to the name, not to the thread. */
	assert_int_equal(thread_named("upload-1"), first);
	/* As long as a name can be (prctl(2)). */
	assert_string_equal(sl_thread_name(thread_named("123456789012345")), "123456789012345");
}

/* A pool renames its threads: the new name is seen at the next site, and at a known one that does not know it. */
static void a_thread_is_renamed(void **state)
{
	(void)state;
	char before[16];
	pthread_getname_np(pthread_self(), before, sizeof(before));
	for (volatile int round = 0; round < 2; round++) {
		pthread_setname_np(pthread_self(), round ? "second" : "first");
		struct sl_origin found = origin();
		assert_string_equal(sl_thread_name(found.thread), round ? "second" : "first");
	}
	pthread_setname_np(pthread_self(), before);
}

static void nameless(void **state)
{
	(void)state;
	assert_int_equal(thread_named(""), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_place_is_one_site),      TEST(depth_cuts),          TEST(stacks_none),
		TEST(threads_have_names),         TEST(a_thread_is_renamed), TEST(nameless),
		TEST(unloaded_code_is_forgotten),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
