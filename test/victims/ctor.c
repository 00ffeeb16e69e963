/* ctor - loads an object whose constructor waits for a thread that calls socket().
 *
 * `ctor first|later OBJECT` loads OBJECT, so_ctor.so, by dlopen() and prints "ready SOCKETS",
 * how many it opened; with `later` the program has opened a socket of its own before.
 */
#include "victim.h"

#include <dlfcn.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (strcmp(argv[1], "later") == 0 && socket(AF_INET, SOCK_STREAM, 0) < 0)
		die("socket");
	void *object = dlopen(argv[2], RTLD_NOW);
	if (!object) {
		fprintf(stderr, "victim: %s\n", dlerror());
		return 3;
	}
	const int *sockets = dlsym(object, "ctor_sockets");
	say("ready %d", sockets ? *sockets : -1);

	char line[64];
	while (next_command(line, sizeof(line)))
		say("ok");
	return 0;
}
