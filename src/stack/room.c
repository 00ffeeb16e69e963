#include "stack/room.h"

#include <stddef.h>
#include <stdint.h>

#include "base/sys.h"

#include "base/poison.h"

#define SL_PAGE_BYTES 4096u /* the smallest there is */

#define SL_KNOWN_BYTES (64u << 10) /* no more is kept in mind: stacks come and go */

/* What was found to be there. */
static __thread struct {
	uintptr_t low, high;
} known;

bool sl_room_is_enough(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(SL_PAGE_BYTES - 1);
	uintptr_t low = here - SL_ROOM_BYTES;
	if (here <= known.high && low >= known.low)
		return true;
	for (uintptr_t page = here - SL_PAGE_BYTES; page >= low; page -= SL_PAGE_BYTES)
		if (!sl_sys_is_readable((const void *)page, 1))
			return false;
	uintptr_t high = here > known.high ? here : known.high;
	uintptr_t lowest = low < known.low ? low : known.low;
	bool is_joined = low <= known.high && here >= known.low && high - lowest <= SL_KNOWN_BYTES;
	known.low = is_joined ? lowest : low;
	known.high = is_joined ? high : here;
	return true;
}
