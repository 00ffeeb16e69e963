/* elf_pieces.c - see elf_pieces.h. */
#include "cli/elf_pieces.h"

#include <stdlib.h>

#include "cli/heap.h"

void sl_elf_pieces_add(struct sl_elf_pieces *pieces, Dwarf_Die *die)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t at = 0;
	while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
		if (pieces->count == pieces->room) {
			pieces->room = pieces->room ? 2 * pieces->room : 64;
			pieces->pieces = sl_heap_grow(pieces->pieces,
			                              pieces->room * sizeof(*pieces->pieces));
		}
		pieces->pieces[pieces->count++] = (struct sl_elf_piece){low, high, *die};
	}
}

static int by_low(const void *a, const void *b)
{
	const struct sl_elf_piece *x = a, *y = b;
	return x->low < y->low ? -1 : x->low > y->low;
}

void sl_elf_pieces_sort(struct sl_elf_pieces *pieces)
{
	if (pieces->count)
		qsort(pieces->pieces, pieces->count, sizeof(*pieces->pieces), by_low);
}

const Dwarf_Die *sl_elf_pieces_at(const struct sl_elf_pieces *pieces, Dwarf_Addr address)
{
	size_t from = 0, to = pieces->count;
	while (from < to) {
		const size_t middle = from + (to - from) / 2;
		if (pieces->pieces[middle].low <= address)
			from = middle + 1;
		else
			to = middle;
	}
	if (!from || address >= pieces->pieces[from - 1].high)
		return NULL;
	return &pieces->pieces[from - 1].die;
}

void sl_elf_pieces_free(struct sl_elf_pieces *pieces)
{
	free(pieces->pieces);
	*pieces = (struct sl_elf_pieces){0};
}
