/* snapshot_read.h - a snapshot in JSON, from a file or from memory, back as the model that the renderers take.
 *
 * Text and JSON rendered from it are what the library would have rendered. Any bytes are taken: what is no snapshot is refused in
 * one sentence. A newer schema or version is read as far as it is known, and said so.
 *
 * Layer: cli. Locks: none. Context: one thread. Owner: everything lies in the arena given.
 */
#ifndef SL_CLI_SNAPSHOT_READ_H
#define SL_CLI_SNAPSHOT_READ_H

#include <stddef.h>

#include "base/arena.h"
#include "report/snapshot.h"

#define SL_SNAPSHOT_READ_BYTES_MAX (256u << 20)

struct sl_snapshot_said {
	char error[256]; /* why it was refused */
	char note[256];  /* "": nothing to remark */
};

/* 0, or -EBADMSG with said->error. */
int sl_snapshot_read_memory(struct sl_arena *arena, const char *bytes, size_t n,
                            struct sl_snapshot *snapshot, struct sl_snapshot_said *said);

/* The same of a file, "-" is stdin; or another -errno, that of opening or reading it, -EFBIG. */
int sl_snapshot_read_file(struct sl_arena *arena, const char *path, struct sl_snapshot *snapshot,
                          struct sl_snapshot_said *said);

#endif
