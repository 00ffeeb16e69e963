/* attach_jvm.h - the library into a Java VM, by the VM's own means: as a JVMTI agent, through the socket that jcmd uses.
 *
 * No JDK is needed where the command runs. The VM's threads run on; its attach listener loads the library.
 *
 * Layer: cli. Context: one thread, sl_held_signals_begin().
 */
#ifndef SL_CLI_ATTACH_JVM_H
#define SL_CLI_ATTACH_JVM_H

#include "cli/attach_way.h"
#include "cli/jvm.h"
#include "cli/proc.h"

/* Can it be done? Nothing is made, and no signal sent. `words`: the command that asks for it, as it would stand behind sudo;
 * then a VM that listens already is asked for the value of a flag. NULL: nobody asks. */
void sl_attach_jvm_check(const struct sl_proc *proc, const struct sl_jvm *jvm, const char *words,
                         struct sl_attach_refusal *refusal);

/* Do it, after that check. `library` is a path as the process sees it. Blocks: SIGQUIT and the answer are waited for, up to 40 s. */
void sl_attach_jvm(const struct sl_proc *proc, const char *library, const char *options,
                   struct sl_attach_outcome *outcome);

/* From this version on a VM prints a warning when an agent is loaded into it. */
#define SL_JVM_WARNS_FROM 21

#endif
