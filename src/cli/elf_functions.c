/* elf_functions.c - see elf_functions.h. */
#include "cli/elf_functions.h"

#include <dwarf.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cli/elf_pieces.h"
#include "cli/heap.h"

#define DEPTH_MAX 64 /* of namespaces and classes, and of what is inlined into each other */

struct sl_elf_functions {
	struct sl_elf_pieces pieces; /* a function's cold part may lie elsewhere */
};

/* ---- the table ---- */

static bool may_hold_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_class_type ||
	       tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_module;
}

static void add_below(struct sl_elf_functions *functions, Dwarf_Die *around, unsigned depth)
{
	Dwarf_Die die;
	if (depth == DEPTH_MAX || dwarf_child(around, &die) != 0)
		return;
	do {
		const int tag = dwarf_tag(&die);
		if (tag == DW_TAG_subprogram)
			sl_elf_pieces_add(&functions->pieces, &die);
		else if (may_hold_functions(tag))
			add_below(functions, &die, depth + 1);
	} while (dwarf_siblingof(&die, &die) == 0);
}

struct sl_elf_functions *sl_elf_functions_of(Dwarf_Die *unit)
{
	struct sl_elf_functions *functions = sl_heap_grow(NULL, sizeof(*functions));
	*functions = (struct sl_elf_functions){0};
	add_below(functions, unit, 0);
	sl_elf_pieces_sort(&functions->pieces);
	return functions;
}

void sl_elf_functions_free(struct sl_elf_functions *functions)
{
	sl_elf_pieces_free(&functions->pieces);
	free(functions);
}

/* ---- one address ---- */

static bool is_function(int tag)
{
	return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine ||
	       tag == DW_TAG_entry_point;
}

/* Blocks, which may hold what is inlined in them; some tell no addresses of their own. */
static bool may_be_around(Dwarf_Die *die, int tag, Dwarf_Addr address)
{
	if (tag != DW_TAG_lexical_block && tag != DW_TAG_try_block && tag != DW_TAG_catch_block &&
	    tag != DW_TAG_with_stmt)
		return false;
	return dwarf_haspc(die, address) > 0 ||
	       (!dwarf_hasattr(die, DW_AT_low_pc) && !dwarf_hasattr(die, DW_AT_ranges));
}

/* Outermost first, those inside `die`. How many there are then. */
static unsigned look_inside(Dwarf_Die *die, Dwarf_Addr address, Dwarf_Die *path, unsigned n)
{
	Dwarf_Die child;
	if (n == DEPTH_MAX || dwarf_child(die, &child) != 0)
		return n;
	do {
		const int tag = dwarf_tag(&child);
		if (is_function(tag) && dwarf_haspc(&child, address) > 0) {
			path[n] = child;
			return look_inside(&child, address, path, n + 1);
		}
		if (may_be_around(&child, tag, address)) {
			const unsigned found = look_inside(&child, address, path, n);
			if (found > n)
				return found;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
	return n;
}

unsigned sl_elf_functions_at(const struct sl_elf_functions *functions, Dwarf_Addr address,
                             Dwarf_Die *found, unsigned n)
{
	Dwarf_Die path[DEPTH_MAX];
	const Dwarf_Die *outermost = sl_elf_pieces_at(&functions->pieces, address);
	unsigned count = 0;
	if (!outermost)
		return 0;
	path[0] = *outermost;
	const unsigned depth = look_inside(&path[0], address, path, 1);
	for (unsigned i = depth; i > 0 && count < n; i--) {
		found[count++] = path[i - 1];
		if (dwarf_tag(&path[i - 1]) != DW_TAG_inlined_subroutine)
			break; /* a nested function stands for itself */
	}
	return count;
}
