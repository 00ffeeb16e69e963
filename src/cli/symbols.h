/* symbols.h - the native frames of a snapshot by name: function, file and line, what was inlined.
 *
 * Code that an interpreter has made is named as well, where it tells (script_frames.h).
 *
 * The library knows module, build id and offset of a frame, and what the module exports. The rest is found here, in
 * the module itself or in its debug file, if it is of the same build. The blame is then a function and a line.
 *
 * Layer: cli. Context: one thread. Owner: what is new lies in the arena given. Errors: out of memory ends the command.
 */
#ifndef SL_CLI_SYMBOLS_H
#define SL_CLI_SYMBOLS_H

#include "base/arena.h"
#include "report/snapshot.h"

/* `pid` of the process where it is alive, so that its own files are looked at; 0: a snapshot from a file. A frame whose
 * module carries no build id is named only where the process is alive. Nothing known: nothing changed. Returns what is to be
 * noted, or NULL. */
const char *sl_symbols_apply(struct sl_arena *arena, struct sl_snapshot *s, int pid);

#endif
