/* as_user.c - see as_user.h. */
#include "cli/as_user.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/say.h"

int sl_as_user_begin(struct sl_as_user *before, uid_t uid, gid_t gid)
{
	*before = (struct sl_as_user){.uid = geteuid(), .gid = getegid()};
	if (before->uid == uid && before->gid == gid)
		return 0;
	if (before->uid != 0)
		return -EPERM;
	before->is_switched = true;
	/* The group first: afterwards we may not. */
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
	if (before->is_switched && (seteuid(before->uid) < 0 || setegid(before->gid) < 0))
		exit(sl_say(SL_EXIT_DENIED, "cannot become root again"));
	before->is_switched = false;
	errno = error;
}
