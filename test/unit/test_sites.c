/* test_sites.c - the record of each distinct stack: identity, the three fixed sites, counts, the full table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/sites.h"
#include "racers.h"

static uint32_t intern_stack(enum sl_stack_kind kind, const uint64_t *words, uint32_t frames)
{
	bool is_unnamed;
	struct sl_stack stack = {kind, frames, false, words};
	return sl_site_intern(&stack, &is_unnamed);
}

static uint64_t opened_at(uint32_t site)
{
	return sl_site_get(site)->opened;
}

static void the_fixed_sites_are_there_from_the_start(void **state)
{
	(void)state;
	assert_int_equal(sl_site_last(), 2);
	for (uint32_t id = SL_SITE_OVERFLOW; id <= SL_SITE_NO_STACK; id++) {
		assert_non_null(sl_site_get(id));
		assert_int_equal(sl_site_get(id)->kind, SL_STACK_NONE);
		assert_null(sl_site_get(id)->named);
	}
	assert_null(sl_site_get(3));
	assert_null(sl_site_get(SL_SITES_MAX));
	assert_null(sl_site_get(SL_SITES_MAX + 1));
	assert_null(sl_site_get(UINT32_MAX));
	/* Nothing that is captured falls together with them. */
	for (uint64_t word = 1; word <= 2; word++) {
		assert_true(intern_stack(SL_STACK_NATIVE, &word, 1) > SL_SITE_NO_STACK);
		assert_true(intern_stack(SL_STACK_JAVA, (uint64_t[]){word, 0}, 1) >
		            SL_SITE_NO_STACK);
	}
}

static void equal_stacks_are_one_site(void **state)
{
	(void)state;
	const uint64_t words[] = {0x401000, 0x402000, 0x403000, 0x404000};
	const uint64_t copy[] = {0x401000, 0x402000, 0x403000, 0x404000};
	uint32_t site = intern_stack(SL_STACK_NATIVE, words, 4);
	assert_int_equal(intern_stack(SL_STACK_NATIVE, copy, 4), site);
	/* Another depth, kind, order or word is another site. */
	const uint64_t swapped[] = {0x402000, 0x401000, 0x403000, 0x404000};
	const uint64_t other[] = {0x401000, 0x402000, 0x403000, 0x404001};
	const uint32_t others[] = {
		intern_stack(SL_STACK_NATIVE, words, 3),
		intern_stack(SL_STACK_JAVA, words, 2),
		intern_stack(SL_STACK_NATIVE, swapped, 4),
		intern_stack(SL_STACK_NATIVE, other, 4),
	};
	for (int i = 0; i < 4; i++) {
		assert_int_not_equal(others[i], site);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(others[i], others[j]);
	}
	const struct sl_site *kept = sl_site_get(site);
	assert_int_equal(kept->head.id, site);
	assert_int_equal(kept->kind, SL_STACK_NATIVE);
	assert_int_equal(kept->frame_count, 4);
	assert_memory_equal(kept->words, words, sizeof(words));
}

static void a_java_stack_has_two_words_a_frame(void **state)
{
	(void)state;
	uint64_t words[2 * SL_STACK_MAX];
	for (unsigned i = 0; i < 2 * SL_STACK_MAX; i++)
		words[i] = 0x7f0000000000 + i;
	uint32_t site = intern_stack(SL_STACK_JAVA, words, SL_STACK_MAX);
	assert_memory_equal(sl_site_get(site)->words, words, sizeof(words));
	words[2 * SL_STACK_MAX - 1]++; /* the line of the outermost frame */
	assert_int_not_equal(intern_stack(SL_STACK_JAVA, words, SL_STACK_MAX), site);
}

static void a_site_is_unnamed_until_it_is_named(void **state)
{
	(void)state;
	static const struct sl_site_frames frames = {.count = 0};
	const uint64_t word = 0x500000;
	struct sl_stack stack = {SL_STACK_NATIVE, 1, true, &word};
	bool is_unnamed = false;
	uint32_t site = sl_site_intern(&stack, &is_unnamed);
	assert_true(is_unnamed);
	assert_true(sl_site_get(site)->is_cut);
	is_unnamed = false;
	assert_int_equal(sl_site_intern(&stack, &is_unnamed), site);
	assert_true(is_unnamed);
	sl_site_get(site)->named = &frames;
	assert_int_equal(sl_site_intern(&stack, &is_unnamed), site);
	assert_false(is_unnamed);
}

