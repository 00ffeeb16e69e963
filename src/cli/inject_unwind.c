/* inject_unwind.c - see inject_unwind.h.
 *
 * Nothing is guessed, as debuggers do where a function has no unwind information: a wrong step might pass over the handler.
 */
#include "cli/inject_unwind.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/root_file.h"

#define SL_FRAMES_MAX 1000
#define SL_OBJECTS_MAX 16
#define SL_WORDS_MAX 16

/* An object that the walk came to. */
struct object {
	const struct sl_map *first; /* what tells it from others */
	int fd;
	Elf *elf;
	Dwarf_CFI *rules; /* NULL: it has none that are to be had */
};

struct walk {
	const struct sl_target *target;
	struct object objects[SL_OBJECTS_MAX];
	unsigned n;
	struct sl_dwarf_registers at; /* of the function that the walk is in */
	uint64_t pc;                  /* in it */
};

/* ---- objects ---- */

/* Is it the file that is mapped, not one that has its name by now? */
static bool is_mapped(int fd, const struct sl_map *map)
{
	struct stat status;
	char device[32];
	if (fstat(fd, &status) < 0 || status.st_ino != map->inode)
		return false;
	(void)snprintf(device, sizeof(device), "%02x:%02x", major(status.st_dev),
	               minor(status.st_dev));
	return strcmp(device, map->device) == 0;
}

static void open_object(const struct walk *walk, const struct sl_map *map, struct object *object)
{
	*object = (struct object){.first = map, .fd = -1};
	if (map->path[0] != '/')
		return;
	object->fd = sl_root_file_open(walk->target->pid, map->path, true);
	if (object->fd < 0 || !is_mapped(object->fd, map))
		return;
	(void)elf_version(EV_CURRENT);
	object->elf = elf_begin(object->fd, ELF_C_READ_MMAP, NULL);
	if (object->elf)
		object->rules = dwarf_getcfi_elf(object->elf);
}

static void close_objects(struct walk *walk)
{
	for (unsigned i = 0; i < walk->n; i++) {
		const struct object *object = &walk->objects[i];
		if (object->rules)
			(void)dwarf_cfi_end(object->rules);
		if (object->elf)
			(void)elf_end(object->elf);
		if (object->fd >= 0)
			(void)close(object->fd);
	}
}

static const struct object *object_of(struct walk *walk, const struct sl_map *map)
{
	const struct sl_map *first = sl_maps_first(&walk->target->maps, map);
	if (!first)
		return NULL;
	for (unsigned i = 0; i < walk->n; i++)
		if (walk->objects[i].first == first)
			return &walk->objects[i];
	if (walk->n == SL_OBJECTS_MAX)
		return NULL;
	open_object(walk, first, &walk->objects[walk->n]);
	return &walk->objects[walk->n++];
}

/* An address of the process as one of the file. */
static bool find_address(const struct object *object, const struct sl_map *map, uint64_t pc,
                         uint64_t *address)
{
	const uint64_t offset = pc - map->start + map->offset;
	size_t n;
	GElf_Phdr segment;
	if (elf_getphdrnum(object->elf, &n) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(object->elf, (int)i, &segment) && segment.p_type == PT_LOAD &&
		    offset >= segment.p_offset && offset - segment.p_offset < segment.p_filesz) {
			*address = offset - segment.p_offset + segment.p_vaddr;
			return true;
		}
	return false;
}

/* The rules that hold at the function's instruction. Owner: free(). */
static Dwarf_Frame *find_rules(struct walk *walk, uint64_t pc)
{
	const struct sl_map *map = sl_maps_at(&walk->target->maps, pc);
	const struct object *object = map && map->is_executable ? object_of(walk, map) : NULL;
	uint64_t address;
	Dwarf_Frame *rules = NULL;
	if (!object || !object->rules || !find_address(object, map, pc, &address) ||
	    dwarf_cfi_addrframe(object->rules, address, &rules) != 0)
		return NULL;
	return rules;
}

/* ---- expressions ---- */

struct machine {
	const struct walk *walk;
	uint64_t cfa;
	uint64_t words[SL_WORDS_MAX];
	unsigned n;
	bool is_bad;
	bool is_value; /* what is left is the value, not the address where it lies */
};

static void push(struct machine *machine, uint64_t word)
{
	if (machine->n == SL_WORDS_MAX)
		machine->is_bad = true;
	else
		machine->words[machine->n++] = word;
}

static uint64_t pop(struct machine *machine)
{
	if (machine->n == 0) {
		machine->is_bad = true;
		return 0;
	}
	return machine->words[--machine->n];
}

static void push_register(struct machine *machine, uint64_t number, uint64_t offset)
{
	const struct sl_dwarf_registers *at = &machine->walk->at;
	if (number >= SL_DWARF_REGISTERS || !(at->known & (1u << number)))
		machine->is_bad = true;
	else
		push(machine, at->values[number] + offset);
}

static void push_memory(struct machine *machine, uint64_t address)
{
	uint64_t word;
	if (machine->is_bad ||
	    !sl_memory_read(machine->walk->target->memory, address, &word, sizeof(word)))
		machine->is_bad = true;
	else
		push(machine, word);
}

