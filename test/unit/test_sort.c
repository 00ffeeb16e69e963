/* test_sort.c - heapsort: in order, nothing lost, whatever the input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sort.h"

#define MOST 2000u

/* Of an odd size, so that nothing rests on alignment. */
struct __attribute__((packed)) element {
	uint32_t key;
	uint8_t check[7]; /* goes with the key */
};

static uint64_t comparisons;

static struct element element_of(uint32_t key)
{
	struct element e = {.key = key};
	for (unsigned i = 0; i < 7; i++)
		e.check[i] = (uint8_t)(key >> i);
	return e;
}

static int by_key(const void *a, const void *b)
{
	const struct element *x = a, *y = b;
	comparisons++;
	return x->key < y->key ? -1 : x->key > y->key;
}

static int by_key_down(const void *a, const void *b)
{
	return by_key(b, a);
}

/* Sorts both with ours and with libc's. */
static void check(const uint32_t *keys, size_t n, sl_sort_fn *compare)
{
	static struct element ours[MOST + 1], libcs[MOST];
	const struct element fence = element_of(0xfeedface);
	for (size_t i = 0; i < n; i++)
		ours[i] = libcs[i] = element_of(keys[i]);
	ours[n] = fence;
	sl_sort(ours, n, sizeof(ours[0]), compare);
	qsort(libcs, n, sizeof(libcs[0]), compare);
	if (n > 0)
		assert_memory_equal(ours, libcs, n * sizeof(ours[0]));
	assert_memory_equal(&ours[n], &fence, sizeof(fence));
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*seed >> 33);
}

static void random_orders(void **state)
{
	(void)state;
	uint32_t keys[100];
	uint64_t seed = 1;
	for (int round = 0; round < 2000; round++) {
		size_t n = next_random(&seed) % 101;
		uint32_t range = round % 2 ? 5 : UINT32_MAX; /* many equal ones, and few */
		for (size_t i = 0; i < n; i++)
			keys[i] = next_random(&seed) % range;
		check(keys, n, round % 3 ? by_key : by_key_down);
	}
}

static void every_order_of_few(void **state)
{
	(void)state;
	for (uint32_t n = 0, orders = 1; n <= 6; n++, orders *= 6)
		for (uint32_t order = 0; order < orders; order++) {
			uint32_t keys[6] = {0};
			for (uint32_t i = 0, rest = order; i < n; i++, rest /= 6)
				keys[i] = rest % 6;
			check(keys, n, by_key);
		}
}

/* Sorted already, the other way round, all the same, and a saw: never slow. */
static void orders_that_others_are_slow_at(void **state)
{
	(void)state;
	static uint32_t keys[MOST];
	for (int kind = 0; kind < 4; kind++) {
		for (uint32_t i = 0; i < MOST; i++) {
			const uint32_t shapes[] = {i, MOST - i, 7, i % 10};
			keys[i] = shapes[kind];
		}
		comparisons = 0;
		static struct element elements[MOST];
		for (uint32_t i = 0; i < MOST; i++)
			elements[i] = element_of(keys[i]);
		sl_sort(elements, MOST, sizeof(elements[0]), by_key);
		assert_true(comparisons < 3 * MOST * 11); /* 2 n log n, and building the heap */
		check(keys, MOST, by_key);
	}
}

static void nothing_to_sort(void **state)
{
	(void)state;
	struct element one = element_of(5), before = one;
	comparisons = 0;
	sl_sort(&one, 1, sizeof(one), by_key);
	sl_sort(&one, 0, sizeof(one), by_key);
	sl_sort(NULL, 0, sizeof(one), by_key);
	assert_memory_equal(&one, &before, sizeof(one));
	assert_int_equal(comparisons, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_orders),
		cmocka_unit_test(every_order_of_few),
		cmocka_unit_test(orders_that_others_are_slow_at),
		cmocka_unit_test(nothing_to_sort),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
