/* false_adoptions - four threads connect and close as fast as they can, four accept and close: numbers
 * are given out again at once, and every socket is one that the program made itself.
 *
 * Says "ready", goes on for a while, then "ok SOCKETS", the sockets that it was given, with its listener;
 * ends at the end of input.
 */
#include "victim.h"

#include <pthread.h>
#include <stdatomic.h>

#define PAIRS 4
#define RUN_S 1.5

static int listener;
static struct sockaddr_in own_address;
static atomic_bool is_over;
static atomic_ulong sockets;

static void *connect_on(void *unused)
{
	/* An RST at the end leaves no TIME_WAIT: the ports must last. */
	const struct linger abort_at_once = {.l_onoff = 1, .l_linger = 0};
	(void)unused;
	while (!atomic_load(&is_over)) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0)
			die("socket");
		atomic_fetch_add(&sockets, 1);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_at_once, sizeof(abort_at_once));
		(void)!connect(fd, (struct sockaddr *)&own_address, sizeof(own_address));
		close(fd);
	}
	return NULL;
}

static void *accept_on(void *unused)
{
	(void)unused;
	while (!atomic_load(&is_over)) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		atomic_fetch_add(&sockets, 1);
		close(fd);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[2 * PAIRS];
	char line[64];
	unsigned port;
	listener = listen_on("127.0.0.1", 1024, &port);
	own_address = address4("127.0.0.1", port);
	sockets = 1;
	say("ready");
	for (int i = 0; i < 2 * PAIRS; i++) {
		if (pthread_create(&threads[i], NULL, i < PAIRS ? connect_on : accept_on, NULL) !=
		    0)
			die("thread");
	}
	for (double end = now_s() + RUN_S; now_s() < end;)
		usleep(1000);
	atomic_store(&is_over, true);
	for (int i = 0; i < PAIRS; i++)
		pthread_join(threads[i], NULL);
	shutdown(listener, SHUT_RDWR); /* whoever waits in accept() leaves it */
	for (int i = PAIRS; i < 2 * PAIRS; i++)
		pthread_join(threads[i], NULL);
	say("ok %lu", sockets);
	while (next_command(line, sizeof(line)))
		;
	return 0;
}
