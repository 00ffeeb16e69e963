/* forgetful_proxy - a TCP proxy, a thread for each direction of a connection. The one that reads from the client closes
 * the client's side in the end; the other forgets the server's. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
	int client, server;
	atomic_bool is_client_gone;
};

static struct sockaddr_in place(const char *port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_port = htons((uint16_t)atoi(port)),
	                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static void copy(int from, int to)
{
	char data[4096];
	ssize_t n;
	while ((n = read(from, data, sizeof(data))) > 0) /* EOF */
		if (send(to, data, (size_t)n, MSG_NOSIGNAL) != n)
			break;
}

static void *answers(void *argument)
{
	struct pair *pair = argument;
	copy(pair->server, pair->client);
	if (!atomic_load(&pair->is_client_gone))
		shutdown(pair->client, SHUT_WR);
	return NULL; /* close(pair->server) is what is missing */
}

static int dial(const struct sockaddr_in *server)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* LEAK */
	if (connect(fd, (const struct sockaddr *)server, sizeof(*server)) < 0)
		exit(1);
	return fd;
}

static void *requests(void *argument)
{
	struct pair *pair = argument;
	copy(pair->client, pair->server);
	atomic_store(&pair->is_client_gone, 1);
	close(pair->client);
	return NULL;
}

static void start(void *(*body)(void *), struct pair *pair)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, body, pair) != 0)
		exit(1);
	pthread_detach(thread);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	struct sockaddr_in here = place(argv[1]), server = place(argv[2]);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) < 0 || listen(listener, 128) < 0)
		return 1;
	alarm(120); /* whoever started it may be gone */
	for (;;) {
		struct pair *pair = calloc(1, sizeof(*pair));
		pair->client = accept(listener, NULL, NULL);
		pair->server = dial(&server);
		start(answers, pair);
		start(requests, pair);
	}
}
