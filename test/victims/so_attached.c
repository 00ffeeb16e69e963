/* so_attached - a library to be brought in: its sockleak_attach() counts its calls, and appends a line to the file that its options
 * name: "PID TID COUNT OPTIONS". It calls malloc() and starts a thread the first time, as a library may.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int sockleak_attach(const char *options);

static atomic_int count;

static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int sockleak_attach(const char *options)
{
	char *line = malloc(4096);
	pthread_t thread;
	const int now = ++count;
	const int n = snprintf(line, 4096, "%d %d %d %s\n", getpid(), gettid(), now,
	                       options ? options : "-");
	const int fd =
		options ? open(options, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd >= 0) {
		if (write(fd, line, (size_t)n) != n)
			abort();
		close(fd);
	}
	free(line);
	if (now == 1 && pthread_create(&thread, NULL, idle, NULL) == 0)
		pthread_detach(thread);
	/* Everything that a caller might expect to be kept is spoilt. */
	errno = EXDEV;
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vpcmpeqd %%xmm0, %%xmm0, %%xmm0\n"
		                 "vmovdqa %%xmm0, %%xmm7\n"
		                 "vmovdqa %%xmm0, %%xmm15\n" ::
		                         : "xmm0", "xmm7", "xmm15");
#endif
	return now == 1 ? 0 : 1;
}
