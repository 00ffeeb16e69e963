/* elf_names.c - see elf_names.h. */
#include "cli/elf_names.h"

#include <ctype.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <libiberty/demangle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "base/out.h"
#include "cli/elf_functions.h"
#include "cli/elf_pieces.h"
#include "cli/heap.h"

#define DEBUG_FOLDER "/usr/lib/debug"
#define BUILD_ID_BYTES_MAX 64

/* A compilation unit that was asked about; a function whose name was. The keys are where their entries lie. */
struct unit {
	void *key;
	struct sl_elf_functions *functions;
	UT_hash_handle hh;
};

struct known {
	void *key;
	const char *name;
	UT_hash_handle hh;
};

struct sl_elf_names {
	struct unit *units;
	struct known *known;
	struct sl_elf_pieces unit_pieces; /* of all units, where they were needed */
	bool has_unit_pieces;
	Dwfl *dwfl;
	Dwfl_Module *module;
	Dwarf_Addr bias; /* from an offset to an address of dwfl */
	Dwfl_Callbacks callbacks;
};

/* ---- opening ---- */

static bool is_build(Dwfl_Module *module, const char *build_id)
{
	const unsigned char *bits;
	GElf_Addr address;
	char text[2 * BUILD_ID_BYTES_MAX + 1];
	int n = dwfl_module_build_id(module, &bits, &address);
	if (n <= 0 || n > BUILD_ID_BYTES_MAX)
		return false;
	for (int i = 0; i < n; i++)
		(void)sprintf(text + 2 * (size_t)i, "%02x", bits[i]);
	/* The library keeps 32 bytes of it. */
	return strncmp(text, build_id, strlen(build_id)) == 0 && strlen(build_id) >= 8;
}

static int open_debug_file(const char *build_id)
{
	char path[sizeof(DEBUG_FOLDER) + 2 * BUILD_ID_BYTES_MAX + 32];
	const size_t n = build_id ? strlen(build_id) : 0;
	if (n < 8 || n > 2 * BUILD_ID_BYTES_MAX)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!isxdigit((unsigned char)build_id[i]))
			return -1;
	(void)snprintf(path, sizeof(path), DEBUG_FOLDER "/.build-id/%.2s/%s.debug", build_id,
	               build_id + 2);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool report(struct sl_elf_names *names, int fd, const char *path, const char *build_id)
{
	GElf_Addr bias;
	dwfl_report_begin(names->dwfl);
	names->module = dwfl_report_offline(names->dwfl, path, path, fd);
	if (!names->module) {
		(void)close(fd);
		return false;
	}
	(void)dwfl_report_end(names->dwfl, NULL, NULL);
	if (!dwfl_module_getelf(names->module, &bias) ||
	    (build_id && !is_build(names->module, build_id)))
		return false;
	names->bias = bias;
	return true;
}

struct sl_elf_names *sl_elf_names_open(int fd, const char *path, const char *build_id)
{
	struct sl_elf_names *names = sl_heap_grow(NULL, sizeof(*names));
	*names = (struct sl_elf_names){
		.callbacks = {.find_elf = dwfl_build_id_find_elf,
	                      .find_debuginfo = dwfl_standard_find_debuginfo,
	                      .section_address = dwfl_offline_section_address},
	};
	/* Else libdw might ask a server of that name. */
	(void)unsetenv("DEBUGINFOD_URLS");
	if (fd < 0)
		fd = open_debug_file(build_id);
	if (fd >= 0)
		names->dwfl = dwfl_begin(&names->callbacks);
	if (names->dwfl && report(names, fd, path, build_id))
		return names;
	if (fd >= 0 && !names->dwfl)
		(void)close(fd);
	sl_elf_names_close(names);
	return NULL;
}

void sl_elf_names_close(struct sl_elf_names *names)
{
	if (!names)
		return;
	struct unit *unit = names->units;
	struct known *known = names->known;
	HASH_CLEAR(hh, names->units);
	while (unit) {
		struct unit *next = unit->hh.next;
		sl_elf_functions_free(unit->functions);
		free(unit);
		unit = next;
	}
	HASH_CLEAR(hh, names->known);
	while (known) {
		struct known *next = known->hh.next;
		free(known);
		known = next;
	}
	sl_elf_pieces_free(&names->unit_pieces);
	if (names->dwfl)
		dwfl_end(names->dwfl);
	free(names);
}

