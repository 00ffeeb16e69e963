/* so_early - a library that talks to itself over TCP in its constructor, and leaves one connection open. */
#include "victim.h"

static void talk(const struct sockaddr_in *to, int listener, bool is_left)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
		die("so_early");
	int other = accept(listener, NULL, NULL);
	if (other < 0 || send(fd, "x", 1, 0) != 1 || close(other) != 0)
		die("so_early");
	if (!is_left && close(fd) != 0)
		die("so_early");
}

__attribute__((constructor)) static void begin(void)
{
	unsigned port;
	int listener = listen_on("127.0.0.1", 8, &port);
	struct sockaddr_in to = address4("127.0.0.1", port);
	talk(&to, listener, false);
	talk(&to, listener, true);
	if (close(listener) != 0)
		die("so_early");
}
