/* late_answer - a server whose clients send their question, shut down their sending side and wait. The answer takes longer
 * than the deadline. It closes each connection behind its answer. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *answer(void *argument)
{
	int fd = (int)(long)argument;
	char question[256];
	ssize_t n, length = 0;
	while ((n = recv(fd, question, sizeof(question), 0)) > 0) /* EOF */
		length += n;
	sleep(4); /* the work */
	if (length > 0)
		send(fd, "42\n", 3, MSG_NOSIGNAL);
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
		int fd = accept(listener, NULL, NULL); /* SLOW */
		if (fd < 0 || pthread_create(&thread, NULL, answer, (void *)(long)fd) != 0)
			return 1;
		pthread_detach(thread);
	}
}
