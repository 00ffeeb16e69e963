/* halfclose - a server that goes on sending after its client's FIN: legal TCP, never a leak.
 *
 * `halfclose hooks|stdio|raw|stalled` listens, prints "ready PORT", serves one connection:
 * reads to the end of the request, then sends a chunk every 100 ms - by send(), by fprintf() on
 * a stream, or by a system call of its own that no library can see. `stalled` sends, without
 * waiting, more than the client takes, and then nothing. Commands: `stop` ends the sending and
 * leaves the connection open, `nop`.
 */
#include "victim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

static long raw_write(int fd, const void *bytes, size_t n)
{
#if defined(__x86_64__)
	long result;
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(SYS_write), "D"((long)fd), "S"(bytes), "d"(n)
	                 : "rcx", "r11", "memory");
	return result;
#else
	return syscall(SYS_write, fd, bytes, n);
#endif
}

static const char chunk[] = "one more line of the answer\n";

static void send_chunk(const char *mode, int fd, FILE *stream)
{
	size_t n = sizeof(chunk) - 1;
	if (strcmp(mode, "hooks") == 0) {
		if (send(fd, chunk, n, MSG_NOSIGNAL) != (ssize_t)n)
			die("send");
	} else if (strcmp(mode, "stdio") == 0) {
		if (fprintf(stream, "%s", chunk) < 0 || fflush(stream) != 0)
			die("fprintf");
	} else if (raw_write(fd, chunk, n) != (long)n) {
		die("write");
	}
}

static void fill(int fd)
{
	static char block[65536];
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		die("fcntl");
	while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
	if (errno != EAGAIN)
		die("send");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "hooks";
	unsigned port;
	int listener = listen_on("127.0.0.1", 16, &port);
	say("ready %u", port);

	int fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die("accept");
	char buf[256];
	ssize_t n;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	if (n < 0)
		die("read");
	FILE *stream = strcmp(mode, "stdio") == 0 ? fdopen(fd, "w") : NULL;
	bool sending = strcmp(mode, "stalled") != 0;
	if (!sending)
		fill(fd);
	say("eof");

	/* Unbuffered: poll() must not miss a command that stdio holds already. */
	setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		struct pollfd wait = {.fd = 0, .events = POLLIN};
		int ready = poll(&wait, 1, sending ? 100 : -1);
		if (ready == 0)
			send_chunk(mode, fd, stream);
		if (ready <= 0)
			continue;
		char line[64];
		if (!next_command(line, sizeof(line)))
			return 0;
		if (strcmp(line, "stop") == 0)
			sending = false;
		say("ok");
	}
}
