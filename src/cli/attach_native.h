/* attach_native.h - the library into a process that has no Java VM.
 *
 * Layer: cli. Context: one thread, sl_held_signals_begin().
 */
#ifndef SL_CLI_ATTACH_NATIVE_H
#define SL_CLI_ATTACH_NATIVE_H

#include "cli/attach_way.h"
#include "cli/proc.h"

/* `library` is a path as the process sees it. is_forced: in spite of a seccomp filter. */
void sl_attach_native(const struct sl_proc *proc, const char *library, const char *options,
                      bool is_forced, struct sl_attach_outcome *outcome);

/* The same way, for SL_DETACH_FUNCTION. `words`: its argument. */
void sl_detach_native(const struct sl_proc *proc, const char *library, const char *words,
                      struct sl_attach_outcome *outcome);

#endif
