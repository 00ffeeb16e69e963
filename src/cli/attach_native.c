/* attach_native.c - see attach_native.h. */
#include "cli/attach_native.h"

void sl_attach_native(const struct sl_proc *proc, const char *library, const char *options,
                      bool is_forced, struct sl_attach_outcome *outcome)
{
	(void)library;
	(void)options;
	(void)is_forced;
	*outcome = (struct sl_attach_outcome){0};
	sl_attach_refuse(&outcome->refusal, SL_EXIT_NO_LIBRARY,
	                 "process %d (%s) has no Java VM, and other processes cannot be attached "
	                 "to: not built yet",
	                 proc->pid, proc->name);
}
