/* feed - a server of a feed: a client subscribes, shuts down its sending side, and is sent a line every 200 ms for a
 * while: the half-close of TCP in use. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void *serve(void *argument)
{
	int fd = (int)(long)argument;
	char subscription[256];
	while (recv(fd, subscription, sizeof(subscription), 0) > 0)
		;
	for (int i = 0; i < 40; i++) {
		if (send(fd, "news\n", 5, MSG_NOSIGNAL) < 0)
			break;
		usleep(200000);
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	struct sockaddr_in here = {.sin_family = AF_INET,
	                           .sin_port = htons((uint16_t)atoi(argv[1])),
	                           .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) < 0 || listen(listener, 128) < 0)
		return 1;
	alarm(120); /* whoever started it may be gone */
	for (;;) {
		pthread_t thread;
		int fd = accept(listener, NULL, NULL);
		if (fd < 0 || pthread_create(&thread, NULL, serve, (void *)(long)fd) != 0)
			return 1;
		pthread_detach(thread);
	}
}
