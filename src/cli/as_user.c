/* as_user.c - see as_user.h. */
#include "cli/as_user.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/heap.h"
#include "cli/say.h"

/* What they may read that user may not. */
static void leave_groups(struct sl_as_user *before)
{
	const int n = getgroups(0, NULL);
	if (n <= 0)
		return;
	before->groups = sl_heap_grow(NULL, (size_t)n * sizeof(gid_t));
	before->group_count = getgroups(n, before->groups);
	/* Where a user namespace forbids it they stay (user_namespaces(7)). */
	if (setgroups(0, NULL) < 0)
		before->group_count = 0;
}

static int take_groups_back(struct sl_as_user *before)
{
	const int error = before->group_count > 0
	                          ? setgroups((size_t)before->group_count, before->groups)
	                          : 0;
	free(before->groups);
	before->groups = NULL;
	return error;
}

int sl_as_user_begin(struct sl_as_user *before, uid_t uid, gid_t gid)
{
	*before = (struct sl_as_user){.uid = geteuid(), .gid = getegid()};
	if (before->uid == uid && before->gid == gid)
		return 0;
	if (before->uid != 0)
		return -EPERM;
	before->is_switched = true;
	/* The groups first: afterwards we may not. */
	leave_groups(before);
	if (setegid(gid) < 0 || seteuid(uid) < 0) {
		const int error = -errno;
		sl_as_user_end(before);
		return error;
	}
	return 0;
}

void sl_as_user_end(struct sl_as_user *before)
{
	const int error = errno;
	if (before->is_switched &&
	    (seteuid(before->uid) < 0 || setegid(before->gid) < 0 || take_groups_back(before) < 0))
		exit(sl_say(SL_EXIT_DENIED, "cannot become root again"));
	before->is_switched = false;
	errno = error;
}
