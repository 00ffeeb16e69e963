/* test_names.c - frames in words: native ones against what the loader and readelf say, all of them made once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/options.h"
#include "stack/blame.h"
#include "stack/names.h"

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	sl_options_defaults(&sl_options);
	return 0;
}

static struct sl_site *site_of(enum sl_stack_kind kind, const uint64_t *words, uint32_t frames)
{
	struct sl_stack stack = {kind, frames, false, words};
	bool is_new;
	uint32_t id = sl_site_intern(&stack, &is_new);
	assert_true(id > SL_SITE_NO_STACK);
	return sl_site_get(id);
}

static const struct sl_site_frames *names_of(const uint64_t *words, uint32_t frames)
{
	struct sl_site *site = site_of(SL_STACK_NATIVE, words, frames);
	sl_names_native();
	const struct sl_site_frames *named = atomic_load(&site->named);
	assert_non_null(named);
	assert_int_equal(named->count, frames);
	return named;
}

/* A return address behind a call that ends `past` bytes into a function. */
static uint64_t return_address(const void *function, unsigned past)
{
	return (uint64_t)(uintptr_t)function + past + 1;
}

static const char *own_path(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = '\0';
	return path;
}

/* Its build id, as readelf says; "" if it has none. */
static const char *build_id_of(const char *path)
{
	static char id[256];
	char command[4200], line[512];
	id[0] = '\0';
	snprintf(command, sizeof(command), "readelf -n '%s' 2>/dev/null", path);
	FILE *output = popen(command, "re");
	assert_non_null(output);
	while (fgets(line, sizeof(line), output))
		(void)sscanf(line, " Build ID: %255s", id);
	pclose(output);
	return id;
}

static void a_function_of_libc(void **state)
{
	(void)state;
	Dl_info libc;
	assert_true(dladdr((void *)(uintptr_t)getenv, &libc));
	const uint64_t words[] = {return_address((void *)(uintptr_t)getenv, 3)};
	const struct sl_site_frames *named = names_of(words, 1);
	const struct sl_frame *frame = named->frames[0];
	assert_int_equal(frame->role, SL_ROLE_RUNTIME);
	assert_string_equal(frame->function, libc.dli_sname);
	assert_string_equal(frame->module, libc.dli_fname);
	assert_true(frame->offset ==
	            (uint64_t)((char *)(uintptr_t)getenv - (char *)libc.dli_fbase) + 3);
	assert_string_equal(frame->build_id, build_id_of(libc.dli_fname));
	assert_true(strlen(frame->build_id) >= 16);
	char text[512];
	snprintf(text, sizeof(text), "%s+0x3 (%s)", libc.dli_sname,
	         strrchr(libc.dli_fname, '/') + 1);
	assert_string_equal(frame->text, text);
	assert_null(frame->class_name);
	assert_null(frame->file);
	assert_int_equal(frame->line, 0);
	assert_int_equal(named->blame, SL_BLAME_NONE);
}

__attribute__((noinline)) static int static_function(int n)
{
	return n + 4711;
}

/* Without a name that is exported: module and offset. */
static void a_static_function_of_the_program(void **state)
{
	(void)state;
	Dl_info self;
	const void *at = (const void *)(uintptr_t)static_function;
	assert_true(dladdr(at, &self));
	const uint64_t words[] = {return_address((void *)(uintptr_t)getenv, 3),
	                          return_address(at, 0)};
	const struct sl_site_frames *named = names_of(words, 2);
	const struct sl_frame *frame = named->frames[1];
	assert_int_equal(frame->role, SL_ROLE_APPLICATION);
	assert_null(frame->function);
	assert_string_equal(frame->module, own_path());
	assert_true(frame->offset == (uint64_t)((const char *)at - (char *)self.dli_fbase));
	const char *build_id = build_id_of(own_path());
	assert_string_equal(frame->build_id ? frame->build_id : "", build_id);
	char text[512];
	snprintf(text, sizeof(text), "%s+0x%llx", strrchr(own_path(), '/') + 1,
	         (unsigned long long)frame->offset);
	assert_string_equal(frame->text, text);
	assert_int_equal(named->blame, 1);
}

/* The return address of a call that is a function's last instruction lies in the next function. */
static void the_call_and_not_what_follows_it(void **state)
{
	(void)state;
	Dl_info info;
	assert_true(dladdr((void *)(uintptr_t)getenv, &info));
	const uint64_t words[] = {(uint64_t)(uintptr_t)info.dli_saddr};
	const struct sl_frame *frame = names_of(words, 1)->frames[0];
	assert_true(!frame->function || strcmp(frame->function, info.dli_sname) != 0);
	assert_string_equal(frame->module, info.dli_fname);
}

static void code_made_at_run_time(void **state)
{
	(void)state;
	char *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	const uint64_t words[] = {return_address(page, 15), 1, 0};
	const struct sl_site_frames *named = names_of(words, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(named->frames[i]->role, SL_ROLE_RUNTIME);
		assert_null(named->frames[i]->module);
		assert_null(named->frames[i]->function);
		assert_true(strncmp(named->frames[i]->text, "(no module)+0x", 14) == 0);
	}
	assert_true(named->frames[0]->offset == (uint64_t)(uintptr_t)page + 15);
	munmap(page, 4096);
}

