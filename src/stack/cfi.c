#include "stack/cfi.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "stack/cfi_bytes.h"
#include "stack/cfi_program.h"
#include "stack/segment.h"

#include "base/poison.h"

#if defined(__x86_64__) && defined(DLFO_EH_SEGMENT_TYPE)

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

typedef int find_object_fn(void *address, struct dl_find_object *found);

static find_object_fn *find_object; /* constant after start; NULL: libc has none */

void sl_cfi_open(void)
{
	find_object = (find_object_fn *)dlsym(RTLD_DEFAULT, "_dl_find_object");
}

static uint64_t take_form(struct sl_cfi_bytes *bytes, uint8_t encoding)
{
	switch (encoding & SL_FORM_MASK) {
	case SL_FORM_U4:
	case SL_FORM_S4:
		return sl_cfi_take_4(bytes);
	case SL_FORM_POINTER:
	case SL_FORM_U8:
	case SL_FORM_S8:
		return sl_cfi_take_8(bytes);
	default:
		bytes->is_bad = true;
		return 0;
	}
}

/* An address; is it this one, as far as that can be told here? */
static bool begins_at(struct sl_cfi_bytes *bytes, uint8_t encoding, uintptr_t address)
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
	struct sl_cfi_bytes program; /* of the state at a function's first instruction */
	struct sl_cfi_units units;
	uint8_t encoding; /* of addresses */
	bool has_data;    /* "z": the function's entry has a block that may be skipped */
	bool is_signal;   /* "S" */
};

/* The entry at `at`, without its length, which is at most what the segment has. */
static struct sl_cfi_bytes entry_at(const uint8_t *at, const struct sl_segment *segment)
{
	struct sl_cfi_bytes entry = {at, segment->end, at < segment->begin || at >= segment->end};
	if (entry.is_bad)
		entry.at = entry.end = segment->end;
	uint32_t n = sl_cfi_take_4(&entry);
	if (n == UINT32_MAX || n > (uint64_t)(entry.end - entry.at)) /* 64-bit DWARF, or nonsense */
		entry.is_bad = true;
	else
		entry.end = entry.at + n;
	return entry;
}

static void read_augmentation(struct sl_cfi_bytes *entry, const char *letters,
                              struct common *common)
{
	uint64_t n = sl_cfi_take_unsigned(entry);
	struct sl_cfi_bytes data = *entry;
	sl_cfi_skip(entry, n);
	data.end = entry->at;
	common->has_data = true;
	for (; *letters && !entry->is_bad; letters++) {
		if (*letters == 'R')
			common->encoding = sl_cfi_take_byte(&data);
		else if (*letters == 'L')
			(void)sl_cfi_take_byte(&data);
		else if (*letters == 'P')
			(void)take_form(&data, sl_cfi_take_byte(&data));
		else if (*letters == 'S')
			common->is_signal = true;
		else
			entry->is_bad = true;
		entry->is_bad |= data.is_bad;
	}
}

static bool read_common(struct sl_cfi_bytes entry, struct common *common)
{
	*common = (struct common){.encoding = SL_FORM_POINTER};
	uint32_t id = sl_cfi_take_4(&entry);
	uint8_t version = sl_cfi_take_byte(&entry);
	const char *letters = (const char *)entry.at;
	const uint8_t *end = memchr(entry.at, 0, (size_t)(entry.end - entry.at));
	/* The number is what tells it from a function's entry. */
	if (entry.is_bad || id != 0 || !end || (version != 1 && version != 3))
		return false;
	entry.at = end + 1;
	common->units.code = sl_cfi_take_unsigned(&entry);
	common->units.data = sl_cfi_take_signed(&entry);
	uint64_t return_register =
		version == 1 ? sl_cfi_take_byte(&entry) : sl_cfi_take_unsigned(&entry);
	if (*letters == 'z')
		read_augmentation(&entry, letters + 1, common);
	else if (*letters)
		return false;
	common->program = entry;
	return !entry.is_bad && return_register == SL_CFI_RETURN;
}

/* The function's entry (frame description entry) at `at`, of a function that begins at `begin`. */
static bool read_function(const uint8_t *at, const struct sl_segment *segment, uintptr_t begin,
                          uintptr_t pc, struct sl_cfi_rule *rule)
{
	struct sl_cfi_bytes entry = entry_at(at, segment);
	const uint8_t *base = entry.at;
	uint32_t back = sl_cfi_take_4(&entry);
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
		sl_cfi_skip(&entry, sl_cfi_take_unsigned(&entry));
	if (entry.is_bad)
		return true;
	if (pc - begin >= length)
		return false;
	return sl_cfi_program_run(&common.units, common.program, entry, pc - begin, rule);
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
	struct sl_cfi_bytes table = {head, segment->end, false};
	uint8_t version = sl_cfi_take_byte(&table), frames = sl_cfi_take_byte(&table);
	uint8_t counted = sl_cfi_take_byte(&table), form = sl_cfi_take_byte(&table);
	(void)take_form(&table, frames);
	*is_broken = table.is_bad || version != 1;
	if (*is_broken || (counted == SL_FORM_NONE && form == SL_FORM_NONE))
		return false;
	uint32_t count = sl_cfi_take_4(&table);
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
