/* epoller - an event loop with one connection that it has lost sight of.
 *
 * `epoller PORT HOW` connects to 127.0.0.1:PORT, puts the connection into an epoll set and waits for events in a thread of
 * its own, counting how often epoll_wait() returns. HOW: `idle` (level-triggered, interest 0), `edge` (edge-triggered,
 * EPOLLIN and EPOLLRDHUP) or `spent` (one-shot, used up by the FIN). On EPOLLHUP `edge` closes the connection, as healthy
 * loops do; the FIN alone it overlooks. It prints "ready FD". Commands: `count` (returns of epoll_wait(), the last events,
 * milliseconds of processor time), `shut` (shutdown() from the other thread), `fin`, `nop`.
 */
#include "commands.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

static int set, connection;
static bool closes_on_hangup;
static atomic_uint returns, last_events;

static void *loop(void *unused)
{
	for (;;) {
		struct epoll_event event;
		int n = epoll_wait(set, &event, 1, -1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("epoll_wait");
		atomic_fetch_add(&returns, 1);
		atomic_store(&last_events, event.events);
		if (event.events & EPOLLHUP && closes_on_hangup && close(connection) != 0)
			die("close");
	}
	return unused;
}

static void do_count(const struct words *w)
{
	struct timespec used;
	(void)w;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	say("ok %u %u %ld", returns, last_events, used.tv_sec * 1000 + used.tv_nsec / 1000000);
}

static void do_shut(const struct words *w)
{
	(void)w;
	answer(shutdown(connection, SHUT_RDWR));
}

static const struct command commands[] = {
	{"count", do_count},
	{"shut", do_shut},
	{"fin", do_fin},
	{"nop", do_nop},
};

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[256];
	if (argc < 3)
		return 2;
	struct sockaddr_in to = address4("127.0.0.1", (unsigned)atoi(argv[1]));
	struct epoll_event event = {.events = 0};
	if (strcmp(argv[2], "edge") == 0)
		event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
	else if (strcmp(argv[2], "spent") == 0)
		event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
	closes_on_hangup = strcmp(argv[2], "edge") == 0;
	set = epoll_create1(EPOLL_CLOEXEC);
	connection = socket(AF_INET, SOCK_STREAM, 0);
	if (connection < 0 || connect(connection, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, connection, &event) != 0)
		die("epoll_ctl");
	if ((errno = pthread_create(&thread, NULL, loop, NULL)) != 0)
		die("pthread_create");
	say("ready %d", connection);
	while (next_command(line, sizeof(line)))
		obey_one(commands, sizeof(commands) / sizeof(commands[0]), line);
	return 0;
}
