/* test_segment.c - the part of an object around an address: as the mappings of this process have it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <sys/mman.h>

#include "stack/segment.h"

#define PAGE_BYTES 4096

static const char constant[PAGE_BYTES] = "read";

static const struct link_map *map_of(const void *address, const uint8_t **start)
{
	Dl_info info;
	struct link_map *map = NULL;
	assert_int_not_equal(dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP), 0);
	*start = info.dli_fbase;
	return map;
}

static void assert_found(const void *address)
{
	const uint8_t *start, *elsewhere = (const uint8_t *)&start;
	struct sl_segment segment, again;
	const struct link_map *map = map_of(address, &start);
	assert_int_equal(sl_segment_at(map, start, address, &segment), SL_SEGMENT_FOUND);
	assert_true((const uint8_t *)address >= segment.begin &&
	            (const uint8_t *)address < segment.end);
	/* _dl_find_object() may name a later part, where there are gaps between them. */
	assert_int_equal(sl_segment_at(map, segment.begin, address, &again), SL_SEGMENT_FOUND);
	assert_memory_equal(&again, &segment, sizeof(segment));
	assert_int_equal(sl_segment_at(map, start, elsewhere, &segment), SL_SEGMENT_NONE);
	assert_int_equal(sl_segment_at(map, start, start - 1, &segment), SL_SEGMENT_NONE);
}

static void it_is_found_by_an_address(void **state)
{
	(void)state;
	const uint8_t *start;
	struct sl_segment data, code;
	const struct link_map *map = map_of(constant, &start);
	assert_found(constant);
	assert_found((const void *)(uintptr_t)it_is_found_by_an_address);
	assert_found(dlsym(RTLD_DEFAULT, "qsort"));
	assert_found(dlsym(RTLD_DEFAULT, "_cmocka_run_group_tests"));
	assert_int_equal(sl_segment_at(map, start, constant, &data), SL_SEGMENT_FOUND);
	assert_int_equal(sl_segment_at(map, start,
	                               (const void *)(uintptr_t)it_is_found_by_an_address, &code),
	                 SL_SEGMENT_FOUND);
	assert_true((const uint8_t *)constant + sizeof(constant) <= data.end);
	assert_true(code.end <= data.begin || data.end <= code.begin);
}

static void what_is_no_object_has_none(void **state)
{
	(void)state;
	struct sl_segment segment;
	uint8_t *memory =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	struct link_map map = {.l_addr = (uintptr_t)memory, .l_name = "object"};
	assert_int_equal(sl_segment_at(&map, memory, memory + 8, &segment), SL_SEGMENT_UNKNOWN);
	memset(memory, 0xff, PAGE_BYTES);
	memcpy(memory, "\177ELF", 4);
	assert_int_equal(sl_segment_at(&map, memory, memory + 8, &segment), SL_SEGMENT_UNKNOWN);
	assert_int_equal(mprotect(memory, PAGE_BYTES, PROT_NONE), 0);
	assert_int_equal(sl_segment_at(&map, memory, memory + 8, &segment), SL_SEGMENT_UNKNOWN);
	munmap(memory, PAGE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_found_by_an_address),
		cmocka_unit_test(what_is_no_object_has_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
