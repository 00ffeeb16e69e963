/* asked_names - asks for functions by name, as a program does that runs with many a libc, and uses what it finds. */
#include "victim.h"

#include <dlfcn.h>
#include <fcntl.h>

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

int main(void)
{
	void (*closefrom_found)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, "closefrom");
	int (*close_range_found)(unsigned, unsigned, int) =
		(int (*)(unsigned, unsigned, int))dlsym(RTLD_DEFAULT, "close_range");
	int (*fcntl64_found)(int, int, ...) =
		(int (*)(int, int, ...))dlsym(RTLD_DEFAULT, "fcntl64");
	int fd = dup(0);
	if (closefrom_found)
		closefrom_found(3);
	say("closefrom: %s", closefrom_found && !is_open(fd) ? "closed" : "not closed");
	fd = dup(0);
	if (close_range_found && close_range_found(3, ~0u, 0) != 0)
		return 1;
	say("close_range: %s", close_range_found && !is_open(fd) ? "closed" : "not closed");
	fd = fcntl64_found ? fcntl64_found(0, F_DUPFD, 20) : -1;
	say("fcntl64: %s", !fcntl64_found || fd == 20 ? "none or right" : "wrong");
	return 0;
}