/* ---- names ---- */

static const char *keep(struct sl_arena *arena, const char *text)
{
	return text ? sl_arena_text(arena, text, strlen(text)) : NULL;
}

const char *sl_elf_names_plain(struct sl_arena *arena, const char *name)
{
	char *plain = name ? cplus_demangle(name, DMGL_AUTO) : NULL;
	const char *kept = keep(arena, plain ? plain : name);
	free(plain);
	return kept;
}

/* The declaration that a function's own entry refers to: it stands in its namespace or class. */
static Dwarf_Die declaration_of(Dwarf_Die *die)
{
	static const unsigned references[] = {DW_AT_abstract_origin, DW_AT_specification};
	Dwarf_Die at = *die, next;
	Dwarf_Attribute attribute;
	for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++)
		if (dwarf_formref_die(dwarf_attr(&at, references[i], &attribute), &next))
			at = next;
	return at;
}

/* In C nothing is around a function: no need to look through the unit for it. */
static bool has_scopes(Dwarf_Die *die)
{
	Dwarf_Die unit;
	if (!dwarf_diecu(die, &unit, NULL, NULL))
		return true;
	switch (dwarf_srclang(&unit)) {
	case DW_LANG_C89:
	case DW_LANG_C:
	case DW_LANG_C99:
	case DW_LANG_C11:
		return false;
	default:
		return true;
	}
}

/* "acme::Pool::" into `text`: what is around a function that has no linkage name, a static one. */
static void put_scope(struct sl_out *out, Dwarf_Die *die)
{
	Dwarf_Die declaration = declaration_of(die), *around = NULL;
	int n = dwarf_getscopes_die(&declaration, &around);
	for (int i = n - 1; i > 0; i--) {
		const int tag = dwarf_tag(&around[i]);
		if (tag != DW_TAG_namespace && tag != DW_TAG_class_type &&
		    tag != DW_TAG_structure_type)
			continue;
		const char *name = dwarf_diename(&around[i]);
		const char *nameless = tag == DW_TAG_namespace ? "(anonymous)" : "<lambda>";
		sl_out_text(out, name ? name : nameless);
		sl_out_text(out, "::");
	}
	free(around);
}

static const char *name_of_die(struct sl_arena *arena, Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	char text[1024];
	struct sl_out out;
	const char *linkage = dwarf_formstring(
		dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute)
			?: dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute));
	if (linkage)
		return sl_elf_names_plain(arena, linkage);
	const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
	if (!name)
		return NULL;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	if (has_scopes(die))
		put_scope(&out, die);
	sl_out_text(&out, name);
	return sl_arena_text(arena, text, out.length);
}

static Dwarf_Word number_of(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value = 0;
	if (dwarf_formudata(dwarf_attr(die, name, &attribute), &value) != 0)
		return 0;
	return value;
}

/* Where an inlined function was called: the place in the one around it. */
static void place_of_call(struct sl_arena *arena, Dwarf_Die *inlined, Dwarf_Files *files,
                          struct sl_elf_name *around)
{
	const bool has_file = files && dwarf_hasattr(inlined, DW_AT_call_file);
	const Dwarf_Word number = number_of(inlined, DW_AT_call_file);
	const char *file = has_file ? dwarf_filesrc(files, number, NULL, NULL) : NULL;
	/* Before DWARF 5 number 0 is none, and libdw calls it so; from then on it is the first. */
	around->file = file && strcmp(file, "???") != 0 ? keep(arena, file) : NULL;
	around->line = (int32_t)number_of(inlined, DW_AT_call_line);
}

/* ---- functions ---- */

