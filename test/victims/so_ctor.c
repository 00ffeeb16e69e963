/* so_ctor - an object whose constructor starts a thread that calls socket(), and waits for it.
 *
 * Loaded by dlopen(), the constructor runs under the loader's lock: a library that takes that
 * lock inside socket() deadlocks here.
 */
#include "victim.h"

#include <pthread.h>

extern int ctor_sockets;
int ctor_sockets;

static void *open_some(void *unused)
{
	(void)unused;
	for (int i = 0; i < 3; i++) {
		if (socket(AF_INET, SOCK_STREAM, 0) >= 0)
			ctor_sockets++;
	}
	return NULL;
}

static __attribute__((constructor)) void wait_for_a_thread(void)
{
	pthread_t thread;
	if ((errno = pthread_create(&thread, NULL, open_some, NULL)) != 0)
		die("pthread_create");
	pthread_join(thread, NULL);
}
