/* test_arena.c - memory from the kernel: aligned, zeroed, bounded, shared by threads; pools that take it back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "racers.h"

#define PAGE 4096u
#define MIB (1u << 20)

static bool is_zero(const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const char *)bytes)[i])
			return false;
	return true;
}

static void pieces_are_aligned_zeroed_and_apart(void **state)
{
	(void)state;
	struct sl_arena arena = SL_ARENA(4 * PAGE, 0);
	char *pieces[1000];
	for (size_t n = 0; n < 1000; n++) {
		pieces[n] = sl_arena_alloc(&arena, n);
		assert_non_null(pieces[n]);
		assert_int_equal((uintptr_t)pieces[n] % 8, 0);
		assert_true(is_zero(pieces[n], n));
		memset(pieces[n], (int)(n % 251), n);
	}
	for (size_t n = 0; n < 1000; n++)
		for (size_t i = 0; i < n; i++)
			assert_int_equal((unsigned char)pieces[n][i], n % 251);
	sl_arena_free(&arena);
	assert_int_equal(arena.taken_bytes, 0);
}

/* Around each size at which a chunk of its own is just filled. */
static void pieces_larger_than_a_chunk_get_their_own(void **state)
{
	(void)state;
	struct sl_arena arena = SL_ARENA(PAGE, 16 * MIB);
	for (size_t pages = 1; pages <= 8; pages++)
		for (size_t less = 0; less <= 64; less++) {
			size_t n = pages * PAGE - less;
			size_t before = arena.taken_bytes;
			char *piece = sl_arena_alloc(&arena, n);
			assert_non_null(piece);
			assert_true(arena.taken_bytes - before <= (pages + 1) * PAGE);
			piece[0] = piece[n - 1] = 1;
		}
	sl_arena_free(&arena);
	char *large = sl_arena_alloc(&arena, 7 * MIB);
	assert_non_null(large);
	large[7 * MIB - 1] = 1;
	sl_arena_free(&arena);
}

static void the_limit_holds(void **state)
{
	(void)state;
	struct sl_arena arena = SL_ARENA(PAGE, 4 * PAGE);
	assert_null(sl_arena_alloc(&arena, 4 * PAGE));
	assert_int_equal(arena.taken_bytes, 0);
	unsigned pieces = 0;
	while (pieces < 100 && sl_arena_alloc(&arena, 1024))
		pieces++;
	assert_in_range(pieces, 8, 16);
	assert_true(arena.taken_bytes <= 4 * PAGE);
	/* What is left of a chunk still serves. */
	assert_non_null(sl_arena_alloc(&arena, 16));
	sl_arena_free(&arena);
	assert_non_null(sl_arena_alloc(&arena, 1024));
	sl_arena_free(&arena);
}

static void absurd_sizes_are_refused(void **state)
{
	(void)state;
	struct sl_arena arena = SL_ARENA(PAGE, 0);
	struct sl_pool pool = SL_POOL(PAGE, 0);
	static const size_t sizes[] = {SIZE_MAX,     SIZE_MAX - 7, SIZE_MAX - 8,
	                               SIZE_MAX / 2, SIZE_MAX / 4, (size_t)1 << 62};
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_null(sl_arena_alloc(&arena, sizes[i]));
		assert_null(sl_pool_alloc(&pool, sizes[i]));
	}
	assert_null(sl_arena_text(&arena, "", SIZE_MAX));
	assert_int_equal(arena.taken_bytes, 0);
	assert_int_equal(pool.arena.taken_bytes, 0);
}

static void text_is_copied_with_its_end(void **state)
{
	(void)state;
	struct sl_arena arena = SL_ARENA(PAGE, 4 * PAGE);
	char given[] = "abcdef";
	char *copy = sl_arena_text(&arena, given, 3);
	given[0] = 'x';
	assert_string_equal(copy, "abc");
	assert_string_equal(sl_arena_text(&arena, "", 0), "");
	assert_null(sl_arena_text(&arena, given, 5 * PAGE)); /* over the limit: not read either */
	sl_arena_free(&arena);
}

/* ---- threads ---- */

#define TAKERS 4
#define TAKEN RACE_ROUNDS(40000u)

struct taking {
	struct sl_arena arena;
	unsigned wrong[TAKERS];
};

/* Each writes its mark all over its pieces, and at the end finds it still there. */
static void take(unsigned index, void *context)
{
	struct taking *taking = context;
	unsigned char **last = NULL; /* a list through the pieces themselves */
	for (unsigned i = 0; i < TAKEN; i++) {
		size_t n = 16 + i % 50;
		unsigned char **piece = sl_arena_alloc(&taking->arena, n);
		taking->wrong[index] += !piece || !is_zero(piece, n);
		if (!piece)
			return;
		memset(piece, (int)index + 1, n);
		*piece = (unsigned char *)last;
		last = piece;
	}
	for (unsigned i = TAKEN; i > 0 && last; i--) {
		unsigned char *bytes = (unsigned char *)last;
		for (size_t at = sizeof(void *); at < 16 + (i - 1) % 50; at++)
			taking->wrong[index] += bytes[at] != index + 1;
		last = (unsigned char **)*last;
	}
}

