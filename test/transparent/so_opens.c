/* so_opens - a shared object that opens sockets in its constructor and destructor, where it is asked to, and through a function. */
#include <stdlib.h>
#include <sys/socket.h>

int open_through(int (*function)(int, int, int));

/* Given by whoever loads it: called at the beginning and the end. */
extern void so_opens_hook(int is_end) __attribute__((weak));

__attribute__((constructor)) static void begin(void)
{
	if (so_opens_hook)
		so_opens_hook(0);
}

__attribute__((destructor)) static void end(void)
{
	if (so_opens_hook)
		so_opens_hook(1);
}

int open_through(int (*function)(int, int, int))
{
	int fd = function(AF_INET, SOCK_STREAM, 0);
	__asm__ volatile(""); /* no tail call */
	return fd;
}
