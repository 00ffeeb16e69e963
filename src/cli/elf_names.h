/* elf_names.h - names for addresses in one ELF object: functions, static ones too, what was inlined, file and line.
 *
 * By libdw, from the object's own symbols and DWARF, or from debug files of the same build id beside it and under
 * /usr/lib/debug. Nothing is fetched from a network. C++ and Rust names are demangled.
 *
 * Layer: cli. Context: one thread. Owner: strings lie in the arena given, one for all calls.
 */
#ifndef SL_CLI_ELF_NAMES_H
#define SL_CLI_ELF_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

#define SL_ELF_INLINED_MAX 16 /* functions at one address */

struct sl_elf_name {
	const char *function;
	const char *file; /* as the compiler was told; NULL: not known */
	int32_t line;     /* 0: not known */
};

struct sl_elf_names; /* one object */

/* The object behind fd, which is taken over, or fd < 0 for the debug file of this build id alone. Where build_id (hex) is
 * not NULL it must be that of the object. NULL: no ELF object, another build, or nothing known of it. */
struct sl_elf_names *sl_elf_names_open(int fd, const char *path, const char *build_id);
void sl_elf_names_close(struct sl_elf_names *names);

/* The functions that stand at this address, an offset from where the object is loaded: the innermost inlined one first,
 * the one that was compiled last. At most n, and SL_ELF_INLINED_MAX; 0: nothing known. */
unsigned sl_elf_names_at(struct sl_elf_names *names, uint64_t offset, struct sl_arena *arena,
                         struct sl_elf_name *found, unsigned n);

/* A C++ or Rust name without its parameters; any other as it is. NULL gives NULL. */
const char *sl_elf_names_plain(struct sl_arena *arena, const char *name);

#endif
