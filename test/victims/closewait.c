/* closewait - the incident as a C program: connections that are opened, kept and never looked at
 * again.
 *
 * `closewait ADDRESS PORT COUNT ...` opens COUNT connections to each ADDRESS:PORT through IPv6
 * sockets with v4-mapped addresses, as a JVM does, prints "ready", and keeps them until the end
 * of its input. Commands: `nop`.
 */
#include "victim.h"

static void leak(const char *host, unsigned port, unsigned count)
{
	struct sockaddr_in6 to = address_mapped(host, port);
	for (unsigned i = 0; i < count; i++) {
		int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			die("socket");
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
			die("connect");
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i + 2 < argc; i += 3)
		leak(argv[i], (unsigned)atoi(argv[i + 1]), (unsigned)atoi(argv[i + 2]));
	say("ready");

	char line[64];
	while (next_command(line, sizeof(line)))
		say("ok");
	return 0;
}
