/* inject_safe.c - see inject_safe.h. */
#include "cli/inject_safe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "cli/heap.h"
#include "cli/inject_unwind.h"

#define SL_STACK_ROOM ((uint64_t)64 << 10)
#define SL_STACK_MAX ((uint64_t)64 << 20)
#define SL_CHUNK_BYTES ((size_t)64 << 10)

static bool is_in_libc(const struct sl_target *target, const struct sl_point *point)
{
	return point->pc >= target->libc_start && point->pc <= target->libc_end;
}

enum sl_call_use sl_safe_promise(const struct sl_target *target, const struct sl_point *point)
{
	return is_in_libc(target, point)
	               ? sl_call_use(sl_machine_asked(target->memory, point), point->arguments)
	               : SL_CALL_NO;
}

static bool is_code(void *context, uint64_t address)
{
	const struct sl_map *map = sl_maps_at(context, address);
	return map && map->is_executable;
}

/* Where a program lets signals in that have waited for it: a place of its own choice. Not where libc does so for itself, as in the midst
 * of fork(), where it has the allocator's locks. */
static bool is_unmasking(const struct sl_target *target, const struct sl_point *point)
{
	return point->call == SYS_rt_sigprocmask && point->pc > target->mask_start &&
	       point->pc < target->mask_end;
}

/* A signal frame means that a handler runs: what it interrupted may hold any lock. But not one that waited in a call that is
 * safe itself, or had a handler in where it wanted it: whole processes live so, as those that PostgreSQL up to 15 forks from its
 * handler of SIGCHLD, which comes into select(), or into the sigprocmask() before it. */
static bool is_handler(struct sl_target *target, uint64_t address)
{
	struct sl_point point;
	if (!sl_machine_is_signal_frame(target->memory, address, is_code, &target->maps, &point))
		return false;
	if (!is_in_libc(target, &point))
		return true;
	return sl_call_use(point.call, point.arguments) != SL_CALL_WAITING &&
	       !is_unmasking(target, &point);
}

/* The highest between `from` and `to` of what looks like one; 0: there is none. UINT64_MAX: that is not to be known. */
static uint64_t find_handler(struct sl_target *target, uint64_t from, uint64_t to)
{
	uint64_t *words = sl_heap_grow(NULL, SL_CHUNK_BYTES);
	uint64_t found = 0;
	for (uint64_t at = from; at < to; at += SL_CHUNK_BYTES) {
		const size_t bytes = to - at < SL_CHUNK_BYTES ? (size_t)(to - at) : SL_CHUNK_BYTES;
		if (!sl_memory_read(target->memory, at, words, bytes)) {
			found = UINT64_MAX;
			break;
		}
		for (size_t i = 0; i < bytes / sizeof(*words); i++)
			if (words[i] == target->restorer &&
			    is_handler(target, at + i * sizeof(*words)))
				found = at + i * sizeof(*words);
	}
	free(words);
	return found;
}

/* What an earlier handler has left, in a variable that nothing was put into since, looks like one that runs: then the stack is
 * walked, and where that cannot be done to its end, another thread or moment is found. */
static bool is_in_handler(struct sl_target *target, const struct sl_registers *registers,
                          uint64_t from, uint64_t to)
{
	const uint64_t found = find_handler(target, from, to);
	return found && !sl_unwind_is_clear(target, registers, found);
}

/* Does the stack of the first thread, which grows, reach so far down by its limit? */
static bool may_grow(const struct sl_target *target, const struct sl_map *stack, uint64_t sp,
                     size_t need)
{
	struct rlimit limit;
	if (prlimit(target->pid, RLIMIT_STACK, NULL, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return true;
	return stack->end - sp + need + SL_STACK_ROOM <= limit.rlim_cur;
}

/* A thread's stack ends at its own control block, where libc made it; coroutines run elsewhere, on little room. */
static const char *check_stack(struct sl_target *target, int tid,
                               const struct sl_registers *registers, const struct sl_point *point,
                               size_t need)
{
	const struct sl_map *stack = sl_maps_at(&target->maps, point->sp);
	uint64_t end;
	if (!stack || !stack->is_writable)
		return "on a stack that is not known";
	if (tid == target->pid && strcmp(stack->path, "[stack]") == 0)
		end = stack->end;
	else if (point->tls > point->sp && point->tls < stack->end)
		end = point->tls;
	else
		return "on a stack of the program's own making";
	if (point->sp - stack->start < need)
		return "near the end of its stack";
	if (tid == target->pid && end == stack->end) {
		if (!may_grow(target, stack, point->sp, need))
			return "near the limit of its stack";
	} else if (point->sp - stack->start < need + SL_STACK_ROOM) {
		return "near the end of its stack";
	}
	if (end - point->sp > SL_STACK_MAX)
		return "too deep in its stack to be looked at";
	return is_in_handler(target, registers, point->sp & ~(uint64_t)7, end & ~(uint64_t)7)
	               ? "in a signal handler"
	               : NULL;
}

const char *sl_safe_why_not(struct sl_target *target, int tid, const struct sl_registers *registers,
                            size_t need)
{
	struct sl_point at;
	const struct sl_point *point = &at;
	sl_machine_point(registers, &at);
	if (point->call < 0)
		return "computing";
	if (!is_in_libc(target, point))
		return "in code other than libc's";
	if (sl_call_use(sl_machine_asked(target->memory, point), point->arguments) == SL_CALL_NO)
		return "in a system call that may be made under a lock";
	if (!sl_machine_is_behind_call(target->memory, point->pc))
		return "not behind a system call";
	return check_stack(target, tid, registers, point, need);
}
