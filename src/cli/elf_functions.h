/* elf_functions.h - the functions of a compilation unit by address.
 *
 * dwarf_getscopes(3) looks through the whole unit for every address, twice where something was inlined: milliseconds each in a
 * large one. Here a unit is looked through once.
 *
 * Layer: cli. Context: one thread. Errors: out of memory ends the command.
 */
#ifndef SL_CLI_ELF_FUNCTIONS_H
#define SL_CLI_ELF_FUNCTIONS_H

#include <elfutils/libdw.h>

struct sl_elf_functions;

/* The unit must outlive it. */
struct sl_elf_functions *sl_elf_functions_of(Dwarf_Die *unit);
void sl_elf_functions_free(struct sl_elf_functions *functions);

/* The functions around an address of the unit, innermost first: those inlined there, and last the one that they are inlined
 * into. Returns how many, at most n; 0: none is known. */
unsigned sl_elf_functions_at(const struct sl_elf_functions *functions, Dwarf_Addr address,
                             Dwarf_Die *found, unsigned n);

#endif
