/* limit_kept - at EMFILE two threads grab whatever number comes free, a third reads the limit.
 *
 * No number at or above the soft limit may be given out, and the limit may never look other than
 * it was set. Says "ok LOOKS", or "bad TOO-HIGH CHANGED LOOKS".
 */
#include "victim.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define LIMIT 1024
#define RUN_S 1.2

static atomic_bool is_over;
static atomic_ulong too_high, changed, looks;

static void *grab(void *unused)
{
	(void)unused;
	while (!atomic_load(&is_over)) {
		int fd = open("/dev/null", O_RDONLY);
		if (fd >= LIMIT)
			atomic_fetch_add(&too_high, 1);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void *look(void *unused)
{
	struct rlimit files;
	(void)unused;
	while (!atomic_load(&is_over)) {
		if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur != LIMIT)
			atomic_fetch_add(&changed, 1);
		atomic_fetch_add(&looks, 1);
	}
	return NULL;
}

int main(void)
{
	struct rlimit files;
	pthread_t threads[3];
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		die("getrlimit");
	files.rlim_cur = LIMIT;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		die("setrlimit");
	if (socket(AF_INET, SOCK_STREAM, 0) < 0)
		die("socket");
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	if (errno != EMFILE)
		die("EMFILE expected");
	say("ready");
	for (int i = 0; i < 3; i++) {
		if (pthread_create(&threads[i], NULL, i < 2 ? grab : look, NULL) != 0)
			die("thread");
	}
	for (double end = now_s() + RUN_S; now_s() < end;) {
		if (socket(AF_INET, SOCK_STREAM, 0) >= LIMIT)
			atomic_fetch_add(&too_high, 1);
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	if (too_high || changed) {
		say("bad %lu %lu %lu", too_high, changed, looks);
		return 1;
	}
	say("ok %lu", looks);
	return 0;
}
