/* elf_pieces.h - which entry of the debug information has an address: units or functions, each in one piece or in more.
 *
 * Layer: cli. Context: one thread. Errors: out of memory ends the command.
 */
#ifndef SL_CLI_ELF_PIECES_H
#define SL_CLI_ELF_PIECES_H

#include <elfutils/libdw.h>
#include <stddef.h>

struct sl_elf_piece {
	Dwarf_Addr low, high; /* the first, and the first beyond */
	Dwarf_Die die;
};

/* Begins as {0}. */
struct sl_elf_pieces {
	struct sl_elf_piece *pieces;
	size_t count, room;
};

/* All addresses of an entry; those are as the entry has them. */
void sl_elf_pieces_add(struct sl_elf_pieces *pieces, Dwarf_Die *die);

/* Once, when all are there. */
void sl_elf_pieces_sort(struct sl_elf_pieces *pieces);

/* NULL: none has it. */
const Dwarf_Die *sl_elf_pieces_at(const struct sl_elf_pieces *pieces, Dwarf_Addr address);

void sl_elf_pieces_free(struct sl_elf_pieces *pieces);

#endif
