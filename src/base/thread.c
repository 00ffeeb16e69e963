#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>

#include "base/guard.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_STACK_BYTES (512u << 10)

struct beginning {
	const char *name;
	sl_thread_fn *work;
};

/* A place for each thread of ours there ever is: constant while its thread runs. */
#define SL_THREADS 4
static struct beginning beginnings[SL_THREADS];

static struct beginning *place_for(const char *name, sl_thread_fn *work)
{
	for (int i = 0; i < SL_THREADS; i++)
		if (!beginnings[i].work || beginnings[i].work == work) {
			beginnings[i] = (struct beginning){name, work};
			return &beginnings[i];
		}
	return NULL;
}

static void *begin(void *context)
{
	const struct beginning *beginning = context;
	(void)SL_SYS2(SYS_prctl, PR_SET_NAME, beginning->name);
	/* Every signal but libc's own by which setuid() reaches each thread: not even one that is sent to the process as if an
	 * instruction had raised it may come here. */
	uint64_t all = ~(1ULL << (33 /* SIGSETXID */ - 1));
	(void)SL_SYS4(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, NULL, sizeof(all));
	sl_guard_hold_for_good(); /* for good: nothing that this thread does is the program's */
	beginning->work();
	return NULL;
}

bool sl_thread_start(const char *name, sl_thread_fn *work)
{
	pthread_attr_t attributes;
	pthread_t thread;
	struct beginning *beginning = place_for(name, work);
	if (!beginning)
		return false;
	int saved_errno = errno;
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, SL_STACK_BYTES);
	/* The new thread inherits the mask. */
	uint64_t before = sl_sys_block_signals();
	int error = pthread_create(&thread, &attributes, begin, beginning);
	if (error == EINVAL) { /* the program's thread-local data alone is larger than that stack */
		(void)pthread_attr_destroy(&attributes);
		(void)pthread_attr_init(&attributes);
		(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		error = pthread_create(&thread, &attributes, begin, beginning);
	}
	sl_sys_unblock_signals(before);
	(void)pthread_attr_destroy(&attributes);
	errno = saved_errno;
	return error == 0;
}
