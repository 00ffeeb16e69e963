/* becomer - opens a connection, and executes another program in its place.
 *
 * `becomer PORT PROGRAM`: says "open" when connected; at the next line of input it becomes PROGRAM.
 */
#include "victim.h"

int main(int argc, char **argv)
{
	char line[64];
	if (argc != 3)
		return 2;
	struct sockaddr_in to = address4("127.0.0.1", (unsigned)atoi(argv[1]));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	say("open");
	if (!next_command(line, sizeof(line)))
		return 1;
	execl(argv[2], argv[2], (char *)NULL);
	die("execl");
}
