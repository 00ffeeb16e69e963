#include "base/process.h"

#include <stddef.h>
#include <stdint.h>

#include "base/sys.h"

#include "base/poison.h"

#define SL_PAGE 4096
#define SL_MARK 0x736f636b6c65616bULL /* any value but zero */

static _Atomic int own_pid;              /* written at start and in a forked child */
static _Atomic bool is_sandboxed;        /* only ever set */
static _Atomic uint64_t *wiped_at_fork;  /* constant after start; NULL: the kernel cannot */
static sl_process_child_fn *child_fn;    /* constant after start */

void sl_process_start(sl_process_child_fn *in_child)
{
	child_fn = in_child;
	own_pid = sl_sys_getpid();
	void *page = sl_sys_map(SL_PAGE);
	if (!page)
		return;
	if (SL_SYS3(SYS_madvise, page, SL_PAGE, MADV_WIPEONFORK) < 0) {
		sl_sys_unmap(page, SL_PAGE);
		return;
	}
	wiped_at_fork = page;
	*wiped_at_fork = SL_MARK;
}

void sl_process_forked(void)
{
	int pid = sl_sys_getpid();
	if (own_pid == pid)
		return;
	own_pid = pid;
	if (wiped_at_fork)
		*wiped_at_fork = SL_MARK;
	if (child_fn)
		child_fn();
}

bool sl_process_is_ours(void)
{
	if (is_sandboxed)
		return true;
	int pid = sl_sys_getpid();
	if (pid == own_pid || own_pid == 0)
		return true;
	if (!wiped_at_fork || *wiped_at_fork == SL_MARK)
		return false; /* the parent's memory, lent by vfork */
	sl_process_forked();
	return true;
}

void sl_process_sandboxed(void)
{
	is_sandboxed = true;
}

bool sl_process_is_sandboxed(void)
{
	return is_sandboxed;
}
