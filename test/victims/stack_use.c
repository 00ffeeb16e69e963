/* Build: -Wl,-z,now */
/* stack_use - how much stack calls take: each is made in a thread whose stack was painted before.
 *
 * `stack_use FRAMES`: below so many frames. For each call one line, "CALL FIRST LATER": the bytes that it used below its caller when a
 * new thread made it first, and the most of the times after that. Libc's own share is in it: run it with the library and without.
 */
#include "victim.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/uio.h>

#define STACK_BYTES (1u << 20)
#define PAINTED_BYTES (192u << 10)
#define PAINT 0xa5
#define ROUNDS 20

static struct sockaddr_in listening;
static int at, out = -1, in = -1, copy = -1, other = -1;

static void must(int result, const char *what)
{
	if (result < 0)
		die(what);
}

static void call_socket(void)
{
	must(out = socket(AF_INET, SOCK_STREAM, 0), "socket");
}

static void call_connect(void)
{
	must(connect(out, (struct sockaddr *)&listening, sizeof(listening)), "connect");
}

static void call_accept(void)
{
	must(in = accept(at, NULL, NULL), "accept");
}

static void call_write(void)
{
	must((int)write(out, "x", 1), "write");
}

static void call_sendmsg(void)
{
	struct iovec part = {"x", 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	must((int)sendmsg(out, &message, 0), "sendmsg");
}

static void call_read(void)
{
	char byte;
	must((int)read(in, &byte, 1), "read");
}

static void call_dup(void)
{
	must(copy = dup(out), "dup");
}

static void call_fcntl(void)
{
	must(other = fcntl(out, F_DUPFD, 0), "fcntl");
}

static void call_dup2(void)
{
	must(dup2(in, copy), "dup2");
}

static void call_shutdown(void)
{
	must(shutdown(out, SHUT_WR), "shutdown");
}

static void call_close_range(void)
{
	must(close_range((unsigned)other, (unsigned)other, 0), "close_range");
}

static void call_close(void)
{
	must(close(out), "close");
}

static struct {
	const char *name;
	void (*call)(void);
	size_t first, later;
} calls[] = {
	{"socket", call_socket, 0, 0},
	{"connect", call_connect, 0, 0},
	{"accept", call_accept, 0, 0},
	{"write", call_write, 0, 0},
	{"sendmsg", call_sendmsg, 0, 0},
	{"read", call_read, 0, 0},
	{"dup", call_dup, 0, 0},
	{"fcntl", call_fcntl, 0, 0},
	{"dup2", call_dup2, 0, 0},
	{"shutdown", call_shutdown, 0, 0},
	{"close_range", call_close_range, 0, 0},
	{"close", call_close, 0, 0},
};

/* Where the paint begins, below whoever calls. */
__attribute__((noinline)) static uintptr_t paint(void)
{
	volatile unsigned char bytes[PAINTED_BYTES];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = PAINT;
	return (uintptr_t)&bytes[0];
}

__attribute__((noinline)) static size_t measure(void (*call)(void))
{
	uintptr_t top = (uintptr_t)__builtin_frame_address(0);
	const volatile unsigned char *byte = (const volatile unsigned char *)paint();
	call();
	while (*byte == PAINT)
		byte++;
	return top - (uintptr_t)byte;
}

static void take_round(int round)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		size_t used = measure(calls[i].call);
		size_t *most = round == 0 ? &calls[i].first : &calls[i].later;
		if (used > *most)
			*most = used;
	}
	must(close(in), "close");
	must(close(copy), "close");
}

__attribute__((noinline)) static void descend(int frames, int round)
{
	if (frames > 0)
		descend(frames - 1, round);
	else
		take_round(round);
	__asm__ volatile(""); /* no tail call */
}

static void *run(void *frames)
{
	for (int round = 0; round < ROUNDS; round++)
		descend(*(int *)frames, round);
	return NULL;
}

int main(int argc, char **argv)
{
	socklen_t length = sizeof(listening);
	pthread_attr_t attributes;
	pthread_t thread;
	if (argc != 2)
		return 2;
	int frames = atoi(argv[1]);
	listening = address4("127.0.0.1", 0);
	must(at = socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(bind(at, (struct sockaddr *)&listening, length), "bind");
	must(listen(at, 16), "listen");
	must(getsockname(at, (struct sockaddr *)&listening, &length), "getsockname");
	if ((errno = pthread_attr_init(&attributes)) != 0 ||
	    (errno = pthread_attr_setstacksize(&attributes, STACK_BYTES)) != 0 ||
	    (errno = pthread_create(&thread, &attributes, run, &frames)) != 0 ||
	    (errno = pthread_join(thread, NULL)) != 0)
		die("thread");
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		say("%s %zu %zu", calls[i].name, calls[i].first, calls[i].later);
	return 0;
}
