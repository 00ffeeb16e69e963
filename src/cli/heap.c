/* heap.c - see heap.h. */
#include "cli/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/out.h"
#include "cli/exit.h"
#include "cli/say.h"

void *sl_heap_grow(void *memory, size_t bytes)
{
	void *grown = realloc(memory, bytes ? bytes : 1);
	if (!grown)
		exit(sl_say(SL_EXIT_USAGE, "out of memory"));
	return grown;
}

char *sl_heap_shown(const char *name)
{
	/* \xHH: four bytes for one. */
	size_t room = name ? strlen(name) * 4 + 1 : 1;
	char *shown = sl_heap_grow(NULL, room);
	struct sl_out out;
	sl_out_init(&out, shown, room - 1, NULL, NULL);
	sl_out_terminal(&out, name);
	shown[out.length] = '\0';
	return shown;
}
