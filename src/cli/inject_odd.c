/* inject_odd.c - see inject_odd.h. */
#include "cli/inject_odd.h"

#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/proc.h"

#define SL_PF_IO_WORKER 0x10UL     /* include/linux/sched.h */
#define SL_PF_USER_WORKER 0x4000UL /* since Linux 6.4 */

static long compare(int a, int b, int what)
{
	return syscall(SYS_kcmp, a, b, what, 0L, 0L);
}

/* By what a link in /proc leads to. */
static bool is_other(int view, int tid, const char *name)
{
	char path[64];
	struct stat theirs, its;
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", view, name);
	if (stat(path, &theirs) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	return stat(path, &its) == 0 &&
	       (its.st_dev != theirs.st_dev || its.st_ino != theirs.st_ino);
}

static bool is_kernels(int tid)
{
	size_t n;
	unsigned long flags = 0;
	char *text = sl_proc_file(tid, "stat", &n);
	const char *name_end = text ? strrchr(text, ')') : NULL;
	if (name_end && sscanf(name_end, ") %*c %*d %*d %*d %*d %*d %lu", &flags) != 1)
		flags = 0;
	free(text);
	return flags & (SL_PF_IO_WORKER | SL_PF_USER_WORKER);
}

static void read_sandbox(int tid, long *mode, long *filters)
{
	size_t n;
	char *status = sl_proc_file(tid, "status", &n);
	*mode = status ? sl_proc_status_number(status, "Seccomp") : -1;
	*filters = status ? sl_proc_status_number(status, "Seccomp_filters") : -1;
	free(status);
}

static bool is_narrower(int view, int tid)
{
	long mode, filters, its_mode, its_filters;
	read_sandbox(view, &mode, &filters);
	read_sandbox(tid, &its_mode, &its_filters);
	return its_mode > 0 && (its_mode != mode || its_filters > filters);
}

bool sl_task_is_odd(int view, int tid)
{
	if (is_kernels(tid))
		return true;
	if (view == tid)
		return false;
	return compare(view, tid, KCMP_FILES) > 0 || is_other(view, tid, "root") ||
	       is_other(view, tid, "ns/mnt") || is_other(view, tid, "ns/net") ||
	       is_narrower(view, tid);
}

bool sl_task_shares_memory(int pid, int other)
{
	return compare(pid, other, KCMP_VM) == 0;
}
