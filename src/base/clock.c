#include "base/clock.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/poison.h"

#if defined(__aarch64__)
#define SL_VDSO_NAME "__kernel_clock_gettime"
#else
#define SL_VDSO_NAME "__vdso_clock_gettime"
#endif

typedef int sl_clock_fn(clockid_t clock, struct timespec *ts);

static sl_clock_fn *in_vdso; /* constant after start */

/* Addresses in the page's dynamic section are offsets: the page is mapped anywhere. */
struct image {
	uintptr_t bias;
	const ElfW(Sym) * symbols;
	const char *names;
	const ElfW(Word) * hash; /* DT_HASH: its second word is how many symbols there are */
};

static const void *at(const struct image *image, uintptr_t address)
{
	return (const void *)(image->bias + address);
}

static void read_dynamic(struct image *image, const ElfW(Dyn) * entry)
{
	for (; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			image->symbols = at(image, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_STRTAB)
			image->names = at(image, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_HASH)
			image->hash = at(image, entry->d_un.d_ptr);
	}
}

/* Without DT_HASH the names tell where the symbols end: they lie behind them. */
static size_t count_symbols(const struct image *image)
{
	uintptr_t from = (uintptr_t)image->symbols, to = (uintptr_t)image->names;
	if (image->hash)
		return image->hash[1];
	return to > from ? (to - from) / sizeof(*image->symbols) : 0;
}

static sl_clock_fn *find(const struct image *image)
{
	if (!image->symbols || !image->names)
		return NULL;
	size_t n = count_symbols(image);
	for (size_t i = 0; i < n; i++)
		if (image->symbols[i].st_shndx != SHN_UNDEF &&
		    strcmp(image->names + image->symbols[i].st_name, SL_VDSO_NAME) == 0)
			return (sl_clock_fn *)at(image, image->symbols[i].st_value);
	return NULL;
}

void sl_clock_start(void)
{
	uintptr_t page = getauxval(AT_SYSINFO_EHDR);
	if (!page)
		return;
	const ElfW(Ehdr) *header = (const void *)page;
	const ElfW(Phdr) *segment = (const void *)(page + header->e_phoff);
	const ElfW(Dyn) *dynamic = NULL;
	struct image image = {0};
	for (unsigned i = 0; i < header->e_phnum; i++, segment++) {
		if (segment->p_type == PT_LOAD && !image.bias)
			image.bias = page + segment->p_offset - segment->p_vaddr;
		else if (segment->p_type == PT_DYNAMIC)
			dynamic = (const void *)(page + segment->p_offset);
	}
	if (!dynamic || !image.bias)
		return;
	read_dynamic(&image, dynamic);
	in_vdso = find(&image);
}

struct timespec sl_clock_read(clockid_t clock)
{
	struct timespec ts = {0};
	(void)(in_vdso ? in_vdso(clock, &ts) : clock_gettime(clock, &ts));
	return ts;
}
