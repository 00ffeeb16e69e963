#include "hooks/alone.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/process.h"
#include "base/sys.h"
#include "hooks/entry.h"
#include "watch/worker.h"

#include "base/poison.h"

#define SL_SETTLE_LOOKS 10
#define SL_SETTLE_LOOK_NS 500000u

/* unshare(CLONE_THREAD) changes nothing, and is refused to a process of several threads (unshare(2)). */
static bool has_one_thread(void)
{
	return SL_SYS1(SYS_unshare, CLONE_THREAD) == 0;
}

/* A thread's number is gone a moment before the kernel has forgotten the thread (release_task() in kernel/exit.c). In a program of
 * several threads this waits in vain. */
static void settle(void)
{
	static const _Atomic uint32_t never;
	for (int look = 0; look < SL_SETTLE_LOOKS; look++) {
		if (SL_SYS1(SYS_unshare, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) == 0)
			return;
		sl_sys_futex_wait(&never, 0, SL_SETTLE_LOOK_NS);
	}
}

void sl_alone_begin(struct sl_alone *alone)
{
	*alone = (struct sl_alone){.is_ours = sl_entry_is_ours() && !sl_process_is_sandboxed()};
	if (!alone->is_ours)
		return;
	alone->has_rested = sl_worker_rest();
	if (alone->has_rested)
		settle();
	alone->is_single = has_one_thread();
}

void sl_alone_end(const struct sl_alone *alone, bool is_separated)
{
	int saved_errno = errno;
	if (!alone->is_ours)
		return;
	/* What this thread starts would share its table: another one's next socket starts the worker. */
	bool is_apart = is_separated && !alone->is_single;
	if (is_apart)
		sl_process_thread_separated();
	sl_worker_resume(alone->has_rested && !is_apart && !sl_process_is_sandboxed());
	errno = saved_errno;
}
