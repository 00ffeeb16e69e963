/* process.c - calls that change what the library may do, or what it must know later: prctl, epoll_ctl. */
#include <sys/prctl.h>

#include "base/process.h"
#include "hooks/entry.h"
#include "hooks/real.h"
#include "watch/worker.h"

#include "base/poison.h"

int sl_hook_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	bool is_filter = option == PR_SET_SECCOMP && sl_entry_is_ours();
	if (is_filter) {
		/* A filter may forbid to start a thread later, or to ask for memory: now, then. */
		struct sl_guard g;
		if (sl_guard_enter(&g)) {
			sl_fdtable_prepare();
			sl_worker_ensure(&g);
		}
		sl_guard_leave(&g);
	}
	int result = sl_real.prctl(option, a, b, c, d);
	if (is_filter && result == 0)
		sl_process_sandboxed();
	return result;
}

int sl_hook_epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
	int result = sl_real.epoll_ctl(epfd, operation, fd, event);
	if (result == 0 && operation == EPOLL_CTL_ADD)
		(void)sl_fdtable_mark_now(fd, SL_FD_EPOLL, 0);
	return result;
}
