/* handler_forks - main forks while a thread sends SIGUSR1 without a pause; the handler sets itself again with
 * signal(), as old programs do. If main hangs, the alarm ends it.
 *
 * Says "ok FORKS SIGNALS".
 */
#include "victim.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define RUN_S 1.2
#define PATIENCE_SECONDS 15

static atomic_bool is_over;
static atomic_ulong signals;

static void on_signal(int signo)
{
	int saved = errno;
	atomic_fetch_add(&signals, 1);
	if (signal(signo, on_signal) == SIG_ERR)
		_exit(4);
	errno = saved;
}

static void *send_signals(void *unused)
{
	sigset_t all;
	const struct timespec pause = {0, 5000};
	(void)unused;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	while (!atomic_load(&is_over)) {
		kill(getpid(), SIGUSR1);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int fork_once(void)
{
	int status;
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0)
		_exit(0);
	while (waitpid(child, &status, 0) != child) {
		if (errno != EINTR)
			die("waitpid");
	}
	return status;
}

int main(void)
{
	pthread_t thread;
	unsigned forks = 0;
	if (signal(SIGUSR1, on_signal) == SIG_ERR)
		die("signal");
	if (socket(AF_INET, SOCK_STREAM, 0) < 0)
		die("socket");
	alarm(PATIENCE_SECONDS);
	say("ready");
	if (pthread_create(&thread, NULL, send_signals, NULL) != 0)
		die("thread");
	for (double end = now_s() + RUN_S; now_s() < end; forks++) {
		if (fork_once() != 0) {
			say("bad child after %u", forks);
			return 1;
		}
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	say("%s %u %lu", signals > 0 ? "ok" : "bad", forks, signals);
	return signals > 0 ? 0 : 1;
}
