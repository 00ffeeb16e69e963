/* named - tells the library about its connections, if it is there: the example of docs/api.md, as C and as C++.
 *
 * usage: named PORT COUNT
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <sockleak.h>

static int open_connection(unsigned port, const char *name)
{
	struct sockaddr_in to;
	memset(&to, 0, sizeof(to));
	to.sin_family = AF_INET;
	to.sin_port = htons((unsigned short)port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		exit(1);
	if (sockleak_name_fd)
		sockleak_name_fd(fd, name);
	return fd;
}

/* Only writes, and its peer closes its half at once: CLOSE_WAIT, on purpose. */
static void open_log_stream(unsigned port)
{
	int fd = open_connection(port, "log-stream");
	if (sockleak_intend_fd)
		sockleak_intend_fd(fd);
}

static void print_totals(void)
{
	struct sockleak_totals totals;
	totals.size = sizeof(totals);
	if (sockleak_totals && sockleak_totals(&totals) == 0)
		printf("open %llu, in CLOSE_WAIT %llu, stuck %llu\n",
		       (unsigned long long)totals.open, (unsigned long long)totals.close_wait,
		       (unsigned long long)totals.stuck);
	else
		printf("not known\n");
}

int main(int argc, char **argv)
{
	unsigned port = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
	char line[16];
	for (int i = 0; i < (argc > 2 ? atoi(argv[2]) : 1); i++)
		open_connection(port, "db-pool");
	open_log_stream(port);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) { /* for each line that is typed */
		if (sockleak_report)
			sockleak_report(5000);
		print_totals();
		fflush(stdout);
	}
	return 0;
}
