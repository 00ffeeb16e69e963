/* segment.h - the part of a loaded object that lies around an address, by the object's own header.
 *
 * Between two parts there may be pages that nobody may read.
 *
 * Layer: stack. Locks: none. Fork: no state. errno: untouched. Source: elf(5).
 */
#ifndef SL_STACK_SEGMENT_H
#define SL_STACK_SEGMENT_H

#include <link.h>
#include <stdint.h>

struct sl_segment {
	const uint8_t *begin, *end;
};

enum sl_segment_answer {
	SL_SEGMENT_FOUND,
	SL_SEGMENT_NONE,    /* the address is in no part that may be read */
	SL_SEGMENT_UNKNOWN, /* the table of the parts is not where it is looked for */
};

/* The table is looked for behind the header of the object, at the place where something of it is mapped or where its addresses count
 * from; that of the program itself is where the kernel says (getauxval(3), AT_PHDR), for what rewrites programs (llvm-bolt) moves it.
 * Two system calls at most. Async-signal-safe: yes. */
enum sl_segment_answer sl_segment_at(const struct link_map *object, const void *mapped,
                                     const void *address, struct sl_segment *segment);

#endif
