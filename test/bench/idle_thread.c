/* Build: -shared -fPIC -pthread */
/* idle_thread - preloaded, it starts a thread that does nothing: the least that any library with a thread of its own
 * costs. From then on the kernel counts references for each call on an fd, and libc takes its ways for many threads. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void *idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}

__attribute__((constructor)) static void start(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_create(&thread, &attr, idle, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}
