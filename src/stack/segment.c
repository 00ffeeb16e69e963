#include "stack/segment.h"

#include <link.h>
#include <stddef.h>
#include <string.h>

#include "base/sys.h"

#include "base/poison.h"

static bool has_header(const uint8_t *start, const uint8_t *end, const ElfW(Ehdr) * header)
{
	return (size_t)(end - start) >= SL_SYS_PAGE_BYTES &&
	       memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       header->e_phentsize == sizeof(ElfW(Phdr)) && header->e_phoff < SL_SYS_PAGE_BYTES &&
	       header->e_phoff % sizeof(void *) == 0 &&
	       header->e_phnum <= (SL_SYS_PAGE_BYTES - header->e_phoff) / sizeof(ElfW(Phdr));
}

bool sl_segment_at(const void *start, const void *end, const void *address,
                   struct sl_segment *segment)
{
	const ElfW(Ehdr) *header = start;
	const uintptr_t first_page = (uintptr_t)start, at = (uintptr_t)address;
	uintptr_t bias = 0;
	bool is_first = true;
	if (at < first_page || at >= (uintptr_t)end || !has_header(start, end, header))
		return false;
	const ElfW(Phdr) *row = (const void *)((const uint8_t *)start + header->e_phoff);
	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (row[i].p_type != PT_LOAD)
			continue;
		if (is_first)
			bias = first_page - (row[i].p_vaddr & ~(uintptr_t)(SL_SYS_PAGE_BYTES - 1));
		is_first = false;
		uintptr_t begin = bias + row[i].p_vaddr;
		if ((row[i].p_flags & PF_R) && at >= begin && at - begin < row[i].p_filesz) {
			segment->begin = (const uint8_t *)begin;
			segment->end = segment->begin + row[i].p_filesz;
			return segment->end <= (const uint8_t *)end;
		}
	}
	return false;
}
