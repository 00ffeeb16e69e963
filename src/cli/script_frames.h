/* script_frames.h - the frames of a snapshot that are code made at run time, by name where its maker tells (perf_map.h).
 *
 * Layer: cli. Context: one thread. Owner: frames lie in the arena given.
 */
#ifndef SL_CLI_SCRIPT_FRAMES_H
#define SL_CLI_SCRIPT_FRAMES_H

#include "base/arena.h"
#include "report/snapshot.h"

struct sl_script_frames;

/* Of the process `pid`, which is alive. NULL: there is nothing to name, or no names; of a file that is not to be trusted
 * `note` says so, else it is NULL. */
struct sl_script_frames *sl_script_frames_open(struct sl_arena *arena, const struct sl_snapshot *s,
                                               int pid, const char **note);
void sl_script_frames_close(struct sl_script_frames *frames); /* NULL is fine */

/* The frame by name, or the frame itself. */
const struct sl_frame *sl_script_frames_name(const struct sl_script_frames *frames,
                                             const struct sl_frame *frame);

#endif
