#include "stack/room.h"

#include <stddef.h>
#include <stdint.h>

#include "base/sys.h"

#include "base/poison.h"

#define SL_KNOWN_BYTES (64u << 10) /* no more is kept in mind: stacks come and go */

/* What was found to be there. */
static __thread struct {
	uintptr_t low, high;
} known;

static uintptr_t page_of(const void *at)
{
	return (uintptr_t)at & ~(uintptr_t)(SL_SYS_PAGE_BYTES - 1);
}

bool sl_room_is_known(void)
{
	uintptr_t here = page_of(__builtin_frame_address(0));
	return here <= known.high && here - SL_ROOM_BYTES >= known.low;
}

bool sl_room_is_enough(void)
{
	uintptr_t here = page_of(__builtin_frame_address(0)), low = here - SL_ROOM_BYTES;
	if (sl_room_is_known())
		return true;
	for (uintptr_t page = here - SL_SYS_PAGE_BYTES; page >= low; page -= SL_SYS_PAGE_BYTES)
		if (!sl_sys_is_readable((const void *)page, 1))
			return false;
	uintptr_t high = here > known.high ? here : known.high;
	uintptr_t lowest = low < known.low ? low : known.low;
	bool is_joined = low <= known.high && here >= known.low && high - lowest <= SL_KNOWN_BYTES;
	known.low = is_joined ? lowest : low;
	known.high = is_joined ? high : here;
	return true;
}
