/* odd_threads - a thread that is unlike its process waits for a byte on stdin, as the best of threads to borrow; the first one waits
 * for a condition: odd_threads HOW.
 *
 * "ready PID" when it waits, and "alive" when it had its byte. HOW: what its thread has of its own; "vfork": it is a process, in the
 * memory of this one, and its pid is said.
 */
#include "victim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const char *how;

static void filter_all_but_a_few(void)
{
	struct sock_filter few[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(few) / sizeof(few[0]), .filter = few};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		die("filter");
}

/* In a sandbox: by nothing but read, write and exit. */
static void say_and_wait(long id)
{
	char line[32], byte;
	int n = snprintf(line, sizeof(line), "ready %ld\n", id);
	if (write(1, line, (size_t)n) != n)
		die("write");
	while (read(0, &byte, 1) == 1)
		if (write(1, "alive\n", 6) != 6)
			die("write");
	(void)syscall(SYS_exit, 0);
}

static void *be_odd(void *unused)
{
	(void)unused;
	long id = syscall(SYS_gettid);
	if (strcmp(how, "files") == 0 && unshare(CLONE_FILES) != 0)
		die("unshare");
	if (strcmp(how, "strict") == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
		die("strict");
	if (strcmp(how, "filter") == 0)
		filter_all_but_a_few();
	say_and_wait(id);
	return NULL;
}

int main(int argc, char **argv)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	pthread_t thread;
	how = argc > 1 ? argv[1] : "";
	if (strcmp(how, "vfork") == 0) {
		if (vfork() == 0)
			say_and_wait(getpid());
		return 0;
	}
	if (pthread_create(&thread, NULL, be_odd, NULL) != 0)
		die("pthread_create");
	pthread_mutex_lock(&mutex);
	for (;;)
		pthread_cond_wait(&never, &mutex);
}
