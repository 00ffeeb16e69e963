/* so_opening_malloc - an allocator that opens a socket at each four hundredth call, and closes it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *piece, size_t n);

static unsigned calls;
static __thread int is_inside;

static void open_one(void)
{
	if (__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % 400 != 0 || is_inside)
		return;
	is_inside = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd >= 0)
		close(fd);
	is_inside = 0;
}

void *malloc(size_t n)
{
	open_one();
	return __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
	open_one();
	return __libc_calloc(count, n);
}

void *realloc(void *piece, size_t n)
{
	open_one();
	return __libc_realloc(piece, n);
}
