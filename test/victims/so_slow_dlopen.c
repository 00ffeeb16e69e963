/* Build: -ldl */
/* so_slow_dlopen - dlopen() takes a tenth of a second more, as on a machine that is busy. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <dlfcn.h>
#include <time.h>

void *dlopen(const char *path, int flags)
{
	void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
	struct timespec pause = {0, 100000000};
	nanosleep(&pause, NULL);
	return next(path, flags);
}
