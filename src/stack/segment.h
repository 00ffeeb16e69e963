/* segment.h - the part of a loaded object that lies around an address, by the object's own header.
 *
 * Between two parts there may be pages that nobody may read.
 *
 * Layer: stack. Locks: none. Fork: no state. errno: untouched. Source: elf(5).
 */
#ifndef SL_STACK_SEGMENT_H
#define SL_STACK_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

struct sl_segment {
	const uint8_t *begin, *end;
};

/* Of the object that is mapped from `start` to `end`. False: the address is in no part that may be read, or there is no header.
 * Async-signal-safe: yes. */
bool sl_segment_at(const void *start, const void *end, const void *address,
                   struct sl_segment *segment);

#endif
