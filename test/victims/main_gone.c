/* main_gone - main ends by pthread_exit(), and the process with its last thread, with status 0 and exit handlers
 * run.
 *
 * That thread opens a socket and says "ready"; once told a line it says "ok" and returns. The exit
 * handler says "exit".
 */
#include "victim.h"

#include <pthread.h>

static void *go_on(void *unused)
{
	char line[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		die("socket");
	say("ready");
	if (next_command(line, sizeof(line)))
		say("ok");
	close(fd);
	return unused;
}

static void at_exit(void)
{
	say("exit");
}

int main(void)
{
	pthread_t thread;
	if (atexit(at_exit) != 0 || pthread_create(&thread, NULL, go_on, NULL) != 0)
		die("start");
	pthread_exit(NULL);
}
