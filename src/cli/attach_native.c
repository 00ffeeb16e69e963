/* attach_native.c - see attach_native.h. */
#include "cli/attach_native.h"

#include "base/attach.h"
#include "cli/inject.h"

static void call(const struct sl_proc *proc, const struct sl_injection *injection,
                 struct sl_attach_outcome *outcome)
{
	struct sl_injected injected = {0};
	*outcome = (struct sl_attach_outcome){0};
	const int error = sl_inject(injection, &injected);
	outcome->is_held = injected.stopped_us > 0;
	outcome->held_us = injected.stopped_us;
	outcome->tid = injected.tid;
	outcome->result = injected.result;
	if (error)
		sl_attach_refuse(&outcome->refusal, injected.code, "%s", injected.error);
	else if (injected.result < 0)
		sl_attach_refuse(&outcome->refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its loader says: %s", proc->pid, injected.error);
}

void sl_attach_native(const struct sl_proc *proc, const char *library, const char *options,
                      bool is_forced, struct sl_attach_outcome *outcome)
{
	const struct sl_injection injection = {
		.pid = proc->pid,
		.library = library,
		.options = options,
		.is_forced = is_forced,
	};
	call(proc, &injection, outcome);
}

void sl_detach_native(const struct sl_proc *proc, const char *library, const char *words,
                      struct sl_attach_outcome *outcome)
{
	const struct sl_injection injection = {
		.pid = proc->pid,
		.library = library,
		.function = SL_DETACH_FUNCTION,
		.options = words,
		.is_forced = true, /* it made its own calls there until now */
	};
	call(proc, &injection, outcome);
}
