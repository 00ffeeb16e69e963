/* proc_title.c - see proc_title.h. */
#include "cli/proc_title.h"

#include <stdio.h>
#include <string.h>

#include "cli/external.h"

void sl_proc_title(const struct sl_proc *proc, char title[SL_PROC_TITLE_BYTES])
{
	struct sl_arena arena = SL_ARENA(1 << 16, 0);
	struct sl_snapshot snapshot;
	memset(&snapshot, 0, sizeof(snapshot));
	sl_external_describe(&arena, proc, &snapshot);
	(void)snprintf(title, SL_PROC_TITLE_BYTES, "%s",
	               snapshot.process.name ? snapshot.process.name : proc->name);
	sl_arena_free(&arena);
}
