/* so_gate - preloaded where the library is to come by `sockleak attach`: the program waits before its main(), in a read() of the FIFO
 * that ATTACH_GATE names, until somebody writes into it. What the program starts does not wait.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

typedef int main_fn(int, char **, char **);
typedef int start_fn(main_fn *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                     void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(main_fn *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end)
{
	start_fn *start = (start_fn *)dlsym(RTLD_NEXT, "__libc_start_main");
	const char *gate = getenv("ATTACH_GATE");
	if (gate) {
		char byte;
		const int fd = open(gate, O_RDWR | O_CLOEXEC);
		if (fd < 0 || read(fd, &byte, 1) != 1)
			abort();
		close(fd);
		unsetenv("ATTACH_GATE");
	}
	return start(main, argc, argv, init, fini, rtld_fini, stack_end);
}
