/* own_numbers - a program that counts on its numbers: whatever it opens gets the lowest free one,
 * and what it has closed is gone.
 *
 * It opens a first socket, closes everything from 3 on as daemons do, puts a socketpair there,
 * writes into it, and opens TCP sockets from deep stacks in two threads. Then nothing but the
 * bytes written may come out of the pair. For a while after that it opens files and looks
 * at their numbers. Says "ok READ STRAY OPENS"; "bad ..." where a number or a byte is wrong.
 */
#include "victim.h"

#include <fcntl.h>
#include <pthread.h>

#define RUN_S 1.2

static const char bytes[] = "ABCDEFGH";

static int open_null(void)
{
	int fd = open("/dev/null", O_RDONLY);
	if (fd < 0)
		die("/dev/null");
	return fd;
}

static int lowest_free(void)
{
	int fd = open_null();
	close(fd);
	return fd;
}

/* Opens a socket at the end of a deep stack of large frames; its number. */
static __attribute__((noinline)) int open_deep(int depth)
{
	volatile char frame[5000];
	frame[depth] = 0;
	if (depth > 0)
		return open_deep(depth - 1) + frame[depth];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || close(fd) != 0)
		die("socket");
	return fd;
}

static void *open_in_thread(void *number)
{
	*(int *)number = open_deep(8);
	return NULL;
}

static void need_number(int got, int wanted, const char *what)
{
	if (got != wanted) {
		say("bad %s: number %d, not %d", what, got, wanted);
		exit(1);
	}
}

static ssize_t read_all(int fd, char *into, size_t size)
{
	ssize_t n = recv(fd, into, size, MSG_DONTWAIT);
	return n < 0 && errno == EAGAIN ? 0 : n;
}

static void open_sockets(void)
{
	int wanted = lowest_free(), got = -1;
	pthread_t thread;
	for (int depth = 0; depth < 12; depth++)
		need_number(open_deep(depth), wanted, "a socket");
	if (pthread_create(&thread, NULL, open_in_thread, &got) != 0 ||
	    pthread_join(thread, NULL) != 0)
		die("thread");
	need_number(got, wanted, "a socket in a thread");
}

static long look_at_numbers(void)
{
	int wanted = lowest_free();
	long opens = 0;
	for (double end = now_s() + RUN_S; now_s() < end; opens++) {
		int fd = open_null();
		close(fd);
		need_number(fd, wanted, "a file");
	}
	return opens;
}

int main(void)
{
	int pair[2];
	char in[64] = "", back[64];
	int wanted = lowest_free();
	need_number(open_deep(3), wanted, "the first socket");
	say("ready");
	for (int fd = 3; fd < 256; fd++)
		close(fd);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		die("socketpair");
	need_number(pair[0], 3, "the pair's one end");
	need_number(pair[1], 4, "the pair's other end");
	if (write(pair[1], bytes, sizeof(bytes)) != sizeof(bytes))
		die("write");
	open_sockets();
	long opens = look_at_numbers();
	ssize_t n = read_all(pair[0], in, sizeof(in));
	ssize_t stray = read_all(pair[1], back, sizeof(back));
	bool is_well = n == sizeof(bytes) && memcmp(in, bytes, sizeof(bytes)) == 0 && stray == 0;
	say("%s %zd %zd %ld", is_well ? "ok" : "bad", n, stray, opens);
	return is_well ? 0 : 1;
}
