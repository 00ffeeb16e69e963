#include "stack/cfi.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "stack/segment.h"

#include "base/poison.h"

#if defined(__x86_64__) && defined(DLFO_EH_SEGMENT_TYPE)

enum { SL_REGISTER_FP = 6, SL_REGISTER_SP = 7, SL_REGISTER_RETURN = 16 };

/* Encodings of pointers. Of all that there are, these are what linkers and compilers write. */
enum {
	SL_FORM_POINTER = 0x00,
	SL_FORM_U4 = 0x03,
	SL_FORM_U8 = 0x04,
	SL_FORM_S4 = 0x0b,
	SL_FORM_S8 = 0x0c,
	SL_FORM_MASK = 0x0f,
	SL_FROM_NOTHING = 0x00,  /* what an address is told from */
	SL_FROM_PLACE = 0x10,    /* from where it stands */
	SL_FORM_INDIRECT = 0x80, /* the address of the address: of personalities alone */
	SL_FORM_NONE = 0xff,
	SL_TABLE_FORM = 0x3b, /* signed 4 bytes from the head of the table */
};

#define SL_REMEMBERED_MAX 4

typedef int find_object_fn(void *address, struct dl_find_object *found);

static find_object_fn *find_object; /* constant after start; NULL: libc has none */

void sl_cfi_open(void)
{
	find_object = (find_object_fn *)dlsym(RTLD_DEFAULT, "_dl_find_object");
}

/* What is left to read. */
struct bytes {
	const uint8_t *at, *end;
	bool is_bad; /* it ended too soon, or held what is not known here */
};

static void take(struct bytes *bytes, void *value, size_t n)
{
	memset(value, 0, n);
	if ((size_t)(bytes->end - bytes->at) < n) {
		bytes->is_bad = true;
		bytes->at = bytes->end;
		return;
	}
	memcpy(value, bytes->at, n);
	bytes->at += n;
}

static void skip(struct bytes *bytes, uint64_t n)
{
	if ((uint64_t)(bytes->end - bytes->at) < n) {
		bytes->is_bad = true;
		n = (uint64_t)(bytes->end - bytes->at);
	}
	bytes->at += n;
}

static uint8_t take_byte(struct bytes *bytes)
{
	uint8_t value;
	take(bytes, &value, sizeof(value));
	return value;
}

static uint16_t take_2(struct bytes *bytes)
{
	uint16_t value;
	take(bytes, &value, sizeof(value));
	return value;
}

static uint32_t take_4(struct bytes *bytes)
{
	uint32_t value;
	take(bytes, &value, sizeof(value));
	return value;
}

static uint64_t take_8(struct bytes *bytes)
{
	uint64_t value;
	take(bytes, &value, sizeof(value));
	return value;
}

/* LEB128: seven bits a byte, the lowest first. */
static uint64_t take_unsigned(struct bytes *bytes)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = take_byte(bytes);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	bytes->is_bad = true;
	return 0;
}

static int64_t take_signed(struct bytes *bytes)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64;) {
		uint8_t byte = take_byte(bytes);
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if ((byte & 0x40) && shift < 64)
			value |= ~0ULL << shift;
		return (int64_t)value;
	}
	bytes->is_bad = true;
	return 0;
}

static uint64_t take_form(struct bytes *bytes, uint8_t encoding)
{
	switch (encoding & SL_FORM_MASK) {
	case SL_FORM_U4:
	case SL_FORM_S4:
		return take_4(bytes);
	case SL_FORM_POINTER:
	case SL_FORM_U8:
	case SL_FORM_S8:
		return take_8(bytes);
	default:
		bytes->is_bad = true;
		return 0;
	}
}

/* An address; is it this one, as far as that can be told here? */
static bool begins_at(struct bytes *bytes, uint8_t encoding, uintptr_t address)
{
	const uintptr_t place = (uintptr_t)bytes->at;
	const uint64_t value = take_form(bytes, encoding);
	const bool is_short = (encoding & SL_FORM_MASK) == SL_FORM_S4;
	const uintptr_t distance = is_short ? (uintptr_t)(intptr_t)(int32_t)value : value;
	switch (encoding & ~SL_FORM_MASK) {
	case SL_FROM_NOTHING:
		return distance == address;
	case SL_FROM_PLACE:
		return place + distance == address;
	default:
		return true;
	}
}

/* A common information entry: what the functions of one object share. */
struct common {
	struct bytes program; /* of the state at a function's first instruction */
	uint64_t code_unit;
	int64_t data_unit;
	uint8_t encoding; /* of addresses */
	bool has_data;    /* "z": the function's entry has a block that may be skipped */
	bool is_signal;   /* "S" */
};

