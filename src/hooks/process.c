/* process.c - calls that change what the library may do, or what it must know later: syscall, prctl, pthread_exit, pipe,
 * unshare, setns. */
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/ownfd.h"
#include "base/process.h"
#include "base/sys.h"
#include "hooks/alone.h"
#include "hooks/entry.h"
#include "hooks/range.h"
#include "hooks/real.h"
#include "hooks/walker.h"
#include "stack/loader.h"
#include "stack/names.h"
#include "watch/worker.h"

#include "base/poison.h"

/* Before a call that may set a filter, which may forbid to start a thread later, to ask for memory, or to wait for a lock that another
 * thread holds: now, then. */
static bool before_filter(bool is_filter)
{
	struct sl_guard g;
	int saved_errno = errno;
	if (!is_filter || !sl_entry_is_ours())
		return false;
	if (sl_process_is_sandboxed())
		return true; /* it was all done before the first one */
	if (sl_guard_enter(&g)) {
		sl_fdtable_prepare();
		sl_worker_ensure(&g);
		sl_names_native();
		sl_loader_hold(SL_LOADER_SANDBOX_MS);
	}
	sl_guard_leave(&g);
	errno = saved_errno;
	return true;
}

static void after_filter(bool is_set)
{
	if (is_set) {
		sl_process_sandboxed();
		sl_loader_close();
	} else {
		sl_loader_release();
	}
}

/* The filter would be one for our threads too, which it may kill, and the program with them: they end, for good if it comes. */
static void before_filter_for_all(struct sl_alone *alone)
{
	struct sl_guard g;
	if (sl_process_is_sandboxed()) {
		/* The one that is there lets ours alone; this one would not. */
		sl_worker_rest_in_sandbox();
		return;
	}
	if (sl_worker_is_running())
		sl_log("the program sets up a seccomp filter for all of its threads: "
		       "no reports from here on",
		       NULL);
	if (sl_guard_enter(&g))
		sl_fdtable_prepare();
	sl_guard_leave(&g);
	sl_alone_begin(alone);
}

/* Not with close(): syscall() is no cancellation point. */
static long close_past_libc(int fd)
{
	if (sl_ownfd_is(fd))
		return sl_hook_close(fd); /* which says that there is none */
	struct sl_fd_forgotten forgotten = sl_entry_closing(fd);
	long result = sl_real.syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	sl_fdtable_commit(&forgotten);
	return result;
}

/* libc has no seccomp(): programs and libseccomp go this way. Sockets that are opened so are found by the worker. */
long sl_hook_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_close)
		return close_past_libc((int)a);
	if (number == SYS_close_range)
		return sl_close_range_past_libc((unsigned)a, (unsigned)b, (int)c);
	if (number != SYS_seccomp)
		return sl_real.syscall(number, a, b, c, d, e, f);
	/* Without a filter it is a question whether the kernel could. */
	bool is_for_all = a == SECCOMP_SET_MODE_FILTER && c && (b & SECCOMP_FILTER_FLAG_TSYNC) &&
	                  sl_entry_is_ours();
	bool is_filter = (a == SECCOMP_SET_MODE_FILTER && c) || a == SECCOMP_SET_MODE_STRICT;
	struct sl_alone alone = {0};
	if (is_for_all)
		before_filter_for_all(&alone);
	else
		is_filter = before_filter(is_filter);
	long result = sl_real.syscall(number, a, b, c, d, e, f);
	/* With a listener it gives that one's fd; with TSYNC the thread that it failed for (seccomp(2)). */
	bool has_listener = result > 0 && (b & SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (is_filter)
		after_filter(result == 0 || has_listener);
	if (is_for_all)
		sl_alone_end(&alone, false);
	return result;
}

/* A process lives as long as its last thread: the worker must learn that main()'s is gone. */
void sl_hook_pthread_exit(void *value)
{
	if (sl_entry_is_ours() && sl_process_is_first_thread())
		sl_worker_main_is_gone();
	sl_real.pthread_exit(value);
}

int sl_hook_pipe(int fds[2])
{
	if (sl_walker_gets(fds, SL_CALLER()))
		return 0;
	int result = sl_real.pipe(fds);
	return result == 0 ? sl_walker_opened(fds, SL_CALLER()) : result;
}

int sl_hook_pipe2(int fds[2], int flags)
{
	if (sl_walker_gets(fds, SL_CALLER()))
		return 0;
	int result = sl_real.pipe2(fds, flags);
	return result == 0 ? sl_walker_opened(fds, SL_CALLER()) : result;
}

int sl_hook_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	bool is_filter = before_filter(option == PR_SET_SECCOMP && (a == SECCOMP_MODE_STRICT || b));
	int result = sl_real.prctl(option, a, b, c, d);
	if (is_filter)
		after_filter(result == 0);
	return result;
}

int sl_hook_unshare(int flags)
{
	struct sl_alone alone;
	sl_alone_begin(&alone);
	int result = sl_real.unshare(flags);
	sl_alone_end(&alone, result == 0 && (flags & CLONE_FILES));
	return result;
}

int sl_hook_setns(int fd, int type)
{
	struct sl_alone alone;
	sl_alone_begin(&alone);
	int result = sl_real.setns(fd, type);
	sl_alone_end(&alone, false);
	return result;
}
