/* test_bytes.c - our own memcpy() and its kin against a plain loop, at every small length and offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROOM 48

/* Through pointers, so that the compiler makes calls of them. */
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
static void *(*volatile move)(void *, const void *, size_t) = memmove;
static void *(*volatile fill)(void *, int, size_t) = memset;
static int (*volatile compare)(const void *, const void *, size_t) = memcmp;
static size_t (*volatile length)(const char *) = strlen;

static void count_up(unsigned char *bytes)
{
	for (size_t i = 0; i < ROOM; i++)
		bytes[i] = (unsigned char)(i + 1);
}

static void is_moved(const unsigned char *bytes, const unsigned char *before, size_t to,
                     size_t from, size_t n)
{
	for (size_t i = 0; i < ROOM; i++)
		assert_int_equal(bytes[i], before[i >= to && i < to + n ? i - to + from : i]);
}

static void test_copies(void **state)
{
	unsigned char from[ROOM], to[ROOM], before[ROOM];
	(void)state;
	count_up(from);
	for (size_t n = 0; n <= 20; n++) {
		count_up(before);
		count_up(to);
		assert_ptr_equal(copy(to + 3, from + 5, n), to + 3);
		is_moved(to, before, 3, 5, n);
	}
}

static void test_moves_within(void **state)
{
	unsigned char bytes[ROOM], before[ROOM];
	(void)state;
	count_up(before);
	for (size_t to = 0; to < 12; to++)
		for (size_t n = 0; n <= 20; n++) {
			count_up(bytes);
			assert_ptr_equal(move(bytes + to, bytes + 6, n), bytes + to);
			is_moved(bytes, before, to, 6, n);
		}
}

static void test_fills_and_compares(void **state)
{
	unsigned char a[ROOM], b[ROOM];
	(void)state;
	for (size_t n = 0; n <= 20; n++) {
		count_up(a);
		assert_ptr_equal(fill(a + 2, 0x1ff, n), a + 2);
		for (size_t i = 0; i < ROOM; i++)
			assert_int_equal(a[i], i >= 2 && i < 2 + n ? 0xff : i + 1);
		count_up(a);
		count_up(b);
		assert_int_equal(compare(a, b, n), 0);
		for (size_t i = 0; i < n; i++) {
			b[i] = 0xf0; /* greater as an unsigned byte */
			assert_true(compare(a, b, n) < 0 && compare(b, a, n) > 0);
			assert_int_equal(compare(a, b, i), 0);
			b[i] = a[i];
		}
	}
	assert_int_equal(length(""), 0);
	assert_int_equal(length("0123456789"), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_moves_within),
		cmocka_unit_test(test_fills_and_compares),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
