/* late_forks LIBRARY TIMES - one thread attaches and detaches without a pause while main forks. Each child, forked at whatever
 * moment of that, attaches and detaches itself, then ends. One that hangs is killed.
 *
 * Says "ok ROUNDS" (of the thread), or "bad WAIT-STATUS after FORKS" for the first child that did not end with 0: 1 + what the
 * attempt to attach gave, 101 + what detaching gave, or a signal.
 */
#include "victim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define CHILD_S 10
#define BUSY 6 /* base/attach.def */

typedef int way_fn(const char *words);

static way_fn *attach, *detach;
static atomic_bool is_over;
static atomic_uint rounds;

static void *move(void *unused)
{
	(void)unused;
	while (!is_over) {
		(void)attach("control=off");
		(void)detach(NULL);
		rounds++;
	}
	return NULL;
}

/* Until it is free: threads of ours may be ending. */
static int once_free(way_fn *way, const char *words)
{
	const struct timespec look = {.tv_nsec = 1000000};
	const double until = now_s() + CHILD_S / 4.0;
	int result = way(words);
	while (result == BUSY && now_s() < until) {
		nanosleep(&look, NULL);
		result = way(words);
	}
	return result;
}

static int child(void)
{
	int result = once_free(attach, "control=off");
	if (result > 1)
		return 1 + result;
	result = once_free(detach, NULL);
	return result == 0 ? 0 : 101 + result;
}

static int await(pid_t pid)
{
	const struct timespec look = {.tv_nsec = 1000000};
	const double until = now_s() + CHILD_S;
	int status;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_s() > until)
			kill(pid, SIGKILL);
		nanosleep(&look, NULL);
	}
	return status;
}

int main(int argc, char **argv)
{
	void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	pthread_t mover;
	if (!library)
		die("dlopen");
	attach = (way_fn *)dlsym(library, "sockleak_attach");
	detach = (way_fn *)dlsym(library, "sockleak_detach");
	if (!attach || !detach || pthread_create(&mover, NULL, move, NULL) != 0)
		die("start");
	for (int forks = 0; forks < atoi(argv[2]); forks++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(child());
		int status = pid < 0 ? -1 : await(pid);
		if (status != 0) {
			say("bad %d after %d", status, forks);
			return 1;
		}
	}
	is_over = true;
	pthread_join(mover, NULL);
	say("ok %u", rounds);
	return 0;
}
