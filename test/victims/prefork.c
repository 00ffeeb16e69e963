/* prefork - a server whose parent keeps a copy of every connection that its children serve.
 *
 * `prefork COUNT GAP` listens and prints "ready PORT". For each connection the parent reads the request to the end of
 * file and forks; the child sends COUNT bytes, byte i being i modulo 251, with GAP milliseconds before each, then prints
 * "sent" and ends; or "cut ERRNO-NAME". The parent never closes its copy. Command: `nop`.
 */
#include "commands.h"

#include <signal.h>

static void serve(int fd, int count, int gap_ms)
{
	struct timespec gap = {gap_ms / 1000, gap_ms % 1000 * 1000000L};
	for (int i = 0; i < count; i++) {
		unsigned char byte = (unsigned char)(i % 251);
		nanosleep(&gap, NULL);
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1) {
			say("cut %s", strerrorname_np(errno));
			_exit(1);
		}
	}
	say("sent");
	_exit(0);
}

static void take_one(int listener, int count, int gap_ms)
{
	char buf[256];
	ssize_t n;
	int fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die("accept");
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	if (n < 0)
		die("read");
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0)
		serve(fd, count, gap_ms);
}

int main(int argc, char **argv)
{
	unsigned port;
	int listener = listen_on("127.0.0.1", 64, &port);
	if (argc < 3)
		return 2;
	signal(SIGCHLD, SIG_IGN);
	say("ready %u", port);
	/* Unbuffered: poll() must not miss a command that stdio holds already. */
	setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		struct pollfd waits[2] = {{.fd = 0, .events = POLLIN},
		                          {.fd = listener, .events = POLLIN}};
		char line[64];
		if (poll(waits, 2, -1) < 0)
			continue;
		if (waits[1].revents)
			take_one(listener, atoi(argv[1]), atoi(argv[2]));
		if (waits[0].revents && !next_command(line, sizeof(line)))
			return 0;
		if (waits[0].revents)
			say("ok");
	}
}