static void threads_get_pieces_of_their_own(void **state)
{
	(void)state;
	struct taking taking = {.arena = SL_ARENA(4 * PAGE, 0)};
	race(TAKERS, take, &taking);
	for (unsigned i = 0; i < TAKERS; i++)
		assert_int_equal(taking.wrong[i], 0);
	/* Two threads may each have begun a chunk: the loser's went back. */
	size_t asked = (size_t)TAKERS * TAKEN * 48;
	assert_true(taking.arena.taken_bytes < asked + asked / 4);
	sl_arena_free(&taking.arena);
}

struct first_chunk {
	struct sl_arena arena;
	struct meeting meeting;
	unsigned wrong;
};

/* All find an empty arena and bring a chunk: one is kept, and only that one is counted. */
static void take_first(unsigned index, void *context)
{
	struct first_chunk *first = context;
	for (unsigned i = 0; i < RACE_ROUNDS(2000u); i++) {
		meet(&first->meeting, TAKERS);
		bool has_one = sl_arena_alloc(&first->arena, 16) != NULL;
		meet(&first->meeting, TAKERS);
		if (index > 0)
			continue;
		first->wrong += !has_one || first->arena.taken_bytes != PAGE;
		sl_arena_free(&first->arena);
	}
}

static void a_chunk_that_came_too_late_goes_back(void **state)
{
	(void)state;
	struct first_chunk first = {.arena = SL_ARENA(PAGE, 0)};
	race(TAKERS, take_first, &first);
	assert_int_equal(first.wrong, 0);
}

/* ---- pools ---- */

static void a_pool_gives_pieces_again(void **state)
{
	(void)state;
	struct sl_pool pool = SL_POOL(PAGE, 64 * PAGE);
	char *first = sl_pool_alloc(&pool, 100);
	char *second = sl_pool_alloc(&pool, 100);
	assert_int_equal((uintptr_t)first % 16, 0);
	assert_int_equal((uintptr_t)second % 16, 0);
	assert_ptr_not_equal(first, second);
	sl_pool_free(&pool, first, 100);
	sl_pool_free(&pool, second, 100);
	sl_pool_free(&pool, NULL, 100);
	/* Any size of the same class: 65 to 128 bytes. */
	assert_ptr_equal(sl_pool_alloc(&pool, 65), second);
	assert_ptr_equal(sl_pool_alloc(&pool, 128), first);
	assert_ptr_not_equal(sl_pool_alloc(&pool, 128), first);
	sl_pool_free(&pool, first, 128);
	assert_ptr_not_equal(sl_pool_alloc(&pool, 129), first);
	assert_ptr_not_equal(sl_pool_alloc(&pool, 64), first);
	sl_pool_reset(&pool);
}

/* Sizes from 0 to a MiB, freed and taken again: the memory does not grow. */
static void a_pool_does_not_grow_with_reuse(void **state)
{
	(void)state;
	struct sl_pool pool = SL_POOL(PAGE, 16 * MIB);
	size_t after_first = 0;
	for (int round = 0; round < 50; round++) {
		for (size_t n = 0; n <= MIB; n = 2 * n + 1) {
			char *piece = sl_pool_alloc(&pool, n);
			assert_non_null(piece);
			memset(piece, 0x5a, n);
			sl_pool_free(&pool, piece, n);
		}
		if (round == 0)
			after_first = pool.arena.taken_bytes;
	}
	assert_int_equal(pool.arena.taken_bytes, after_first);
	sl_pool_reset(&pool);
	assert_int_equal(pool.arena.taken_bytes, 0);
	assert_non_null(sl_pool_alloc(&pool, 100));
	sl_pool_reset(&pool);
}

static void a_pool_keeps_to_its_limit(void **state)
{
	(void)state;
	struct sl_pool pool = SL_POOL(PAGE, 2 * PAGE);
	unsigned pieces = 0;
	void *last = NULL;
	for (void *piece; pieces < 100 && (piece = sl_pool_alloc(&pool, 512)); pieces++)
		last = piece;
	assert_in_range(pieces, 8, 16);
	assert_null(sl_pool_alloc(&pool, 512));
	sl_pool_free(&pool, last, 512);
	assert_ptr_equal(sl_pool_alloc(&pool, 512), last);
	assert_null(sl_pool_alloc(&pool, (size_t)16 << SL_POOL_CLASSES));
	sl_pool_reset(&pool);
}

static int set_up(void **state)
{
	(void)state;
	alarm(60);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
		cmocka_unit_test(pieces_larger_than_a_chunk_get_their_own),
		cmocka_unit_test(the_limit_holds),
		cmocka_unit_test(absurd_sizes_are_refused),
		cmocka_unit_test(text_is_copied_with_its_end),
		cmocka_unit_test(threads_get_pieces_of_their_own),
		cmocka_unit_test(a_chunk_that_came_too_late_goes_back),
		cmocka_unit_test(a_pool_gives_pieces_again),
		cmocka_unit_test(a_pool_does_not_grow_with_reuse),
		cmocka_unit_test(a_pool_keeps_to_its_limit),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
