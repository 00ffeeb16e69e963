/* opener - opens, connects and closes N sockets, one after another and always from the same lines, to a port where nobody listens: in its
 * first thread, or, as `opener N thread`, in a second one. Nothing else of it makes a system call meanwhile.
 */
#include "victim.h"

#include <pthread.h>

static long n;

static void *open_all(void *unused)
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
