/* netns.c - see netns.h. */
#include "cli/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_our_network(int pid)
{
	char path[64];
	struct stat ours, theirs;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	if (stat("/proc/self/ns/net", &ours) < 0 || stat(path, &theirs) < 0)
		return true; /* cannot be told: we look at what we have */
	return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

int sl_netns_enter(int pid, int *home)
{
	char path[64];
	*home = -1;
	if (is_our_network(pid))
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(path, O_RDONLY | O_CLOEXEC);
	int error = here < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0 ? -errno : 0;
	if (there >= 0)
		(void)close(there);
	if (error && here >= 0)
		(void)close(here);
	else
		*home = here;
	return error;
}

void sl_netns_leave(int home)
{
	if (home < 0)
		return;
	(void)setns(home, CLONE_NEWNET);
	(void)close(home);
}
