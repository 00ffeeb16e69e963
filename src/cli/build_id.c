/* build_id.c - see build_id.h. */
#include "cli/build_id.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/proc.h"
#include "cli/root_file.h"

#define SL_HEAD_BYTES 4096 /* the notes stand in front */

static void put_hex(const unsigned char *bytes, size_t n, char id[SL_BUILD_ID_BYTES])
{
	for (size_t i = 0; i < n; i++)
		(void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

static size_t aligned(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static bool find_in_notes(const unsigned char *notes, size_t n, char id[SL_BUILD_ID_BYTES])
{
	Elf64_Nhdr note;
	for (size_t at = 0; at + sizeof(note) <= n;) {
		memcpy(&note, notes + at, sizeof(note));
		const size_t name = at + sizeof(note), text = name + aligned(note.n_namesz);
		if (note.n_namesz > n || note.n_descsz > n || text + note.n_descsz > n)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
		    memcmp(notes + name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0 &&
		    note.n_descsz > 0 && 2 * note.n_descsz < SL_BUILD_ID_BYTES) {
			put_hex(notes + text, note.n_descsz, id);
			return true;
		}
		at = text + aligned(note.n_descsz);
	}
	return false;
}

bool sl_build_id_find(const unsigned char *head, size_t n, char id[SL_BUILD_ID_BYTES])
{
	Elf64_Ehdr elf;
	Elf64_Phdr part;
	if (n < sizeof(elf))
		return false;
	memcpy(&elf, head, sizeof(elf));
	if (memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 || elf.e_ident[EI_CLASS] != ELFCLASS64 ||
	    elf.e_phentsize != sizeof(part) || elf.e_phoff > n)
		return false;
	for (size_t i = 0; i < elf.e_phnum; i++) {
		const size_t at = elf.e_phoff + i * sizeof(part);
		if (at + sizeof(part) > n)
			return false;
		memcpy(&part, head + at, sizeof(part));
		if (part.p_type == PT_NOTE && part.p_offset < n &&
		    part.p_filesz <= n - part.p_offset &&
		    find_in_notes(head + part.p_offset, part.p_filesz, id))
			return true;
	}
	return false;
}

static bool find_at(int fd, off_t at, char id[SL_BUILD_ID_BYTES])
{
	unsigned char head[SL_HEAD_BYTES];
	const ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), at);
	if (fd >= 0)
		(void)close(fd);
	return n > 0 && sl_build_id_find(head, (size_t)n, id);
}

bool sl_build_id_of_file(const char *path, char id[SL_BUILD_ID_BYTES])
{
	return find_at(open(path, O_RDONLY | O_CLOEXEC), 0, id);
}

/* Where the mapping of that path begins: the first line with it. */
static uint64_t begin_of(int pid, const char *path)
{
	size_t n;
	uint64_t begin = 0;
	char *maps = sl_proc_file(pid, "maps", &n);
	char *at = maps ? strstr(maps, path) : NULL;
	while (at && at > maps && at[-1] != '\n')
		at--;
	if (at)
		begin = strtoull(at, NULL, 16);
	free(maps);
	return begin;
}

bool sl_build_id_of_mapped(int pid, const char *name, char id[SL_BUILD_ID_BYTES])
{
	char path[SL_PROC_PATH_BYTES], memory[64];
	if (sl_proc_has_object(pid, name, path) != 1)
		return false;
	const uint64_t begin = begin_of(pid, path);
	const bool is_gone = strstr(path, " (deleted)");
	sl_proc_inner_path(pid, path);
	if (!is_gone && find_at(sl_root_file_open(pid, path, true), 0, id))
		return true;
	(void)snprintf(memory, sizeof(memory), "/proc/%d/mem", pid);
	return begin && find_at(open(memory, O_RDONLY | O_CLOEXEC), (off_t)begin, id);
}
