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

static void it_is_found_by_an_address(void **state)
{
	(void)state;
	Dl_info info;
	struct sl_segment segment, code;
	assert_int_not_equal(dladdr(constant, &info), 0);
	const uint8_t *start = info.dli_fbase, *end = start + ((size_t)1 << 30);
	assert_int_equal(sl_segment_at(start, end, constant, &segment), SL_SEGMENT_FOUND);
	assert_true((const uint8_t *)constant >= segment.begin &&
	            (const uint8_t *)constant + sizeof(constant) <= segment.end);
	assert_int_equal(sl_segment_at(start, end,
	                               (const void *)(uintptr_t)it_is_found_by_an_address, &code),
	                 SL_SEGMENT_FOUND);
	assert_true(code.end <= segment.begin || segment.end <= code.begin);
	/* Not outside, and not where the object ends before its own header says so. */
	assert_int_equal(sl_segment_at(start, end, start - 1, &segment), SL_SEGMENT_NONE);
	assert_int_equal(sl_segment_at(start, end, end, &segment), SL_SEGMENT_NONE);
	assert_int_equal(sl_segment_at(start, segment.end - 1, constant, &segment),
	                 SL_SEGMENT_NONE);
}

static void what_is_no_object_has_none(void **state)
{
	(void)state;
	struct sl_segment segment;
	uint8_t *memory =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(sl_segment_at(memory, memory + PAGE_BYTES, memory + 8, &segment),
	                 SL_SEGMENT_UNKNOWN);
	memset(memory, 0xff, PAGE_BYTES);
	memcpy(memory, "\177ELF", 4);
	assert_int_equal(sl_segment_at(memory, memory + PAGE_BYTES, memory + 8, &segment),
	                 SL_SEGMENT_UNKNOWN);
	assert_int_equal(mprotect(memory, PAGE_BYTES, PROT_NONE), 0);
	assert_int_equal(sl_segment_at(memory, memory + PAGE_BYTES, memory + 8, &segment),
	                 SL_SEGMENT_UNKNOWN);
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
