/* Build: -rdynamic */
/* blame - a program whose leaks have known lines of code, below functions of its own.
 *
 * `blame PORT COUNT` opens COUNT connections to 127.0.0.1:PORT in blame_leak(), which the
 * executable exports, called by blame_handle_request(); COUNT - 1 more in hidden_leak(), a static
 * function, and COUNT - 2 in blame_leak_elsewhere(), on a thread named "other-thread". Then it
 * prints "ready".
 */
#include "victim.h"

#include <pthread.h>

int blame_leak(const struct sockaddr_in *to);
int blame_handle_request(const struct sockaddr_in *to);
int blame_leak_elsewhere(const struct sockaddr_in *to);

static volatile int after; /* work behind each call: none must become a tail call */

static inline __attribute__((always_inline)) int open_connection(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
		die("connect");
	after = fd;
	return fd;
}

__attribute__((noinline)) int blame_leak(const struct sockaddr_in *to)
{
	return open_connection(to);
}

__attribute__((noinline)) int blame_handle_request(const struct sockaddr_in *to)
{
	int fd = blame_leak(to);
	after = fd + 1;
	return fd;
}

static __attribute__((noinline)) int hidden_leak(const struct sockaddr_in *to)
{
	return open_connection(to);
}

__attribute__((noinline)) int blame_leak_elsewhere(const struct sockaddr_in *to)
{
	return open_connection(to);
}

static const struct sockaddr_in *thread_to;
static int thread_count;

static void *elsewhere(void *unused)
{
	(void)unused;
	pthread_setname_np(pthread_self(), "other-thread");
	for (int i = 0; i < thread_count; i++)
		after = blame_leak_elsewhere(thread_to);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	struct sockaddr_in to = address4("127.0.0.1", (unsigned)atoi(argv[1]));
	int count = atoi(argv[2]);
	for (int i = 0; i < count; i++)
		after = blame_handle_request(&to);
	for (int i = 0; i < count - 1; i++)
		after = hidden_leak(&to);
	pthread_t thread;
	thread_to = &to;
	thread_count = count - 2;
	if ((errno = pthread_create(&thread, NULL, elsewhere, NULL)) != 0)
		die("pthread_create");
	pthread_join(thread, NULL);
	say("ready");

	char line[64];
	while (next_command(line, sizeof(line)))
		say("ok");
	return 0;
}
