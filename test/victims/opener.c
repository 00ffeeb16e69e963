/* opener - opens, connects and closes N sockets, one after another and always from the same lines, to a port where nobody listens: in its
 * first thread, or, as `opener N thread`, in a second one. Nothing else of it makes a system call meanwhile. The address lies in the middle of
 * a page of the stack, whatever place the kernel has chosen: behind a page's boundary the library would have to ask whether it is there.
 */
#include "victim.h"

#include <alloca.h>
#include <stdint.h>

#include <pthread.h>

static long n;

#define PAGE 4096u

__attribute__((noinline)) static void open_each(void)
{
	struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(1)};

	place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (long i = 0; i < n; i++) {
		struct sockaddr_in here = place; /* on this thread's stack */
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0)
			die("socket");
		(void)!connect(fd, (struct sockaddr *)&here, sizeof(here));
		close(fd);
	}
}

static void *open_all(void *unused)
{
	char *volatile room =
		alloca(PAGE / 2 + ((uintptr_t)__builtin_frame_address(0) & (PAGE - 1)));

	*room = 0;
	open_each();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	n = atol(argv[1]);
	if (argc < 3)
		open_all(NULL);
	else if (pthread_create(&thread, NULL, open_all, NULL) != 0)
		die("pthread_create");
	else
		pthread_join(thread, NULL);
	return 0;
}
