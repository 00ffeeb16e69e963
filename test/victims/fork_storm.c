/* fork_storm - three threads open sockets, in short-lived threads of their own, while main forks; each
 * child opens a socket, walks the loaded objects and ends. One that hangs is killed: an alarm might be
 * blocked where it hangs.
 *
 * Says "ok FORKS SOCKETS", or "bad WAIT-STATUS after FORKS" for the first child that did not
 * end with 0.
 */
#include "victim.h"

#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define THREADS 3
#define RUN_S 1.5
#define CHILD_S 5

static atomic_bool is_over;
static atomic_uint sockets;

static __attribute__((noinline)) int open_deep(int depth)
{
	volatile int kept = depth;
	if (depth > 0)
		return open_deep(depth - 1) + kept - depth;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || close(fd) != 0)
		_exit(4);
	return kept;
}

static void *open_once(void *depth)
{
	open_deep((int)(intptr_t)depth);
	atomic_fetch_add(&sockets, 1);
	return NULL;
}

static void *open_on(void *unused)
{
	(void)unused;
	for (intptr_t n = 0; !atomic_load(&is_over); n++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, open_once, (void *)(n % 30)) == 0)
			pthread_join(thread, NULL);
	}
	return NULL;
}

static int on_object(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)info;
	(void)size;
	(void)unused;
	return 0;
}

static int fork_once(void)
{
	int status;
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		open_deep(3);
		dl_iterate_phdr(on_object, NULL);
		_exit(0);
	}
	pid_t ended;
	for (double end = now_s() + CHILD_S; (ended = waitpid(child, &status, WNOHANG)) == 0;) {
		if (now_s() > end)
			kill(child, SIGKILL);
		usleep(200);
	}
	if (ended != child)
		die("waitpid");
	return status;
}

int main(void)
{
	pthread_t threads[THREADS];
	unsigned forks = 0;
	say("ready");
	for (int i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, open_on, NULL) != 0)
			die("thread");
	}
	for (double end = now_s() + RUN_S; now_s() < end; forks++) {
		int status = fork_once();
		if (status != 0) {
			say("bad %#x after %u", (unsigned)status, forks);
			return 1;
		}
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	say("ok %u %u", forks, atomic_load(&sockets));
	return 0;
}
