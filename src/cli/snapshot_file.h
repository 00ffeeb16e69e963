/* snapshot_file.h - a snapshot in a file, for verbs: what is wrong with it is said.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_SNAPSHOT_FILE_H
#define SL_CLI_SNAPSHOT_FILE_H

#include "base/arena.h"
#include "report/snapshot.h"

/* 0, or the exit code, with the reason said in one line. "-" is stdin. */
int sl_snapshot_file(struct sl_arena *arena, const char *path, struct sl_snapshot *snapshot);

#endif
