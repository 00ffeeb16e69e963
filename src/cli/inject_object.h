/* inject_object.h - an ELF object as it lies in the memory of a process: its symbols, and the room behind its code.
 *
 * Read from memory, not from its file, which may be another one by now, or in a root that is not ours. Any bytes are taken.
 *
 * Layer: cli. Context: one thread. Source: elf(5), the gABI, GNU_HASH as ld writes it.
 */
#ifndef SL_CLI_INJECT_OBJECT_H
#define SL_CLI_INJECT_OBJECT_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_OBJECT_SEGMENTS 32

struct sl_object {
	uint64_t bias; /* what is added to the addresses of the file */
	Elf64_Phdr segments[SL_OBJECT_SEGMENTS];
	unsigned n;
};

/* The object whose first byte lies at `start`. */
bool sl_object_read(int memory, uint64_t start, struct sl_object *object);

/* Address of a function that it exports; 0: none. */
uint64_t sl_object_function(int memory, const struct sl_object *object, const char *name);
/* The same, and how many bytes it has. */
uint64_t sl_object_function_bytes(int memory, const struct sl_object *object, const char *name,
                                  uint64_t *bytes);

/* Its segment of code: where it begins and ends in memory; false: none. */
bool sl_object_code(const struct sl_object *object, uint64_t *start, uint64_t *end);

/* The bytes between the end of its code and the end of that page, which belong to no segment: how many. */
size_t sl_object_slack(const struct sl_object *object, uint64_t *start);

#endif
