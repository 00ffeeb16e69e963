#include "stack/segment.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/sys.h"

#include "base/poison.h"

struct table {
	const ElfW(Phdr) * rows;
	unsigned count;
};

/* In the first page, behind the header. */
static bool find_in_first_page(const ElfW(Ehdr) * header, struct table *table)
{
	const ElfW(Off) at = header->e_phoff;
	table->rows = (const void *)((const uint8_t *)header + at);
	table->count = header->e_phnum;
	return at < SL_SYS_PAGE_BYTES && at % sizeof(void *) == 0 &&
	       table->count <= (SL_SYS_PAGE_BYTES - at) / sizeof(ElfW(Phdr));
}

/* What rewrites a program (llvm-bolt) may have put its table elsewhere, and the kernel says where. */
static bool find_of_program(const uint8_t *start, const uint8_t *end, struct table *table)
{
	const uintptr_t rows = getauxval(AT_PHDR);
	table->rows = (const void *)rows;
	table->count = (unsigned)getauxval(AT_PHNUM);
	return rows >= (uintptr_t)start && rows < (uintptr_t)end &&
	       table->count <= ((uintptr_t)end - rows) / sizeof(ElfW(Phdr));
}

static bool find_table(const uint8_t *start, const uint8_t *end, struct table *table)
{
	const ElfW(Ehdr) *header = (const void *)start;
	return (size_t)(end - start) >= SL_SYS_PAGE_BYTES &&
	       sl_sys_is_readable(start, sizeof(*header)) &&
	       memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       header->e_phentsize == sizeof(ElfW(Phdr)) &&
	       (find_in_first_page(header, table) || find_of_program(start, end, table));
}

enum sl_segment_answer sl_segment_at(const void *start, const void *end, const void *address,
                                     struct sl_segment *segment)
{
	const uintptr_t first_page = (uintptr_t)start, at = (uintptr_t)address;
	struct table table;
	uintptr_t bias = 0;
	bool is_first = true;
	if (at < first_page || at >= (uintptr_t)end)
		return SL_SEGMENT_NONE;
	if (!find_table(start, end, &table))
		return SL_SEGMENT_UNKNOWN;
	for (unsigned i = 0; i < table.count; i++) {
		const ElfW(Phdr) *row = &table.rows[i];
		if (row->p_type != PT_LOAD)
			continue;
		if (is_first)
			bias = first_page - (row->p_vaddr & ~(uintptr_t)(SL_SYS_PAGE_BYTES - 1));
		is_first = false;
		uintptr_t begin = bias + row->p_vaddr;
		if ((row->p_flags & PF_R) && at >= begin && at - begin < row->p_filesz) {
			segment->begin = (const uint8_t *)begin;
			segment->end = segment->begin + row->p_filesz;
			return segment->end <= (const uint8_t *)end ? SL_SEGMENT_FOUND
			                                            : SL_SEGMENT_NONE;
		}
	}
	return SL_SEGMENT_NONE;
}
