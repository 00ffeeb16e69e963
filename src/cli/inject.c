/* inject.c - see inject.h. */
#include "cli/inject.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/attach.h"
#include "cli/inject_call.h"
#include "cli/inject_target.h"
#include "cli/inject_thread.h"
#include "cli/inject_trace.h"

#define SL_SEARCH_US 5000000
#define SL_START_US 500000
#define SL_START_LOOK_NS 5000000

static int inject(struct sl_target *target, const struct sl_injection *injection,
                  struct sl_injected *injected)
{
	struct sl_tracee tracee;
	struct sl_registers registers;
	struct sl_machine_call call = {
		.calls = target->calls,
		.library = injection->library,
		.function = injection->function ? injection->function : SL_ATTACH_FUNCTION,
		.options = injection->options,
		.code = sl_call_place(target),
	};
	if (!call.code)
		return sl_target_fail(
			injected, -ENOTSUP, SL_EXIT_NO_LIBRARY,
			"process %d: no object in it has room for the code of the call",
			target->pid);
	int error = sl_thread_find(target, sl_machine_frame_bytes(&call),
	                           sl_trace_now_us() + SL_SEARCH_US, &tracee, &registers, injected);
	if (error)
		return error;
	injected->tid = tracee.tid;
	error = sl_call_make(target, &tracee, &registers, &call, injected);
	injected->stopped_us = sl_trace_now_us() - tracee.held_us;
	return error;
}

/* Its memory goes before it is a zombie. */
static bool has_ended(struct sl_target *target)
{
	struct sl_maps maps;
	if (!sl_target_find_view(target))
		return true;
	const int error = sl_maps_read(target->view, &maps);
	const bool is_empty = error == -ESRCH || (!error && maps.n == 0);
	sl_maps_free(&maps);
	return is_empty;
}

static int try_once(const struct sl_injection *injection, struct sl_target *target,
                    struct sl_injected *injected)
{
	*injected = (struct sl_injected){.result = -1};
	int error = sl_target_refuse(injection, target, injected);
	if (!error)
		error = sl_target_read_libc(target, injected);
	if (!error)
		error = inject(target, injection, injected);
	/* Whatever did not go, where it has ended meanwhile that is the reason. */
	if (error && error != -ESRCH && error != -ENXIO && has_ended(target))
		error = sl_target_gone(injection->pid, injected);
	sl_target_close(target);
	return error;
}

int sl_inject(const struct sl_injection *injection, struct sl_injected *injected)
{
	struct sl_target target;
	struct sl_trace_before before;
	sl_trace_begin(&before);
	const uint64_t until = sl_trace_now_us() + SL_START_US;
	int error = try_once(injection, &target, injected);
	/* A program that has just begun has its libraries in a moment. */
	while (error == -ENOTSUP && target.is_dynamic && sl_trace_now_us() < until) {
		const struct timespec pause = {0, SL_START_LOOK_NS};
		(void)nanosleep(&pause, NULL);
		error = try_once(injection, &target, injected);
	}
	sl_trace_end(&before);
	return error;
}
