/* Build: -Wl,--export-dynamic-symbol=dladdr -Wl,--export-dynamic-symbol=loader_is_held -ldl */
/* slow_loader - sets a seccomp filter, under which it may write and end, while another thread of the process holds the loader's lock: one that
 * asks for the name of a function. `slow_loader OBJECT`: what that thread loads meanwhile (so_slow_start). Then main() returns, and exit() takes
 * that lock.
 */
#include "victim.h"

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

atomic_int loader_is_held;

static const char *object;

typedef int dladdr_fn(const void *address, Dl_info *info);

int dladdr(const void *address, Dl_info *info)
{
	static atomic_int has_begun;
	dladdr_fn *real = (dladdr_fn *)dlsym(RTLD_NEXT, "dladdr");

	if (object && gettid() != getpid() && !atomic_exchange(&has_begun, 1) &&
	    !dlopen(object, RTLD_NOW))
		die("dlopen");
	return real(address, info);
}

static void lock_in(void)
{
#define ALLOW(number)                                      \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_write),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		die("seccomp");
}

int main(int argc, char **argv)
{
	object = argc > 1 ? argv[1] : NULL;
	if (socket(AF_INET, SOCK_STREAM, 0) < 0)
		die("socket");
	if (getenv("LD_PRELOAD")) {
		raise(SIGUSR1);
		while (!loader_is_held)
			sched_yield();
	}
	lock_in();
	if (write(1, "done\n", 5) != 5)
		return 1;
	return 0;
}