/* What compilers write for a stack that was aligned anew, and linkers for their stubs. */
static void run_one(struct machine *machine, const Dwarf_Op *op)
{
	uint64_t second;
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
		push_register(machine, op->atom - DW_OP_breg0, op->number);
		return;
	}
	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31) {
		push(machine, op->atom - DW_OP_lit0);
		return;
	}
	switch (op->atom) {
	case DW_OP_bregx:
		push_register(machine, op->number, op->number2);
		break;
	case DW_OP_regx:
		push_register(machine, op->number, 0);
		machine->is_value = true;
		break;
	case DW_OP_call_frame_cfa:
		push(machine, machine->cfa);
		break;
	case DW_OP_plus_uconst:
		push(machine, pop(machine) + op->number);
		break;
	case DW_OP_deref:
		push_memory(machine, pop(machine));
		break;
	case DW_OP_plus:
		second = pop(machine);
		push(machine, pop(machine) + second);
		break;
	case DW_OP_and:
		second = pop(machine);
		push(machine, pop(machine) & second);
		break;
	case DW_OP_ge:
		second = pop(machine);
		push(machine, (int64_t)pop(machine) >= (int64_t)second);
		break;
	case DW_OP_shl:
		second = pop(machine);
		push(machine, second < 64 ? pop(machine) << second : 0);
		break;
	case DW_OP_stack_value:
		machine->is_value = true;
		break;
	default:
		machine->is_bad = true;
	}
}

/* False: there is something that is not understood. */
static bool run(struct machine *machine, const Dwarf_Op *ops, size_t n, uint64_t *value)
{
	machine->n = 0;
	machine->is_bad = machine->is_value = false;
	for (size_t i = 0; i < n && !machine->is_bad; i++)
		run_one(machine, &ops[i]);
	*value = pop(machine);
	return !machine->is_bad;
}

/* ---- the walk ---- */

enum step { SL_STEP_UP, SL_STEP_END, SL_STEP_LOST };

/* One register of the caller. False: this is not understood; without a value it may well be. */
static bool find_register(struct machine *machine, Dwarf_Frame *rules, unsigned number,
                          struct sl_dwarf_registers *caller)
{
	Dwarf_Op room[3], *ops;
	size_t n;
	uint64_t value;
	const struct sl_dwarf_registers *at = &machine->walk->at;
	if (dwarf_frame_register(rules, (int)number, room, &ops, &n) != 0)
		return false;
	if (n ==
	    0) { /* as it is, or undefined: where it goes on is that in the outermost function */
		if (!ops)
			caller->known |= at->known & (1u << number);
		return ops || number != at->ra;
	}
	if (!run(machine, ops, n, &value))
		return false;
	if (!machine->is_value &&
	    !sl_memory_read(machine->walk->target->memory, value, &value, sizeof(value)))
		return false;
	caller->values[number] = value;
	caller->known |= 1u << number;
	return true;
}

static enum step find_caller(struct walk *walk, Dwarf_Frame *rules)
{
	struct machine machine = {.walk = walk};
	struct sl_dwarf_registers caller = walk->at;
	Dwarf_Op *ops;
	size_t n;
	bool is_signal;
	if (dwarf_frame_info(rules, NULL, NULL, &is_signal) != (int)walk->at.ra || is_signal ||
	    dwarf_frame_cfa(rules, &ops, &n) != 0 || n == 0 || !run(&machine, ops, n, &machine.cfa))
		return SL_STEP_LOST;
	caller.known = 0;
	for (unsigned i = 0; i < SL_DWARF_REGISTERS; i++)
		if ((walk->at.kept & (1u << i)) && !find_register(&machine, rules, i, &caller))
			return SL_STEP_LOST;
	caller.values[caller.sp] = machine.cfa;
	caller.known |= 1u << caller.sp;
	const bool is_up = machine.cfa > walk->at.values[walk->at.sp];
	walk->at = caller;
	if (!is_up)
		return SL_STEP_LOST;
	return caller.known & (1u << caller.ra) ? SL_STEP_UP : SL_STEP_END;
}

static enum step step(struct walk *walk)
{
	Dwarf_Frame *rules = find_rules(walk, walk->pc);
	if (!rules)
		return SL_STEP_LOST;
	const enum step step = find_caller(walk, rules);
	free(rules);
	const uint64_t back = walk->at.values[walk->at.ra];
	if (step == SL_STEP_UP && back == walk->target->restorer)
		return SL_STEP_LOST;
	walk->pc = back - 1; /* the call, behind which another function may begin */
	return step;
}

bool sl_unwind_is_clear(const struct sl_target *target, const struct sl_registers *registers,
                        uint64_t beyond)
{
	struct walk walk = {.target = target};
	enum step last = SL_STEP_UP;
	if (!sl_machine_dwarf(registers, &walk.at))
		return false;
	walk.pc = walk.at.values[walk.at.ra];
	for (unsigned i = 0; i < SL_FRAMES_MAX && last == SL_STEP_UP; i++)
		last = step(&walk);
	close_objects(&walk);
	return last == SL_STEP_END && walk.at.values[walk.at.sp] > beyond;
}
