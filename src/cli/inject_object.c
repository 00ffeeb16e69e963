/* inject_object.c - see inject_object.h. */
#include "cli/inject_object.h"

#include <string.h>

#include "cli/inject_maps.h"

#define SL_PAGE_BYTES 4096
#define SL_SLACK_ALIGNMENT 16
#define SL_DYNAMIC_MAX 256
#define SL_CHAIN_MAX 65536
#define SL_NAME_BYTES 64

/* What of the dynamic section a look-up needs, as addresses. */
struct tables {
	uint64_t symbols, names, hash;
};

static uint64_t page_of(uint64_t address)
{
	return address & ~(uint64_t)(SL_PAGE_BYTES - 1);
}

bool sl_object_read(int memory, uint64_t start, struct sl_object *object)
{
	Elf64_Ehdr header;
	*object = (struct sl_object){0};
	if (!sl_memory_read(memory, start, &header, sizeof(header)) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr) ||
	    header.e_phnum > SL_OBJECT_SEGMENTS)
		return false;
	object->n = header.e_phnum;
	if (!sl_memory_read(memory, start + header.e_phoff, object->segments,
	                    object->n * sizeof(Elf64_Phdr)))
		return false;
	for (unsigned i = 0; i < object->n; i++)
		if (object->segments[i].p_type == PT_LOAD) {
			object->bias = start - page_of(object->segments[i].p_vaddr);
			return true;
		}
	return false;
}

static bool read_tables(int memory, const struct sl_object *object, struct tables *tables)
{
	*tables = (struct tables){0};
	for (unsigned i = 0; i < object->n; i++) {
		if (object->segments[i].p_type != PT_DYNAMIC)
			continue;
		uint64_t at = object->bias + object->segments[i].p_vaddr;
		Elf64_Dyn entry = {.d_tag = ~DT_NULL};
		for (unsigned k = 0; k < SL_DYNAMIC_MAX && entry.d_tag != DT_NULL; k++) {
			if (!sl_memory_read(memory, at + k * sizeof(entry), &entry, sizeof(entry)))
				return false;
			/* glibc has them as addresses already. */
			uint64_t value = entry.d_un.d_ptr;
			if (value < object->bias)
				value += object->bias;
			if (entry.d_tag == DT_SYMTAB)
				tables->symbols = value;
			else if (entry.d_tag == DT_STRTAB)
				tables->names = value;
			else if (entry.d_tag == DT_GNU_HASH)
				tables->hash = value;
		}
	}
	return tables->symbols && tables->names && tables->hash;
}

static uint32_t hash_of(const char *name)
{
	uint32_t hash = 5381;
	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

static bool is_named(int memory, uint64_t address, const char *name)
{
	char there[SL_NAME_BYTES];
	const size_t n = strlen(name) + 1;
	return n <= sizeof(there) && sl_memory_read(memory, address, there, n) &&
	       memcmp(there, name, n) == 0;
}

uint64_t sl_object_function(int memory, const struct sl_object *object, const char *name)
{
	uint64_t bytes;
	return sl_object_function_bytes(memory, object, name, &bytes);
}

uint64_t sl_object_function_bytes(int memory, const struct sl_object *object, const char *name,
                                  uint64_t *bytes)
{
	struct {
		uint32_t buckets, first, bloom_words, bloom_shift;
	} head;
	struct tables tables;
	uint32_t index, chain;
	const uint32_t hash = hash_of(name);
	if (!read_tables(memory, object, &tables) ||
	    !sl_memory_read(memory, tables.hash, &head, sizeof(head)) || head.buckets == 0)
		return 0;
	const uint64_t buckets = tables.hash + sizeof(head) + (uint64_t)head.bloom_words * 8;
	const uint64_t chains = buckets + (uint64_t)head.buckets * 4;
	if (!sl_memory_read(memory, buckets + (uint64_t)(hash % head.buckets) * 4, &index,
	                    sizeof(index)) ||
	    index < head.first)
		return 0;
	for (unsigned steps = 0; steps < SL_CHAIN_MAX; steps++, index++) {
		Elf64_Sym symbol;
		if (!sl_memory_read(memory, chains + (uint64_t)(index - head.first) * 4, &chain,
		                    sizeof(chain)))
			return 0;
		if ((chain | 1) == (hash | 1) &&
		    sl_memory_read(memory, tables.symbols + (uint64_t)index * sizeof(symbol),
		                   &symbol, sizeof(symbol)) &&
		    ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
		    is_named(memory, tables.names + symbol.st_name, name)) {
			*bytes = symbol.st_size;
			return object->bias + symbol.st_value;
		}
		if (chain & 1)
			return 0;
	}
	return 0;
}

static const Elf64_Phdr *code_of(const struct sl_object *object)
{
	for (unsigned i = 0; i < object->n; i++)
		if (object->segments[i].p_type == PT_LOAD && (object->segments[i].p_flags & PF_X))
			return &object->segments[i];
	return NULL;
}

bool sl_object_code(const struct sl_object *object, uint64_t *start, uint64_t *end)
{
	const Elf64_Phdr *code = code_of(object);
	if (!code)
		return false;
	*start = object->bias + code->p_vaddr;
	*end = *start + code->p_filesz;
	return true;
}

size_t sl_object_slack(const struct sl_object *object, uint64_t *start)
{
	const Elf64_Phdr *code = code_of(object);
	if (!code || code->p_filesz != code->p_memsz)
		return 0;
	const uint64_t end = object->bias + code->p_vaddr + code->p_filesz;
	const uint64_t page_end = page_of(end + SL_PAGE_BYTES - 1);
	*start = (end + SL_SLACK_ALIGNMENT - 1) & ~(uint64_t)(SL_SLACK_ALIGNMENT - 1);
	for (unsigned i = 0; i < object->n; i++) {
		const Elf64_Phdr *other = &object->segments[i];
		const uint64_t at = object->bias + other->p_vaddr;
		if (other != code && other->p_type == PT_LOAD && at < page_end &&
		    at + other->p_memsz > end)
			return 0;
	}
	return page_end > *start ? (size_t)(page_end - *start) : 0;
}
