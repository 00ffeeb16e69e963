/* top_watch.h - what `sockleak top` looks at and does: snapshots of a process, the list of all, an action, a file.
 *
 * A refresh asks the process once and is bounded in time; the process goes on meanwhile.
 *
 * Layer: cli. Context: one thread. Errors: out of memory ends the command.
 */
#ifndef SL_CLI_TOP_WATCH_H
#define SL_CLI_TOP_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "cli/proc.h"
#include "cli/take.h"
#include "cli/top_model.h"

#define SL_TOP_SAID_BYTES 512

struct sl_top_watch {
	struct sl_top_model *top;
	struct sl_proc proc; /* pid 0: none is open, the list is shown */
	bool has_ended;
	struct sl_arena arena; /* of the snapshot */
	struct sl_snapshot snapshot;
	struct sl_taken taken;
	struct sl_top_process *processes;
	uint32_t process_count;
	uint64_t cost_ms;             /* of the last refresh */
	char said[SL_TOP_SAID_BYTES]; /* the last remark, from outside in part; "": none */
};

/* Look at this process from now on. 0, or -errno as sl_take(): nothing is changed then. */
int sl_top_watch_open(struct sl_top_watch *watch, int pid);
void sl_top_watch_close(struct sl_top_watch *watch);

/* The process, or the list, as it is now. What is in the way is said, and the last picture stays. */
void sl_top_watch_refresh(struct sl_top_watch *watch);

/* Set action=, for= as `sockleak set` does; what came of it is said. `duration` NULL: until the process ends. */
void sl_top_watch_act(struct sl_top_watch *watch, enum sl_action action, const char *duration);
/* Why no action can be set, as one says it; NULL: one can. */
const char *sl_top_watch_no_action(const struct sl_top_watch *watch);

/* What is shown, as JSON; what came of it is said. */
void sl_top_watch_save(struct sl_top_watch *watch, const char *path);

void sl_top_watch_free(struct sl_top_watch *watch);

#endif
