/* inject_loader.c - see inject_loader.h. */
#include "cli/inject_loader.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inject_maps.h"
#include "cli/proc.h"
#include "stack/blame.h"

#define SL_SEGMENTS_MAX 32u
#define SL_DYNAMIC_MAX 256u
#define SL_OBJECTS_MAX 65536u
#define SL_PAGE_BYTES 4096u
#define SL_LIBC "libc.so."

/* Of the program, as the kernel has told the loader: 0 is none. */
static uint64_t told(int view, uint64_t type)
{
	size_t n;
	uint64_t value = 0;
	char *text = sl_proc_file(view, "auxv", &n);
	const Elf64_auxv_t *row = (const void *)text;
	for (size_t i = 0; text && i < n / sizeof(*row) && row[i].a_type != AT_NULL; i++)
		if (row[i].a_type == type)
			value = row[i].a_un.a_val;
	free(text);
	return value;
}

static uint64_t find_dynamic(int view, int memory)
{
	uint64_t bias = 0, dynamic = 0;
	const uint64_t at = told(view, AT_PHDR), count = told(view, AT_PHNUM);
	for (uint64_t i = 0; at && i < count && i < SL_SEGMENTS_MAX; i++) {
		Elf64_Phdr segment;
		if (!sl_memory_read(memory, at + i * sizeof(segment), &segment, sizeof(segment)))
			return 0;
		if (segment.p_type == PT_PHDR)
			bias = at - segment.p_vaddr;
		else if (segment.p_type == PT_DYNAMIC)
			dynamic = segment.p_vaddr;
	}
	return dynamic ? bias + dynamic : 0;
}

/* The first object of the list; 0: there is none. */
static uint64_t find_first(int view, int memory)
{
	struct r_debug list;
	Elf64_Dyn entry = {.d_tag = ~DT_NULL};
	uint64_t at = find_dynamic(view, memory);
	for (unsigned i = 0; at && i < SL_DYNAMIC_MAX; i++, at += sizeof(entry)) {
		if (!sl_memory_read(memory, at, &entry, sizeof(entry)) || entry.d_tag == DT_NULL)
			return 0;
		if (entry.d_tag == DT_DEBUG)
			break;
	}
	return entry.d_tag == DT_DEBUG &&
	                       sl_memory_read(memory, entry.d_un.d_ptr, &list, sizeof(list))
	               ? (uint64_t)(uintptr_t)list.r_map
	               : 0;
}

bool sl_loader_has(int view, int memory, uint64_t bias)
{
	struct link_map object;
	uint64_t at = find_first(view, memory);
	if (!at)
		return true;
	for (unsigned i = 0; at && i < SL_OBJECTS_MAX; i++) {
		if (!sl_memory_read(memory, at, &object, sizeof(object)))
			return true;
		if (object.l_addr == bias)
			return true;
		at = (uint64_t)(uintptr_t)object.l_next;
	}
	return false;
}

/* Page by page: behind the last one there may be nothing. */
static void read_path(int memory, uint64_t at, char path[SL_PROC_PATH_BYTES])
{
	size_t n = 0;
	while (n + 1 < SL_PROC_PATH_BYTES) {
		size_t part = SL_PAGE_BYTES - (at + n) % SL_PAGE_BYTES;
		if (part > SL_PROC_PATH_BYTES - 1 - n)
			part = SL_PROC_PATH_BYTES - 1 - n;
		if (!sl_memory_read(memory, at + n, path + n, part))
			break;
		if (memchr(path + n, 0, part))
			return;
		n += part;
	}
	path[n] = 0;
}

static bool begins(const char *path, const char *name)
{
	return strncmp(sl_file_name_of(path), name, strlen(name)) == 0;
}

bool sl_loader_is_late(int view, int memory, const char *name)
{
	struct link_map object;
	char path[SL_PROC_PATH_BYTES];
	bool is_behind = false;
	uint64_t at = find_first(view, memory);
	for (unsigned i = 0; at && i < SL_OBJECTS_MAX; i++) {
		if (!sl_memory_read(memory, at, &object, sizeof(object)))
			return false;
		read_path(memory, (uint64_t)(uintptr_t)object.l_name, path);
		if (begins(path, name))
			return is_behind;
		is_behind |= begins(path, SL_LIBC);
		at = (uint64_t)(uintptr_t)object.l_next;
	}
	return false;
}
