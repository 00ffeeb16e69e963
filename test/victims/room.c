/* room - opens a socket, then takes memory in pieces of 64 KiB until there is none: how many. `room MIB`: the limit of its address space,
 * above what it has. */
#include "victim.h"

#include <sys/resource.h>

static unsigned long size_kib(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	if (!file || fscanf(file, "%lu", &pages) != 1)
		die("statm");
	fclose(file);
	return pages * 4;
}

int main(int argc, char **argv)
{
	unsigned port, pieces = 0;
	if (argc != 2)
		return 2;
	rlim_t most = (size_kib() << 10) + ((rlim_t)atoi(argv[1]) << 20);
	struct rlimit limit = {most, most};
	if (setrlimit(RLIMIT_AS, &limit) != 0)
		die("setrlimit");
	int fd = listen_on("127.0.0.1", 8, &port);
	while (malloc(64u << 10))
		pieces++;
	say("ok %u", pieces);
	return close(fd);
}
