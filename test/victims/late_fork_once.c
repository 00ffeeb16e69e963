/* late_fork_once LIBRARY - one thread attaches; while it is inside the loader for libunwind, main forks, and the child attaches itself.
 *
 * The libunwind is one of the test's: it writes a byte to LOADING and waits for one from GO. Says "ok RESULT OF-CHILD": what both
 * attempts gave.
 */
#include "victim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>

typedef int attach_fn(const char *options);

static attach_fn *attach;
static char options[4096];

static void *come(void *result)
{
	*(int *)result = attach(options);
	return NULL;
}

static void put_number(const char *name, int number)
{
	char text[16];
	(void)snprintf(text, sizeof(text), "%d", number);
	if (setenv(name, text, 1) != 0)
		die("setenv");
}

int main(int argc, char **argv)
{
	int loading[2], go[2], status, result = -1;
	pthread_t thread;
	char byte = 0;
	void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	attach = library ? (attach_fn *)dlsym(library, "sockleak_attach") : NULL;
	if (!attach || pipe(loading) != 0 || pipe(go) != 0)
		die("start");
	(void)snprintf(options, sizeof(options), "%s", getenv("ATTACH_OPTIONS"));
	put_number("LOADING", loading[1]);
	put_number("GO", go[0]);
	if (pthread_create(&thread, NULL, come, &result) != 0 || read(loading[0], &byte, 1) != 1)
		die("thread");
	pid_t child = fork();
	if (child == 0) {
		int given = attach(options);
		int fd = socket(AF_INET, SOCK_STREAM, 0); /* a stack is wanted */
		_exit(fd < 0 ? 99 : given);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || write(go[1], &byte, 1) != 1)
		die("child");
	pthread_join(thread, NULL);
	if (WIFEXITED(status))
		say("ok %d %d", result, WEXITSTATUS(status));
	else
		say("bad %d", status);
	return 0;
}
