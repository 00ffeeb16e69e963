/* detach_by_hand.h - detach where nobody listens at a control socket: control=off, a forked child that has no thread of ours yet. The
 * library's function is called by the way that attach takes: by ptrace, or in a Java VM by the VM's own means.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_DETACH_BY_HAND_H
#define SL_CLI_DETACH_BY_HAND_H

#include <stdbool.h>

#include "cli/proc.h"

/* Do it, and tell of it. The exit code of the command. Blocks: as sl_inject() and sl_attach_jvm(). */
int sl_detach_by_hand(const struct sl_proc *proc, bool is_forced, bool is_json);

#endif