static void frames_are_shared_and_stay(void **state)
{
	(void)state;
	const uint64_t one[] = {return_address((void *)(uintptr_t)getenv, 1),
	                        return_address((void *)(uintptr_t)static_function, 1)};
	const uint64_t two[] = {return_address((void *)(uintptr_t)setenv, 1), one[1], one[0]};
	const struct sl_site_frames *first = names_of(one, 2);
	const struct sl_site_frames *second = names_of(two, 3);
	assert_ptr_equal(first->frames[1], second->frames[1]);
	assert_ptr_equal(first->frames[0], second->frames[2]);
	/* Named once, whatever is named later. */
	assert_ptr_equal(names_of(one, 2), first);
}

static void app_pins_the_blame(void **state)
{
	(void)state;
	const uint64_t words[] = {return_address((void *)(uintptr_t)static_function, 2),
	                          return_address((void *)(uintptr_t)getenv, 2)};
	strcpy(sl_options.app, "nobody,libc.so");
	assert_int_equal(names_of(words, 2)->blame, 1);
	assert_int_equal(names_of(words, 2)->frames[1]->role, SL_ROLE_APPLICATION);
}

static unsigned described;

static void describe(uint64_t word, uint64_t second, void *context, struct sl_frame *frame)
{
	described++;
	assert_string_equal(context, "context");
	frame->role = word == 7 ? SL_ROLE_APPLICATION : SL_ROLE_LIBRARY;
	frame->line = (int32_t)second;
	frame->text = "a frame";
}

/* Two words a frame: the same method at another place is another frame. */
static void java_frames(void **state)
{
	(void)state;
	const uint64_t words[] = {5, 10, 5, 11, 7, 10, 5, 10};
	struct sl_site *site = site_of(SL_STACK_JAVA, words, 4);
	described = 0;
	/* The worker leaves it to the thread that made it. */
	sl_names_native();
	assert_null(atomic_load(&site->named));
	sl_site_name(site, describe, "context");
	const struct sl_site_frames *named = atomic_load(&site->named);
	assert_int_equal(described, 3);
	assert_int_equal(named->count, 4);
	assert_int_equal(named->frames[0]->line, 10);
	assert_int_equal(named->frames[1]->line, 11);
	assert_ptr_equal(named->frames[3], named->frames[0]);
	assert_int_equal(named->blame, 2);
	sl_site_name(site, describe, "context");
	assert_int_equal(described, 3);
	assert_ptr_equal(atomic_load(&site->named), named);
}

/* The same words of another kind are another frame. */
static void kinds_are_told_apart(void **state)
{
	(void)state;
	const uint64_t word = return_address((void *)(uintptr_t)static_function, 3);
	const uint64_t words[] = {word, 0};
	struct sl_site *site = site_of(SL_STACK_JAVA, words, 1);
	const struct sl_frame *native = names_of(words, 1)->frames[0];
	sl_site_name(site, describe, "context");
	assert_ptr_not_equal(atomic_load(&site->named)->frames[0], native);
}

static void sites_without_a_stack(void **state)
{
	(void)state;
	described = 0;
	sl_site_name(sl_site_get(SL_SITE_ADOPTED), describe, "context");
	sl_site_name(sl_site_get(SL_SITE_OVERFLOW), describe, "context");
	assert_int_equal(described, 0);
	assert_null(atomic_load(&sl_site_get(SL_SITE_ADOPTED)->named));
}

static void describe_without_memory(uint64_t word, uint64_t second, void *context,
                                    struct sl_frame *frame)
{
	(void)word;
	(void)second;
	(void)context;
	frame->text = NULL;
}

static void a_frame_without_text(void **state)
{
	(void)state;
	const uint64_t words[] = {0xdead, 1};
	struct sl_site *site = site_of(SL_STACK_JAVA, words, 1);
	sl_site_name(site, describe_without_memory, NULL);
	assert_string_equal(atomic_load(&site->named)->frames[0]->text, "(no room for its name)");
	assert_int_equal(atomic_load(&site->named)->blame, SL_BLAME_NONE);
}

/* Must run last: it fills the table of frames. */
static void more_frames_than_there_is_room_for(void **state)
{
	(void)state;
	static uint64_t words[2 * SL_STACK_MAX];
	const struct sl_site_frames *named = NULL;
	for (uint64_t i = 0; i < 70; i++) {
		for (uint64_t frame = 0; frame < SL_STACK_MAX; frame++)
			words[2 * frame] = 0x1000000 + i * SL_STACK_MAX + frame;
		struct sl_site *site = site_of(SL_STACK_JAVA, words, SL_STACK_MAX);
		sl_site_name(site, describe, "context");
		named = atomic_load(&site->named);
		assert_non_null(named);
	}
	assert_string_equal(named->frames[SL_STACK_MAX - 1]->text, "(no room for its name)");
	assert_int_equal(named->frames[SL_STACK_MAX - 1]->role, SL_ROLE_RUNTIME);
	/* What is known already still is. */
	const uint64_t known[] = {5, 10, 0x7fffffff, 1};
	struct sl_site *site = site_of(SL_STACK_JAVA, known, 2);
	sl_site_name(site, describe, "context");
	assert_string_equal(atomic_load(&site->named)->frames[0]->text, "a frame");
	assert_string_equal(atomic_load(&site->named)->frames[1]->text, "(no room for its name)");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_function_of_libc),
		TEST(a_static_function_of_the_program),
		TEST(the_call_and_not_what_follows_it),
		TEST(code_made_at_run_time),
		TEST(frames_are_shared_and_stay),
		TEST(app_pins_the_blame),
		TEST(java_frames),
		TEST(kinds_are_told_apart),
		TEST(sites_without_a_stack),
		TEST(a_frame_without_text),
		TEST(more_frames_than_there_is_room_for),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
