/* segment.h - the part of a loaded object that lies around an address, by the object's own header.
 *
 * Between two parts there may be pages that nobody may read.
 *
 * Layer: stack. Locks: none. Fork: no state. errno: untouched. Source: elf(5).
 */
#ifndef SL_STACK_SEGMENT_H
#define SL_STACK_SEGMENT_H

#include <stdint.h>

struct sl_segment {
	const uint8_t *begin, *end;
};

enum sl_segment_answer {
	SL_SEGMENT_FOUND,
	SL_SEGMENT_NONE,    /* the address is in no part that may be read */
	SL_SEGMENT_UNKNOWN, /* the parts' table is not where linkers leave it, nor is this the program itself (getauxval(3), AT_PHDR) */
};

/* Of the object that is mapped from `start` to `end`. One system call. Async-signal-safe: yes. */
enum sl_segment_answer sl_segment_at(const void *start, const void *end, const void *address,
                                     struct sl_segment *segment);

#endif
