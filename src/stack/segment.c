#include "stack/segment.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/sys.h"

#include "base/poison.h"

struct table {
	const ElfW(Phdr) * rows;
	unsigned count;
	uintptr_t bias; /* from an address in the file to one in memory */
};

static const ElfW(Phdr) * find_row(const struct table *table, uint32_t type)
{
	for (unsigned i = 0; i < table->count; i++)
		if (table->rows[i].p_type == type)
			return &table->rows[i];
	return NULL;
}

/* Only the program has no name. Started by the loader's, the kernel's table is that one's. */
static bool find_of_program(const struct link_map *object, struct table *table)
{
	if (!object->l_name || object->l_name[0])
		return false;
	table->rows = (const void *)getauxval(AT_PHDR);
	table->count = table->rows ? (unsigned)getauxval(AT_PHNUM) : 0;
	const ElfW(Phdr) *itself = find_row(table, PT_PHDR);
	return itself && table->bias + itself->p_vaddr == (uintptr_t)table->rows;
}

/* In the first page, behind the header, and about this very page. */
static bool find_behind(const void *page, struct table *table)
{
	const ElfW(Ehdr) *header = page;
	if (!sl_sys_is_readable(page, sizeof(*header)) ||
	    memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_phentsize != sizeof(ElfW(Phdr)) || header->e_phoff >= SL_SYS_PAGE_BYTES ||
	    header->e_phoff % sizeof(void *) != 0 ||
	    header->e_phnum > (SL_SYS_PAGE_BYTES - header->e_phoff) / sizeof(ElfW(Phdr)))
		return false;
	table->rows = (const void *)((const uint8_t *)page + header->e_phoff);
	table->count = header->e_phnum;
	const ElfW(Phdr) *first = find_row(table, PT_LOAD);
	return first && first->p_offset == 0 && table->bias + first->p_vaddr == (uintptr_t)page;
}

enum sl_segment_answer sl_segment_at(const struct link_map *object, const void *mapped,
                                     const void *address, struct sl_segment *segment)
{
	const uintptr_t at = (uintptr_t)address;
	struct table table = {.bias = object->l_addr};
	if (!find_of_program(object, &table) && !find_behind(mapped, &table) &&
	    !find_behind((const void *)object->l_addr, &table))
		return SL_SEGMENT_UNKNOWN;
	for (unsigned i = 0; i < table.count; i++) {
		const ElfW(Phdr) *row = &table.rows[i];
		const uintptr_t begin = table.bias + row->p_vaddr;
		if (row->p_type != PT_LOAD || !(row->p_flags & PF_R) || at < begin ||
		    at - begin >= row->p_filesz)
			continue;
		segment->begin = (const uint8_t *)begin;
		segment->end = segment->begin + row->p_filesz;
		return SL_SEGMENT_FOUND;
	}
	return SL_SEGMENT_NONE;
}
