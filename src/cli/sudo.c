/* sudo.c - see sudo.h. */
#include "cli/sudo.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>

void sl_sudo_as(const struct sl_proc *proc, char text[SL_SUDO_BYTES])
{
	char user[64], group[72] = "";
	const struct passwd *its = getpwuid(proc->euid);
	const struct group *of = getgrgid(proc->egid);
	if (its)
		(void)snprintf(user, sizeof(user), "%.60s", its->pw_name);
	else
		(void)snprintf(user, sizeof(user), "'#%u'", proc->euid);
	if (of && (!its || its->pw_gid != proc->egid))
		(void)snprintf(group, sizeof(group), " -g %.60s", of->gr_name);
	else if (!its || its->pw_gid != proc->egid)
		(void)snprintf(group, sizeof(group), " -g '#%u'", proc->egid);
	(void)snprintf(text, SL_SUDO_BYTES, "sudo -u %s%s", user, group);
}
