/* as_user.h - for a moment, what the user of another process may do: files are made as that user, and peers see that user
 * (SO_PEERCRED).
 *
 * Only the effective ids change, and our further groups are left: that user can neither trace nor kill us meanwhile.
 *
 * Layer: cli. Context: one thread. Source: credentials(7).
 */
#ifndef SL_CLI_AS_USER_H
#define SL_CLI_AS_USER_H

#include <stdbool.h>
#include <sys/types.h>

struct sl_as_user {
	uid_t uid; /* who we were */
	gid_t gid;
	gid_t *groups; /* those that were left */
	int group_count;
	bool is_switched;
};

/* 0, nothing to do where we are that user already; -EPERM: only root can; -EINVAL: it has no id in our user namespace. */
int sl_as_user_begin(struct sl_as_user *before, uid_t uid, gid_t gid);
/* Back again, whether it began or not. errno: untouched. */
void sl_as_user_end(struct sl_as_user *before);

#endif
