#include "hooks/alone.h"

#include <errno.h>
#include <sched.h>

#include "base/process.h"
#include "base/sys.h"
#include "hooks/entry.h"
#include "watch/worker.h"

#include "base/poison.h"

/* unshare(CLONE_THREAD) changes nothing, and is refused to a process of several threads (unshare(2)). */
static bool has_one_thread(void)
{
	return SL_SYS1(SYS_unshare, CLONE_THREAD) == 0;
}

void sl_alone_begin(struct sl_alone *alone)
{
	*alone = (struct sl_alone){.is_ours = sl_entry_is_ours() && !sl_process_is_sandboxed()};
	if (!alone->is_ours)
		return;
	alone->has_rested = sl_worker_rest();
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