static const struct sl_elf_functions *functions_of(struct sl_elf_names *names, Dwarf_Die *unit)
{
	struct unit *found;
	HASH_FIND_PTR(names->units, &unit->addr, found);
	if (!found) {
		found = sl_heap_grow(NULL, sizeof(*found));
		*found = (struct unit){.key = unit->addr, .functions = sl_elf_functions_of(unit)};
		HASH_ADD_PTR(names->units, key, found);
	}
	return found->functions;
}

/* One name is looked for once: the scope of a function is looked for in all of its unit. */
static const char *name_of(struct sl_elf_names *names, struct sl_arena *arena, Dwarf_Die *die)
{
	struct known *known;
	HASH_FIND_PTR(names->known, &die->addr, known);
	if (!known) {
		known = sl_heap_grow(NULL, sizeof(*known));
		*known = (struct known){.key = die->addr, .name = name_of_die(arena, die)};
		HASH_ADD_PTR(names->known, key, known);
	}
	return known->name;
}

/* The unit of an address. libdw looks in .debug_aranges, which clang does not write: then each unit says itself what it has. */
static bool find_unit(struct sl_elf_names *names, Dwarf_Addr address, Dwarf_Die *unit,
                      Dwarf_Addr *bias)
{
	Dwarf_Die *found = dwfl_module_addrdie(names->module, address, bias);
	if (found) {
		*unit = *found;
		return true;
	}
	if (!names->has_unit_pieces) {
		names->has_unit_pieces = true;
		while ((found = dwfl_module_nextcu(names->module, found, bias)))
			sl_elf_pieces_add(&names->unit_pieces, found);
		sl_elf_pieces_sort(&names->unit_pieces);
	}
	if (!dwfl_module_getdwarf(names->module, bias))
		return false;
	const Dwarf_Die *piece = sl_elf_pieces_at(&names->unit_pieces, address - *bias);
	if (piece)
		*unit = *piece;
	return piece;
}

/* Innermost first, each with its place, the first of which is known already. */
static unsigned by_dwarf(struct sl_elf_names *names, Dwarf_Addr address, struct sl_arena *arena,
                         struct sl_elf_name *found, unsigned n)
{
	Dwarf_Addr bias;
	Dwarf_Die around[SL_ELF_INLINED_MAX];
	Dwarf_Files *files = NULL;
	Dwarf_Die unit;
	if (!find_unit(names, address, &unit, &bias))
		return 0;
	if (n > SL_ELF_INLINED_MAX)
		n = SL_ELF_INLINED_MAX;
	n = sl_elf_functions_at(functions_of(names, &unit), address - bias, around, n);
	if (n > 1)
		(void)dwarf_getsrcfiles(&unit, &files, NULL);
	for (unsigned i = 0; i < n; i++) {
		found[i].function = name_of(names, arena, &around[i]);
		if (i > 0)
			place_of_call(arena, &around[i - 1], files, &found[i]);
	}
	return n;
}

static void place_of_address(struct sl_elf_names *names, Dwarf_Addr address, struct sl_arena *arena,
                             struct sl_elf_name *found)
{
	int line = 0;
	Dwarf_Addr bias;
	Dwarf_Die unit;
	Dwarf_Line *source = find_unit(names, address, &unit, &bias)
	                             ? dwarf_getsrc_die(&unit, address - bias)
	                             : NULL;
	const char *file = source ? dwarf_linesrc(source, NULL, NULL) : NULL;
	(void)dwarf_lineno(source, &line);
	found->file = keep(arena, file);
	found->line = file ? line : 0;
}

unsigned sl_elf_names_at(struct sl_elf_names *names, uint64_t offset, struct sl_arena *arena,
                         struct sl_elf_name *found, unsigned n)
{
	const Dwarf_Addr address = offset + names->bias;
	if (!n)
		return 0;
	memset(found, 0, n * sizeof(*found));
	unsigned count = by_dwarf(names, address, arena, found, n);
	if (!count || !found[0].function) {
		const char *symbol = dwfl_module_addrname(names->module, address);
		memset(found, 0, n * sizeof(*found));
		found[0].function = sl_elf_names_plain(arena, symbol);
		count = symbol ? 1 : 0;
	}
	if (count)
		place_of_address(names, address, arena, &found[0]);
	return count;
}
