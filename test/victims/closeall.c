/* closeall - a daemon that closes every descriptor it has, its stderr too, and goes on opening
 * sockets.
 *
 * `closeall loop|closefrom|range PORT` opens two sockets, closes all descriptors in the way
 * named (for `loop`, 0 up to the limit one by one), then connects to 127.0.0.1:PORT, which takes
 * the number 0, and talks there: first "ready CLOSED", the number of close() calls that
 * succeeded (`loop` only), then an "ok" for each line. `open N` opens N more sockets.
 */
#include "victim.h"

#include <sys/resource.h>

static int close_all(const char *how)
{
	struct rlimit files;
	int closed = 0;
	if (strcmp(how, "closefrom") == 0) {
		closefrom(0);
	} else if (strcmp(how, "range") == 0) {
		if (close_range(0, ~0U, 0) != 0)
			_exit(5);
	} else {
		if (getrlimit(RLIMIT_NOFILE, &files) != 0)
			_exit(5);
		for (int fd = 0; fd < (int)files.rlim_cur; fd++) {
			if (close(fd) == 0)
				closed++;
			else if (errno != EBADF)
				_exit(6);
		}
	}
	return closed;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	struct sockaddr_in to = address4("127.0.0.1", (unsigned)atoi(argv[2]));
	for (int i = 0; i < 2; i++) {
		if (socket(AF_INET, SOCK_STREAM, 0) < 0)
			die("socket");
	}
	int closed = close_all(argv[1]);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd != 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		_exit(7);
	dprintf(fd, "ready %d\n", closed);

	char line[64];
	size_t used = 0;
	while (used < sizeof(line) && read(fd, line + used, 1) == 1) {
		if (line[used++] != '\n')
			continue;
		unsigned more = 0;
		line[used - 1] = '\0';
		used = 0;
		if (sscanf(line, "open %u", &more) == 1) {
			while (more-- && socket(AF_INET, SOCK_STREAM, 0) >= 0)
				;
		}
		dprintf(fd, "ok\n");
	}
	return 0;
}