static void openings_and_threads_are_noted(void **state)
{
	(void)state;
	static const uint32_t threads[] = {0, 1, 63, 64, SL_THREADS_MAX - 1};
	const uint64_t word = 0x600000, other_word = 0x600001;
	uint32_t site = intern_stack(SL_STACK_NATIVE, &word, 1);
	uint32_t other = intern_stack(SL_STACK_NATIVE, &other_word, 1);
	for (unsigned i = 0; i < 5; i++) {
		assert_false(sl_site_knows_thread(site, threads[i]));
		sl_site_count_opened(site, threads[i]);
		assert_true(sl_site_knows_thread(site, threads[i]));
		assert_false(sl_site_knows_thread(other, threads[i]));
	}
	sl_site_count_opened(site, 1);
	assert_int_equal(opened_at(site), 6);
	assert_int_equal(opened_at(other), 0);
	assert_false(sl_site_knows_thread(site, 2));
	assert_false(sl_site_knows_thread(site, 62));
	assert_false(sl_site_knows_thread(site, 65));
	/* No such site. */
	sl_site_count_opened(SL_SITES_MAX, 1);
	assert_false(sl_site_knows_thread(SL_SITES_MAX, 1));
}

/* ---- threads that come from the same stacks ---- */

#define COMERS 4
#define STACKS 150u
#define VISITS RACE_ROUNDS(40000u)

static uint64_t word_of(uint64_t stack, uint64_t frame)
{
	return 0x700000000 + stack * 1000 + frame;
}

static uint32_t intern_numbered(uint64_t stack)
{
	uint64_t words[20];
	uint32_t frames = 1 + (uint32_t)(stack % 20);
	for (uint64_t frame = 0; frame < frames; frame++)
		words[frame] = word_of(stack, frame);
	return intern_stack(SL_STACK_NATIVE, words, frames);
}

static _Atomic unsigned wrong;

static void visit(unsigned index, void *context)
{
	(void)context;
	for (unsigned i = 0; i < VISITS; i++) {
		uint64_t stack = i % STACKS;
		uint32_t id = intern_numbered(stack);
		const struct sl_site *site = sl_site_get(id);
		sl_site_count_opened(id, 100 + index);
		wrong += !site || site->words[0] != word_of(stack, 0) ||
		         site->frame_count != 1 + stack % 20 ||
		         site->words[site->frame_count - 1] != word_of(stack, stack % 20);
	}
}

static void threads_share_sites(void **state)
{
	(void)state;
	uint32_t before = sl_site_last();
	uint64_t opened = 0;
	race(COMERS, visit, NULL);
	assert_int_equal(wrong, 0);
	unsigned shown = 0;
	for (uint32_t id = before + 1; id <= sl_site_last(); id++)
		shown += sl_site_get(id) != NULL;
	assert_int_equal(shown, STACKS);
	for (uint64_t stack = 0; stack < STACKS; stack++) {
		uint32_t id = intern_numbered(stack);
		opened += opened_at(id);
		assert_int_equal(opened_at(id) % COMERS, 0);
		for (uint32_t index = 0; index < COMERS; index++)
			assert_true(sl_site_knows_thread(id, 100 + index));
		assert_false(sl_site_knows_thread(id, 100 + COMERS));
	}
	assert_int_equal(opened, COMERS * VISITS);
	assert_int_equal(sl_sites_dropped(), 0);
}

static void a_full_table_overflows_and_counts(void **state)
{
	(void)state;
	uint64_t last_kept = 0, dropped = 0;
	for (uint64_t stack = 1000; stack < 1000 + 2 * SL_SITES_MAX; stack++)
		if (intern_numbered(stack) == SL_SITE_OVERFLOW)
			dropped++;
		else
			last_kept = stack;
	assert_true(dropped > SL_SITES_MAX / 2);
	assert_int_equal(sl_sites_dropped(), dropped);
	assert_int_equal(sl_site_last(), SL_SITES_MAX);
	assert_int_not_equal(intern_numbered(last_kept), SL_SITE_OVERFLOW);
	uint64_t before = opened_at(SL_SITE_OVERFLOW);
	sl_site_count_opened(intern_numbered(999999), 5);
	assert_int_equal(opened_at(SL_SITE_OVERFLOW), before + 1);
	assert_true(sl_site_knows_thread(SL_SITE_OVERFLOW, 5));
}

static int set_up(void **state)
{
	(void)state;
	alarm(60);
	sl_sites_start();
	return 0;
}

int main(void)
{
	/* One table for the process: the last test fills it. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fixed_sites_are_there_from_the_start),
		cmocka_unit_test(equal_stacks_are_one_site),
		cmocka_unit_test(a_java_stack_has_two_words_a_frame),
		cmocka_unit_test(a_site_is_unnamed_until_it_is_named),
		cmocka_unit_test(openings_and_threads_are_noted),
		cmocka_unit_test(threads_share_sites),
		cmocka_unit_test(a_full_table_overflows_and_counts),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
