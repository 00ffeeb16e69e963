/* clean - a client without fault: it opens, uses and closes connections, round after round.
 *
 * `clean ROUNDS` talks to an echo thread of its own. In each round one side or the other
 * closes first, and the program closes in each of the usual ways: close(), fclose(), dup2() over
 * it, and after shutdown(). It prints "ready" when all rounds are done and every socket is
 * closed.
 */
#include "victim.h"

#include <pthread.h>

static int listener;

/* Echo what comes; close after the client's FIN, or at once after a 'q'. */
static void *serve(void *unused)
{
	(void)unused;
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			return NULL;
		char buf[256];
		ssize_t n;
		while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
			if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n || buf[n - 1] == 'q')
				break;
		}
		close(fd);
	}
}

static void end(int fd, unsigned round)
{
	char byte;
	switch (round % 4) {
	case 0:
		close(fd);
		break;
	case 1: {
		FILE *stream = fdopen(fd, "r+");
		if (!stream || fclose(stream) != 0)
			die("fclose");
		break;
	}
	case 2:
		if (dup2(0, fd) != fd)
			die("dup2");
		close(fd); /* closes the copy of stdin: the connection went before */
		break;
	default:
		if (shutdown(fd, SHUT_WR) != 0 || read(fd, &byte, 1) != 0)
			die("shutdown");
		close(fd);
	}
}

static void one_round(const struct sockaddr_in *to, unsigned round)
{
	/* 'q': the server closes first, and this side sees the end before it closes. */
	bool server_first = round % 8 < 4;
	char ask[16], answer[16], byte;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
		die("connect");
	memset(ask, server_first ? 'q' : 'x', sizeof(ask));
	if (write(fd, ask, sizeof(ask)) != sizeof(ask))
		die("write");
	if (recv(fd, answer, sizeof(answer), MSG_WAITALL) != sizeof(answer))
		die("recv");
	if (server_first && round % 4 != 3 && read(fd, &byte, 1) != 0)
		die("end");
	end(fd, round);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
	unsigned port;
	pthread_t server;
	listener = listen_on("127.0.0.1", 128, &port);
	if ((errno = pthread_create(&server, NULL, serve, NULL)) != 0)
		die("pthread_create");
	struct sockaddr_in to = address4("127.0.0.1", port);
	for (unsigned i = 0; i < rounds; i++)
		one_round(&to, i);

	shutdown(listener, SHUT_RDWR); /* wakes accept() */
	pthread_join(server, NULL);
	close(listener);
	say("ready");

	char line[64];
	while (next_command(line, sizeof(line)))
		say("ok");
	return 0;
}
