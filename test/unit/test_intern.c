/* test_intern.c - the lock-free table that only grows: each key once, whoever comes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/intern.h"
#include "racers.h"

#define CAPACITY 256u

struct item {
	struct sl_interned head;
	uint64_t key;
	uint64_t twice; /* must be there when the item is found */
};

static _Atomic bool memory_is_out;

static bool item_equal(const struct sl_interned *item, const void *key)
{
	return ((const struct item *)item)->key == *(const uint64_t *)key;
}

static struct sl_interned *item_make(struct sl_arena *arena, const void *key)
{
	struct item *item = memory_is_out ? NULL : sl_arena_alloc(arena, sizeof(*item));
	if (!item)
		return NULL;
	item->key = *(const uint64_t *)key;
	item->twice = 2 * item->key;
	return &item->head;
}

static struct sl_arena arena = SL_ARENA(64u << 10, 0);

SL_INTERN(plain, CAPACITY, &arena, item_equal, item_make);
SL_INTERN(colliding, CAPACITY, &arena, item_equal, item_make);
SL_INTERN(brimful, CAPACITY, &arena, item_equal, item_make);
SL_INTERN(starved, CAPACITY, &arena, item_equal, item_make);
SL_INTERN(overrun, CAPACITY, &arena, item_equal, item_make);

static struct item *add(struct sl_intern *table, uint64_t hash, uint64_t key)
{
	return (struct item *)sl_intern(table, hash, &key);
}

static void each_key_has_one_item(void **state)
{
	(void)state;
	struct item *one = add(&plain, 1, 1), *two = add(&plain, 2, 2);
	assert_non_null(one);
	assert_non_null(two);
	assert_ptr_not_equal(one, two);
	assert_ptr_equal(add(&plain, 1, 1), one);
	assert_ptr_equal(add(&plain, 2, 2), two);
	assert_int_equal(one->head.id, 1);
	assert_int_equal(two->head.id, 2);
	assert_ptr_equal(sl_intern_get(&plain, 1), &one->head);
	assert_int_equal(sl_intern_last(&plain), 2);
	assert_int_equal(plain.dropped, 0);
}

static void an_id_that_is_not_there_is_null(void **state)
{
	(void)state;
	static const uint32_t ids[] = {0, 3, CAPACITY, CAPACITY + 1, UINT32_MAX};
	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_null(sl_intern_get(&plain, ids[i]));
}

/* Two keys with the same hash, and hashes that wrap round the end of the index. */
static void keys_of_equal_hash_are_kept_apart(void **state)
{
	(void)state;
	for (uint64_t key = 0; key < CAPACITY; key++)
		assert_int_equal(add(&colliding, UINT64_MAX, key)->head.id, key + 1);
	for (uint64_t key = 0; key < CAPACITY; key++) {
		struct item *item = add(&colliding, UINT64_MAX, key);
		assert_int_equal(item->key, key);
		assert_int_equal(item->head.id, key + 1);
	}
	/* The same place in the index, but another hash. */
	assert_null(add(&colliding, UINT64_MAX >> 1, 1));
}

static void a_full_table_drops_and_counts(void **state)
{
	(void)state;
	for (uint64_t key = 1; key <= CAPACITY; key++)
		assert_non_null(add(&brimful, key * 7, key));
	size_t taken = arena.taken_bytes;
	for (uint64_t key = CAPACITY + 1; key <= 10 * CAPACITY; key++)
		assert_null(add(&brimful, key * 7, key));
	assert_int_equal(brimful.dropped, 9 * CAPACITY);
	assert_int_equal(arena.taken_bytes, taken); /* what is dropped costs nothing */
	assert_int_equal(sl_intern_last(&brimful), CAPACITY);
	for (uint64_t key = 1; key <= CAPACITY; key++) {
		assert_int_equal(add(&brimful, key * 7, key)->head.id, key);
		assert_non_null(sl_intern_get(&brimful, (uint32_t)key));
	}
	assert_int_equal(brimful.dropped, 9 * CAPACITY);
}

static void no_memory_is_counted_and_passes(void **state)
{
	(void)state;
	assert_non_null(add(&starved, 1, 1));
	memory_is_out = true;
	assert_null(add(&starved, 2, 2));
	assert_non_null(add(&starved, 1, 1));
	memory_is_out = false;
	assert_int_equal(starved.dropped, 1);
	assert_int_equal(sl_intern_last(&starved), 1);
	assert_int_equal(add(&starved, 2, 2)->head.id, 2);
}

