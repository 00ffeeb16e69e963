/* Build: -static -nostdlib -ffreestanding -fno-stack-protector */
/* no_libc - a program without libc and without a loader: a socket, a word, and the end. */
#include <sys/syscall.h>

static long call(long number, long a, long b, long c)
{
	long result;
#if defined(__x86_64__)
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c)
	                 : "rcx", "r11", "memory");
#else
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	result = x0;
#endif
	return result;
}

void _start(void);
void _start(void)
{
	static const char word[] = "socket\n";
	long fd = call(SYS_socket, 2, 1, 0);
	if (fd >= 0)
		call(SYS_write, 1, (long)word, sizeof(word) - 1);
	call(SYS_exit_group, 7, 0, 0);
	for (;;)
		;
}