/* The entry at `at`, without its length, which is at most what the segment has. */
static struct bytes entry_at(const uint8_t *at, const struct sl_segment *segment)
{
	struct bytes entry = {at, segment->end, at < segment->begin || at >= segment->end};
	if (entry.is_bad)
		entry.at = entry.end = segment->end;
	uint32_t n = take_4(&entry);
	if (n == UINT32_MAX || n > (uint64_t)(entry.end - entry.at)) /* 64-bit DWARF, or nonsense */
		entry.is_bad = true;
	else
		entry.end = entry.at + n;
	return entry;
}

static void read_augmentation(struct bytes *entry, const char *letters, struct common *common)
{
	uint64_t n = take_unsigned(entry);
	struct bytes data = *entry;
	skip(entry, n);
	data.end = entry->at;
	common->has_data = true;
	for (; *letters && !entry->is_bad; letters++) {
		if (*letters == 'R')
			common->encoding = take_byte(&data);
		else if (*letters == 'L')
			(void)take_byte(&data);
		else if (*letters == 'P')
			(void)take_form(&data, take_byte(&data));
		else if (*letters == 'S')
			common->is_signal = true;
		else
			entry->is_bad = true;
		entry->is_bad |= data.is_bad;
	}
}

static bool read_common(struct bytes entry, struct common *common)
{
	*common = (struct common){.encoding = SL_FORM_POINTER};
	uint32_t id = take_4(&entry);
	uint8_t version = take_byte(&entry);
	const char *letters = (const char *)entry.at;
	const uint8_t *end = memchr(entry.at, 0, (size_t)(entry.end - entry.at));
	/* The number is what tells it from a function's entry. */
	if (entry.is_bad || id != 0 || !end || (version != 1 && version != 3))
		return false;
	entry.at = end + 1;
	common->code_unit = take_unsigned(&entry);
	common->data_unit = take_signed(&entry);
	uint64_t return_register = version == 1 ? take_byte(&entry) : take_unsigned(&entry);
	if (*letters == 'z')
		read_augmentation(&entry, letters + 1, common);
	else if (*letters)
		return false;
	common->program = entry;
	return !entry.is_bad && return_register == SL_REGISTER_RETURN;
}

/* Where a register of the caller is. */
enum place { SL_PLACE_SAME, SL_PLACE_SAVED, SL_PLACE_UNDEFINED, SL_PLACE_OTHER };

/* One row of the table that the programs describe: what holds from some instruction on. */
struct row {
	uint64_t cfa_register;
	int64_t cfa_offset;
	int64_t saved_fp, saved_return; /* offsets, where saved */
	enum place fp, ret;
	bool is_odd; /* the CFA is an expression */
};

struct machine {
	const struct common *common;
	struct row row, first; /* first: as the common entry leaves it */
	struct row remembered[SL_REMEMBERED_MAX];
	unsigned remembered_count;
	uint64_t at, until; /* instructions */
};

static void place(struct machine *machine, uint64_t number, enum place where, int64_t offset)
{
	if (number == SL_REGISTER_FP) {
		machine->row.fp = where;
		machine->row.saved_fp = offset;
	} else if (number == SL_REGISTER_RETURN) {
		machine->row.ret = where;
		machine->row.saved_return = offset;
	}
}

static void restore(struct machine *machine, uint64_t number)
{
	const struct row *first = &machine->first;
	if (number == SL_REGISTER_FP)
		place(machine, number, first->fp, first->saved_fp);
	else
		place(machine, number, first->ret, first->saved_return);
}

static void define_cfa(struct machine *machine, uint64_t number, int64_t offset)
{
	machine->row.cfa_register = number;
	machine->row.cfa_offset = offset;
	machine->row.is_odd = false;
}

static void advance(struct machine *machine, uint64_t units)
{
	machine->at += units * machine->common->code_unit;
}

static void remember(struct machine *machine, struct bytes *program)
{
	if (machine->remembered_count == SL_REMEMBERED_MAX)
		program->is_bad = true;
	else
		machine->remembered[machine->remembered_count++] = machine->row;
}

static void recall(struct machine *machine, struct bytes *program)
{
	if (machine->remembered_count == 0)
		program->is_bad = true;
	else
		machine->row = machine->remembered[--machine->remembered_count];
}

