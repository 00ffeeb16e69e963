/* attach_plan.h - can the library be brought into this process, and by which way? Found out beforehand, without touching it.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_ATTACH_PLAN_H
#define SL_CLI_ATTACH_PLAN_H

#include <stdbool.h>

#include "cli/attach_way.h"
#include "cli/jvm.h"
#include "cli/proc.h"

struct sl_attach_plan {
	bool is_jvm; /* by its VM, else by ptrace */
	struct sl_jvm jvm;
	struct sl_attach_refusal refusal; /* code 0: nothing speaks against it that could be seen */
};

/* What speaks against it is in plan->refusal. `words`: the command that asks for it, as it would stand behind sudo;
 * NULL: nobody asks to attach, so the VM is not asked either. is_forced: in spite of a seccomp filter. */
void sl_attach_plan(const struct sl_proc *proc, const char *words, bool is_forced,
                    struct sl_attach_plan *plan);

/* The value of kernel.yama.ptrace_scope; 0 where there is none. */
int sl_attach_ptrace_scope(void);

#endif
