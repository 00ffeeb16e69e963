/* Build: -ldl */
/* libcs - a program with more than one libc in its memory: libcs HOW. "read": the file is mapped too, as data, as those do that print
 * stacks of their own; "namespace": a library is loaded with a libc of its own.
 *
 * It prints "ready" and obeys the commands of the table below.
 */
#include "commands.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

static void read_libc(void)
{
	struct link_map *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	struct stat info;
	int fd = libc ? open(libc->l_name, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &info) < 0 ||
	    mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		die("libc");
	close(fd);
}

static const struct command commands[] = {
	{"connect", do_connect},
	{"close", do_close},
	{"fin", do_fin},
};

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	if (strcmp(how, "read") == 0)
		read_libc();
	else if (!dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW))
		die("dlmopen");
	obey_all(commands, sizeof(commands) / sizeof(commands[0]));
	return 0;
}
