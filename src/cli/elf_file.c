/* elf_file.c - see elf_file.h. */
#include "cli/elf_file.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SL_SEGMENTS_MAX 128
#define SL_NOTES_BYTES 4096

/* A program header of either class, in this machine's order. */
struct segment {
	uint32_t type;
	uint64_t offset, bytes;
};

static bool read_at(int fd, void *to, size_t n, uint64_t offset)
{
	return offset < INT64_MAX && pread(fd, to, n, (off_t)offset) == (ssize_t)n;
}

/* Of the other byte order only what stands in every executable is told: machine and class. */
static bool is_our_order(const unsigned char *ident)
{
	return ident[EI_DATA] ==
	       (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB);
}

static unsigned read_segments(int fd, bool is_64, struct segment *segments)
{
	Elf64_Ehdr large;
	Elf32_Ehdr small;
	bool is_read = is_64 ? read_at(fd, &large, sizeof(large), 0)
	                     : read_at(fd, &small, sizeof(small), 0);
	if (!is_read)
		return 0;
	unsigned n = is_64 ? large.e_phnum : small.e_phnum;
	unsigned each = is_64 ? large.e_phentsize : small.e_phentsize;
	uint64_t at = is_64 ? large.e_phoff : small.e_phoff;
	if (each != (is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || n > SL_SEGMENTS_MAX)
		return 0;
	for (unsigned i = 0; i < n; i++, at += each) {
		Elf64_Phdr wide;
		Elf32_Phdr narrow;
		if (!(is_64 ? read_at(fd, &wide, sizeof(wide), at)
		            : read_at(fd, &narrow, sizeof(narrow), at)))
			return i;
		segments[i] =
			is_64 ? (struct segment){wide.p_type, wide.p_offset, wide.p_filesz}
			      : (struct segment){narrow.p_type, narrow.p_offset, narrow.p_filesz};
	}
	return n;
}

/* The linker of Go leaves a note of its own: name "Go". */
static bool has_go_note(int fd, const struct segment *segment)
{
	char bytes[SL_NOTES_BYTES];
	size_t n = segment->bytes < sizeof(bytes) ? (size_t)segment->bytes : sizeof(bytes);
	if (!read_at(fd, bytes, n, segment->offset))
		return false;
	for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= n;) {
		Elf64_Nhdr note; /* the same in both classes */
		memcpy(&note, bytes + at, sizeof(note));
		at += sizeof(note);
		uint64_t step = ((uint64_t)note.n_namesz + 3) / 4 * 4 +
		                ((uint64_t)note.n_descsz + 3) / 4 * 4;
		if (note.n_namesz == 4 && at + 4 <= n && memcmp(bytes + at, "Go\0", 4) == 0)
			return true;
		if (step > n - at)
			return false;
		at += step;
	}
	return false;
}

int sl_elf_file_read(int fd, struct sl_elf_file *elf)
{
	unsigned char ident[EI_NIDENT + 4]; /* e_type and e_machine follow it */
	struct segment segments[SL_SEGMENTS_MAX];
	*elf = (struct sl_elf_file){0};
	ssize_t got = pread(fd, ident, sizeof(ident), 0);
	if (got < 0)
		return -errno;
	if (got < SELFMAG || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (got < (ssize_t)sizeof(ident))
		return -EBADMSG;
	elf->is_64 = ident[EI_CLASS] == ELFCLASS64;
	elf->is_little_endian = ident[EI_DATA] == ELFDATA2LSB;
	elf->machine = elf->is_little_endian
	                       ? (uint16_t)(ident[EI_NIDENT + 2] | ident[EI_NIDENT + 3] << 8)
	                       : (uint16_t)(ident[EI_NIDENT + 3] | ident[EI_NIDENT + 2] << 8);
	if (!is_our_order(ident))
		return 0;
	unsigned n = read_segments(fd, elf->is_64, segments);
	for (unsigned i = 0; i < n; i++) {
		size_t bytes = segments[i].bytes < sizeof(elf->interpreter) - 1
		                       ? (size_t)segments[i].bytes
		                       : sizeof(elf->interpreter) - 1;
		if (segments[i].type == PT_INTERP &&
		    !read_at(fd, elf->interpreter, bytes, segments[i].offset))
			return -EBADMSG;
		if (segments[i].type == PT_NOTE)
			elf->is_go |= has_go_note(fd, &segments[i]);
	}
	return n ? 0 : -EBADMSG;
}

void sl_elf_file_machine(const struct sl_elf_file *elf, char *text, size_t n)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} known[] = {{EM_X86_64, "x86-64"}, {EM_386, "i386"},    {EM_AARCH64, "aarch64"},
	             {EM_ARM, "arm"},       {EM_RISCV, "riscv"}, {EM_S390, "s390"},
	             {EM_PPC64, "ppc64"}};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].machine == elf->machine) {
			(void)snprintf(text, n, "%s", known[i].name);
			return;
		}
	(void)snprintf(text, n, "machine %u", elf->machine);
}
