/* answerer - sends an answer after the other side's FIN, in every slow way there is: legal TCP.
 *
 * `answerer` listens, prints "ready PORT" and serves the one connection that comes; `answerer PORT` connects there and
 * serves that. Byte i of all answers together is i modulo 251. The commands are in the table at the end; each that sends
 * returns when all is sent.
 */
#include "commands.h"

#include <signal.h>

static int connection;
static unsigned long sent_bytes;
static FILE *stream;

static void pause_ms(int ms)
{
	struct timespec wait = {ms / 1000, ms % 1000 * 1000000L};
	nanosleep(&wait, NULL);
}

static void fill(unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)((sent_bytes + i) % 251);
	sent_bytes += n;
}

/* read: to the end of what the other side sends; the number of bytes. */
static void do_read(const struct words *w)
{
	(void)w;
	char buf[4096];
	long all = 0;
	ssize_t n;
	while ((n = read(connection, buf, sizeof(buf))) > 0)
		all += n;
	answer(n < 0 ? n : all);
}

/* drip COUNT GAP: byte by byte, after a pause each. */
static void do_drip(const struct words *w)
{
	for (int i = 0; i < number(w, 1, 1); i++) {
		unsigned char byte;
		pause_ms(number(w, 2, 0));
		fill(&byte, 1);
		if (write(connection, &byte, 1) != 1) {
			say_error(errno, "");
			return;
		}
	}
	say("ok");
}

/* stream COUNT GAP: the same through a FILE, so that libc makes the system calls itself. */
static void do_stream(const struct words *w)
{
	if (!stream && !(stream = fdopen(connection, "w")))
		die("fdopen");
	for (int i = 0; i < number(w, 1, 1); i++) {
		unsigned char byte;
		pause_ms(number(w, 2, 0));
		fill(&byte, 1);
		if (fwrite(&byte, 1, 1, stream) != 1 || fflush(stream) != 0) {
			say_error(errno, "");
			return;
		}
	}
	say("ok");
}

/* block COUNT: in one send() that returns when the last byte is on its way. */
static void do_block(const struct words *w)
{
	size_t n = (size_t)number(w, 1, 1);
	unsigned char *bytes = malloc(n);
	if (!bytes)
		die("malloc");
	fill(bytes, n);
	ssize_t sent = send(connection, bytes, n, 0);
	int error = errno;
	free(bytes);
	errno = error;
	answer(sent);
}

static void do_ignore(const struct words *w)
{
	(void)w;
	answer(signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0);
}

static void do_end(const struct words *w)
{
	(void)w;
	answer(close(connection));
}

static const struct command commands[] = {
	{"read", do_read},     {"drip", do_drip}, {"stream", do_stream}, {"block", do_block},
	{"ignore", do_ignore}, {"end", do_end},   {"nop", do_nop},
};

int main(int argc, char **argv)
{
	char line[256];
	if (argc > 1) {
		struct sockaddr_in to = address4("127.0.0.1", (unsigned)atoi(argv[1]));
		connection = socket(AF_INET, SOCK_STREAM, 0);
		if (connection < 0 || connect(connection, (struct sockaddr *)&to, sizeof(to)) != 0)
			die("connect");
		say("ready");
	} else {
		unsigned port;
		int listener = listen_on("127.0.0.1", 1, &port);
		say("ready %u", port);
		connection = accept(listener, NULL, NULL);
		if (connection < 0)
			die("accept");
		close(listener);
	}
	while (next_command(line, sizeof(line)))
		obey_one(commands, sizeof(commands) / sizeof(commands[0]), line);
	return 0;
}