/* Those whose number is not in the byte itself; DWARF 5, 7.24. */
static void run_extended(struct machine *machine, struct bytes *program, uint8_t code)
{
	const int64_t unit = machine->common->data_unit;
	uint64_t number;
	switch (code) {
	case 0x00: /* nop */
		break;
	case 0x02: /* advance_loc1, 2, 4 */
		advance(machine, take_byte(program));
		break;
	case 0x03:
		advance(machine, take_2(program));
		break;
	case 0x04:
		advance(machine, take_4(program));
		break;
	case 0x05: /* offset_extended */
		number = take_unsigned(program);
		place(machine, number, SL_PLACE_SAVED, (int64_t)take_unsigned(program) * unit);
		break;
	case 0x06: /* restore_extended */
		restore(machine, take_unsigned(program));
		break;
	case 0x07: /* undefined */
		place(machine, take_unsigned(program), SL_PLACE_UNDEFINED, 0);
		break;
	case 0x08: /* same_value */
		place(machine, take_unsigned(program), SL_PLACE_SAME, 0);
		break;
	case 0x09: /* register */
	case 0x14: /* val_offset */
		number = take_unsigned(program);
		(void)take_unsigned(program);
		place(machine, number, SL_PLACE_OTHER, 0);
		break;
	case 0x0a: /* remember_state */
		remember(machine, program);
		break;
	case 0x0b: /* restore_state */
		recall(machine, program);
		break;
	case 0x0c: /* def_cfa */
		number = take_unsigned(program);
		define_cfa(machine, number, (int64_t)take_unsigned(program));
		break;
	case 0x0d: /* def_cfa_register */
		machine->row.cfa_register = take_unsigned(program);
		break;
	case 0x0e: /* def_cfa_offset */
		machine->row.cfa_offset = (int64_t)take_unsigned(program);
		break;
	case 0x0f: /* def_cfa_expression */
		skip(program, take_unsigned(program));
		machine->row.is_odd = true;
		break;
	case 0x10: /* expression */
	case 0x16: /* val_expression */
		number = take_unsigned(program);
		skip(program, take_unsigned(program));
		place(machine, number, SL_PLACE_OTHER, 0);
		break;
	case 0x11: /* offset_extended_sf */
		number = take_unsigned(program);
		place(machine, number, SL_PLACE_SAVED, take_signed(program) * unit);
		break;
	case 0x2e: /* GNU_args_size */
		(void)take_unsigned(program);
		break;
	default:
		program->is_bad = true;
	}
}

/* Up to the instruction that is asked for. False: there is something that is not understood. */
static bool run(struct machine *machine, struct bytes program)
{
	while (program.at < program.end && machine->at <= machine->until && !program.is_bad) {
		uint8_t code = take_byte(&program), low = code & 0x3f;
		if (code >> 6 == 1)
			advance(machine, low);
		else if (code >> 6 == 2)
			place(machine, low, SL_PLACE_SAVED,
			      (int64_t)take_unsigned(&program) * machine->common->data_unit);
		else if (code >> 6 == 3)
			restore(machine, low);
		else
			run_extended(machine, &program, code);
	}
	return !program.is_bad;
}

static bool is_stack_offset(int64_t offset)
{
	return offset > 0 && offset <= INT32_MAX && offset % 8 == 0;
}

/* The row as a rule, where it is of the pattern. */
static struct sl_cfi_rule rule_of(const struct row *row)
{
	struct sl_cfi_rule rule = {.kind = SL_CFI_OTHER};
	if (row->ret == SL_PLACE_UNDEFINED) {
		rule.kind = SL_CFI_END;
		return rule;
	}
	if (row->is_odd || row->ret != SL_PLACE_SAVED || row->saved_return != -8 ||
	    !is_stack_offset(row->cfa_offset))
		return rule;
	if (row->fp == SL_PLACE_SAVED) {
		if (row->saved_fp >= -8 || row->saved_fp < INT16_MIN || row->saved_fp % 8 != 0)
			return rule;
		rule.saved_fp = (int16_t)row->saved_fp;
	} else if (row->fp != SL_PLACE_SAME) {
		return rule;
	}
	rule.cfa_offset = (int32_t)row->cfa_offset;
	if (row->cfa_register == SL_REGISTER_SP)
		rule.kind = SL_CFI_FROM_SP;
	else if (row->cfa_register == SL_REGISTER_FP)
		rule.kind = SL_CFI_FROM_FP;
	return rule;
}

