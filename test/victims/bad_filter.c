/* bad_filter - asks the kernel whether it has seccomp filters, as libseccomp does, and sets none. Then waits. */
#include "victim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void must_fail(const char *what, long result)
{
	if (result != -1)
		die(what);
}

int main(void)
{
	struct sock_filter code = BPF_STMT(BPF_LD, 0);
	struct sock_fprog empty = {0, NULL}, wrong = {1, &code};
	unsigned port;
	int fd = listen_on("127.0.0.1", 8, &port);
	char line[64];
	must_fail("strict", syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
	must_fail("null", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL));
	must_fail("tsync",
	          syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL));
	must_fail("prctl", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
	must_fail("empty", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &empty));
	must_fail("wrong",
	          syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &wrong));
	say("ready");
	(void)next_command(line, sizeof(line));
	return close(fd);
}
