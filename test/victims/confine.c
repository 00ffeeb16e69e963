/* Build: -lseccomp */
/* confine - runs a program behind a seccomp filter that was there before it: `confine ACTION CALL... -- PROGRAM...`. ACTION is kill or
 * errno, for every call that is not named; execve() is allowed besides. */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	scmp_filter_ctx filter =
		seccomp_init(argv[1][0] == 'k' ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM));
	int at = 2;
	for (; at < argc && strcmp(argv[at], "--") != 0; at++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(argv[at]),
		                     0) != 0)
			return 3;
	if (at + 1 >= argc || seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(execve), 0) != 0 ||
	    seccomp_load(filter) != 0)
		return 4;
	execv(argv[at + 1], argv + at + 1);
	return 5;
}
