/* take.h - the snapshot of a running process, by whatever way there is: its library, else from outside.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_TAKE_H
#define SL_CLI_TAKE_H

#include "base/arena.h"
#include "cli/proc.h"
#include "report/snapshot.h"

struct sl_taken {
	bool has_library;
	bool is_from_library; /* else from outside */
	char note[512];       /* "": nothing to remark */
};

/* 0, -ESRCH, -EACCES or -EPERM: not permitted. */
int sl_take(struct sl_arena *arena, const struct sl_proc *proc, unsigned patience_ms,
            struct sl_snapshot *snapshot, struct sl_taken *taken);

#endif