/* The function's entry (frame description entry) at `at`, of a function that begins at `begin`. */
static bool read_function(const uint8_t *at, const struct sl_segment *segment, uintptr_t begin,
                          uintptr_t pc, struct sl_cfi_rule *rule)
{
	struct bytes entry = entry_at(at, segment);
	const uint8_t *base = entry.at;
	uint32_t back = take_4(&entry);
	struct common common;
	*rule = (struct sl_cfi_rule){.kind = SL_CFI_BROKEN};
	if (entry.is_bad || back == 0 || back > (uintptr_t)base - (uintptr_t)segment->begin)
		return true;
	if (!read_common(entry_at(base - back, segment), &common) ||
	    (common.encoding & SL_FORM_INDIRECT))
		return true;
	if (common.is_signal) {
		*rule = (struct sl_cfi_rule){.kind = SL_CFI_SIGNAL};
		return true;
	}
	if (!begins_at(&entry, common.encoding, begin))
		return true;
	uint64_t length = take_form(&entry, common.encoding);
	if (common.has_data)
		skip(&entry, take_unsigned(&entry));
	if (entry.is_bad)
		return true;
	if (pc - begin >= length)
		return false;
	struct machine machine = {.common = &common, .until = pc - begin};
	if (!run(&machine, common.program))
		return false;
	machine.first = machine.row;
	if (!run(&machine, entry))
		return false;
	*rule = rule_of(&machine.row);
	return true;
}

/* The table of .eh_frame_hdr: pairs of a function's address and its entry's, sorted, as distances from the table's head. */
struct pair {
	int32_t function, entry;
};

static struct pair pair_at(const uint8_t *table, uint32_t i)
{
	struct pair pair;
	memcpy(&pair, table + i * sizeof(pair), sizeof(pair));
	return pair;
}

/* The last function that begins at pc or below. */
static bool search(const uint8_t *table, uint32_t count, int64_t pc, struct pair *found)
{
	uint32_t low = 0, high = count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (pair_at(table, middle).function <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return false;
	*found = pair_at(table, low - 1);
	return true;
}

/* The table of an object, and the entry of the function at pc. False: there is none, or only a list that has to be read as a whole. */
static bool find_entry(const struct dl_find_object *object, const struct sl_segment *segment,
                       uintptr_t pc, struct pair *pair, bool *is_broken)
{
	const uint8_t *head = object->dlfo_eh_frame;
	struct bytes table = {head, segment->end, false};
	uint8_t version = take_byte(&table), frames = take_byte(&table);
	uint8_t counted = take_byte(&table), form = take_byte(&table);
	(void)take_form(&table, frames);
	*is_broken = table.is_bad || version != 1;
	if (*is_broken || (counted == SL_FORM_NONE && form == SL_FORM_NONE))
		return false;
	uint32_t count = take_4(&table);
	*is_broken = table.is_bad || counted != SL_FORM_U4 || form != SL_TABLE_FORM ||
	             count > (size_t)(table.end - table.at) / sizeof(*pair);
	return !*is_broken && search(table.at, count, (int64_t)(pc - (uintptr_t)head), pair);
}

bool sl_cfi_find(uintptr_t return_address, struct sl_cfi_rule *rule)
{
	struct dl_find_object object;
	struct sl_segment segment;
	struct pair pair;
	bool is_broken = false;
	/* It points behind the call, which may be a function's last instruction. */
	uintptr_t pc = return_address - 1;
	if (!find_object || find_object((void *)pc, &object) != 0 || !object.dlfo_eh_frame)
		return false;
	const struct link_map *map = object.dlfo_link_map;
	const uint8_t *head = object.dlfo_eh_frame, *mapped = object.dlfo_map_start;
	*rule = (struct sl_cfi_rule){.kind = SL_CFI_BROKEN};
	enum sl_segment_answer answer = sl_segment_at(map, mapped, head, &segment);
	if (answer != SL_SEGMENT_FOUND)
		return answer == SL_SEGMENT_NONE;
	if (!find_entry(&object, &segment, pc, &pair, &is_broken))
		return is_broken;
	uintptr_t begin = (uintptr_t)head + (uintptr_t)(intptr_t)pair.function;
	const uint8_t *entry = head + pair.entry;
	if (sl_segment_at(map, mapped, entry, &segment) != SL_SEGMENT_FOUND)
		return true;
	return read_function(entry, &segment, begin, pc, rule);
}

#else

void sl_cfi_open(void)
{
}

bool sl_cfi_find(uintptr_t return_address, struct sl_cfi_rule *rule)
{
	(void)return_address, (void)rule;
	return false;
}

#endif
