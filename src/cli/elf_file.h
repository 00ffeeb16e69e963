/* elf_file.h - what the loader will make of an executable: class, machine, interpreter, Go. Reads headers only.
 *
 * Layer: cli. Context: one thread. Source: elf(5).
 */
#ifndef SL_CLI_ELF_FILE_H
#define SL_CLI_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_ELF_INTERPRETER_BYTES 256

struct sl_elf_file {
	bool is_64;
	bool is_little_endian;
	uint16_t machine;                           /* EM_* */
	char interpreter[SL_ELF_INTERPRETER_BYTES]; /* "": none, it is static */
	bool is_go;
};

/* 0; -ENOEXEC: no ELF file; -EBADMSG: it begins as one, and is damaged; or -errno of reading it. Any bytes are taken. */
int sl_elf_file_read(int fd, struct sl_elf_file *elf);

/* "x86-64"; "machine 243" where it has no name here. */
void sl_elf_file_machine(const struct sl_elf_file *elf, char *text, size_t n);

#endif
