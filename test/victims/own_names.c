/* Build: -Wl,--export-dynamic-symbol=close -Wl,-z,lazy -ldl */
/* own_names - a program that has a function of its own where libc has one, close(), and libraries that call it, or their own of such a
 * name. Nothing is bound before it is called.
 *
 * own_names PLAIN DEEP: two libraries, the second opened with RTLD_DEEPBIND. It prints "ready" and obeys the commands of the table below.
 */
#include "commands.h"

#include <dlfcn.h>
#include <sys/syscall.h>

static int closed;

__attribute__((visibility("default"))) int close(int fd)
{
	closed++;
	return (int)syscall(SYS_close, fd);
}

static int (*close_it)(int);
static long (*add_lengths)(const char *, const char *);

/* close FD: by a library; what it returned, and how often the program's own was called for it. */
static void do_its_close(const struct words *w)
{
	int before = closed;
	int result = close_it(number(w, 1, -1));
	say("ok %d %d", result, closed - before);
}

/* own A B: what the other library's own send() makes of two words. */
static void do_own(const struct words *w)
{
	say("ok %ld", add_lengths(text(w, 1), text(w, 2)));
}

static const struct command commands[] = {
	{"close", do_its_close},
	{"dup", do_dup},
	{"own", do_own},
};

int main(int argc, char **argv)
{
	void *plain = argc > 2 ? dlopen(argv[1], RTLD_LAZY) : NULL;
	void *deep = argc > 2 ? dlopen(argv[2], RTLD_LAZY | RTLD_DEEPBIND) : NULL;
	if (!plain || !deep)
		die("dlopen");
	close_it = (int (*)(int))dlsym(plain, "close_it");
	add_lengths = (long (*)(const char *, const char *))dlsym(deep, "add_lengths");
	obey_all(commands, sizeof(commands) / sizeof(commands[0]));
	return 0;
}