/* ---- threads that add the same keys at the same time, and one that walks ---- */

#define ADDERS 3
#define KEYS 40u

SL_INTERN(shared, CAPACITY, &arena, item_equal, item_make);

static struct {
	struct meeting meeting;
	_Atomic unsigned adding;
	struct item *found[ADDERS][KEYS];
	unsigned wrong[ADDERS + 1];
} game;

/* All add one new key, at once. */
static void add_keys(unsigned index)
{
	for (uint64_t key = 0; key < KEYS; key++) {
		meet(&game.meeting, ADDERS);
		struct item *item = add(&shared, key / 4, key);
		game.found[index][key] = item;
		game.wrong[index] += !item || item->key != key || item->twice != 2 * key ||
		                     sl_intern_get(&shared, item->head.id) != &item->head;
	}
	game.adding--;
}

/* What a walk shows is in the index, at any time: looked up by its key it is the same item. */
static void walk(void)
{
	while (game.adding) {
		uint32_t last = sl_intern_last(&shared);
		for (uint32_t id = 1; id <= last; id++) {
			struct item *item = (struct item *)sl_intern_get(&shared, id);
			if (!item)
				continue;
			game.wrong[ADDERS] += item->head.id != id || item->twice != 2 * item->key ||
			                      add(&shared, item->key / 4, item->key) != item;
		}
	}
}

static void add_or_walk(unsigned index, void *context)
{
	(void)context;
	if (index < ADDERS)
		add_keys(index);
	else
		walk();
}

static void threads_agree_on_one_item(void **state)
{
	(void)state;
	for (unsigned round = 0; round < RACE_ROUNDS(64u); round++) {
		memset(&game, 0, sizeof(game));
		memset(shared_items, 0, sizeof(shared_items));
		memset(shared_index, 0, sizeof(shared_index));
		shared.count = 0;
		game.adding = ADDERS;
		race(ADDERS + 1, add_or_walk, NULL);
		for (unsigned i = 0; i <= ADDERS; i++)
			assert_int_equal(game.wrong[i], 0);
		unsigned shown = 0;
		for (uint32_t id = 1; id <= sl_intern_last(&shared); id++)
			shown += sl_intern_get(&shared, id) != NULL;
		assert_int_equal(shown, KEYS);
		for (unsigned key = 0; key < KEYS; key++)
			for (unsigned i = 1; i < ADDERS; i++)
				assert_ptr_equal(game.found[i][key], game.found[0][key]);
		assert_int_equal(shared.dropped, 0);
		sl_arena_free(&arena);
	}
}

/* ---- threads that fill a table to the brim ---- */

static _Atomic unsigned kept;

static void fill(unsigned index, void *context)
{
	(void)context;
	for (uint64_t i = 0; i < CAPACITY; i++) {
		uint64_t key = i * 4 + index;
		kept += add(&overrun, key * 11, key) != NULL;
	}
}

static void a_table_filled_by_many_holds_its_capacity(void **state)
{
	(void)state;
	race(4, fill, NULL);
	assert_int_equal(kept, CAPACITY);
	assert_int_equal(overrun.dropped, 3 * CAPACITY);
	assert_int_equal(sl_intern_last(&overrun), CAPACITY);
	bool seen[4 * CAPACITY] = {0};
	for (uint32_t id = 1; id <= CAPACITY; id++) {
		struct item *item = (struct item *)sl_intern_get(&overrun, id);
		assert_non_null(item);
		assert_int_equal(item->head.id, id);
		assert_false(seen[item->key]);
		seen[item->key] = true;
	}
	assert_null(sl_intern_get(&overrun, CAPACITY + 1));
}

static int set_up(void **state)
{
	(void)state;
	alarm(60);
	return 0;
}

int main(void)
{
	/* The race gives the arena's memory back: it comes last. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key_has_one_item),
		cmocka_unit_test(an_id_that_is_not_there_is_null),
		cmocka_unit_test(keys_of_equal_hash_are_kept_apart),
		cmocka_unit_test(a_full_table_drops_and_counts),
		cmocka_unit_test(no_memory_is_counted_and_passes),
		cmocka_unit_test(a_table_filled_by_many_holds_its_capacity),
		cmocka_unit_test(threads_agree_on_one_item),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
