/* Build: -lhiredis */
/* hiredis_contexts - hiredis: a context for each command, never freed. */
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <unistd.h>

static redisContext *kept[1000];

static redisContext *dial(const char *host, int port)
{
	redisContext *context = redisConnect(host, port); /* LEAK */
	if (!context || context->err)
		exit(1);
	return context;
}

static void increment(int i, const char *host, int port)
{
	kept[i] = dial(host, port);
	freeReplyObject(redisCommand(kept[i], "INCR visits"));
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	for (int i = 0; i < 1000; i++) {
		increment(i, argv[1], atoi(argv[2]));
		usleep(100000);
	}
	return 0;
}
