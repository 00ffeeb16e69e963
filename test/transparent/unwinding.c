/* Build: -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-omit-frame-pointer -ldl */
/* unwinding - stacks that no unwinder can follow: each opens sockets, which must do what they always do. */
#include "threads.h"

#include <dlfcn.h>
#include <sys/sendfile.h>

static void use(long fd)
{
	char byte = 0;
	struct sockaddr_in address;
	int at = listener(&address);
	CALL(connect((int)fd, (struct sockaddr *)&address, sizeof(address)));
	int in = (int)CALL(accept(at, NULL, NULL));
	CALL(write((int)fd, "x", 1));
	CALL(read(in, &byte, 1));
	CALL(close(in));
	CALL(close(at));
	CALL(close((int)fd));
}

#if defined(__x86_64__)

/* socket(AF_INET, SOCK_STREAM, 0) with %rbp as given, whatever the unwind information says of it. */
__attribute__((noinline)) static long open_with_rbp(unsigned long rbp)
{
	long fd;
	int (*function)(int, int, int) = socket;
	__asm__ volatile("push %%rbp\n\t"
	                 "mov %%rsp, %%r12\n\t"
	                 "and $-16, %%rsp\n\t"
	                 "mov %1, %%rbp\n\t"
	                 "mov $2, %%edi\n\t"
	                 "mov $1, %%esi\n\t"
	                 "xor %%edx, %%edx\n\t"
	                 "call *%2\n\t"
	                 "mov %%r12, %%rsp\n\t"
	                 "pop %%rbp"
	                 : "=a"(fd)
	                 : "r"(rbp), "r"(function)
	                 : "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "r12", "memory",
	                   "cc");
	return fd;
}

/* Without information of its own the unwinder follows %rbp: to nothing, to itself, in circles, out of the stack. */
static void frame_pointers(void)
{
	void *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long circle[4] = {0};
	circle[0] = (unsigned long)&circle[2];
	circle[1] = (unsigned long)&open_with_rbp + 1;
	circle[2] = (unsigned long)&circle[0];
	circle[3] = (unsigned long)&open_with_rbp + 2;
	const unsigned long values[] = {
		0,
		8,
		4096,
		0x123456789,
		~0UL,
		~0UL - 7,
		0x8000000000000000,
		0x7fffffffe000,
		(unsigned long)nothing,
		(unsigned long)nothing + 4088,
		(unsigned long)circle,
		(unsigned long)&circle[2],
		(unsigned long)__builtin_frame_address(0),
	};
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		use(open_with_rbp(values[i]));
}

/* Frames that are made by hand: each has a return address where no code is. */
static void return_addresses(void)
{
	static const unsigned long nowhere[] = {0,   1, 0x1234, 0x7fffffffffff, 0xdeadbeefdeadbeef,
	                                        ~0UL};
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		unsigned long frames[] = {0, nowhere[i], 0, nowhere[i]};
		frames[0] = (unsigned long)&frames[2];
		use(open_with_rbp((unsigned long)frames));
	}
}

/* Code made at run time: push %rbp; mov %rsp, %rbp; mov $FUNCTION, %rax; call *%rax; pop %rbp; ret. */
static void *make_code(void *function, bool has_frame)
{
	static const unsigned char begin[] = {0x55, 0x48, 0x89, 0xe5};
	static const unsigned char bare[] = {0x55, 0x90, 0x90, 0x90};
	static const unsigned char end[] = {0xff, 0xd0, 0x5d, 0xc3};
	unsigned char *code = (unsigned char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	                                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		cases_die("mmap");
	memcpy(code, has_frame ? begin : bare, 4);
	memcpy(code + 4, "\x48\xb8", 2);
	memcpy(code + 6, &function, 8);
	memcpy(code + 14, end, 4);
	MUST(mprotect(code, 4096, PROT_READ | PROT_EXEC));
	return code;
}

static void code_without_information(void)
{
	for (int round = 0; round < 6; round++) {
		/* One calls the next, thirty times, and the last socket(). */
		void *code = (void *)socket;
		for (int i = 0; i < 30; i++)
			code = make_code(code, round % 2 == 0);
		for (int i = 0; i < 3; i++)
			use(((int (*)(int, int, int))code)(AF_INET, SOCK_STREAM, 0));
	}
}

/* At one address one function after another, as code that is made at run time does, and plugins. */
static void code_that_is_replaced(void)
{
	unsigned char *code = (unsigned char *)make_code((void *)socket, true);
	unsigned char *other = (unsigned char *)make_code((void *)socket, false);
	for (int i = 0; i < 10; i++) {
		MUST(mprotect(code, 4096, PROT_READ | PROT_WRITE));
		memcpy(code, i % 2 ? other : (unsigned char *)"\x55\x48\x89\xe5", 4);
		MUST(mprotect(code, 4096, PROT_READ | PROT_EXEC));
		use(((int (*)(int, int, int))code)(AF_INET, SOCK_STREAM, 0));
	}
}

/* A stack switched by hand, to memory with nothing behind it: no return address, no frame below. */
__attribute__((noinline)) static long open_on(char *top)
{
	long fd;
	int (*function)(int, int, int) = socket;
	__asm__ volatile("mov %%rsp, %%r12\n\t"
	                 "mov %1, %%rsp\n\t"
	                 "mov $2, %%edi\n\t"
	                 "mov $1, %%esi\n\t"
	                 "xor %%edx, %%edx\n\t"
	                 "call *%2\n\t"
	                 "mov %%r12, %%rsp\n\t"
	                 : "=a"(fd)
	                 : "r"(top), "r"(function)
	                 : "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "r12", "memory",
	                   "cc");
	return fd;
}

static void stacks_switched_by_hand(void)
{
	const size_t bytes = 64u << 10;
	char *memory = (char *)mmap(NULL, 3 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(mprotect(memory + bytes, bytes, PROT_READ | PROT_WRITE));
	for (int i = 0; i < 10; i++)
		use(open_on(memory + 2 * bytes - 16 * i));
}

#else

static void frame_pointers(void)
{
	tell("x86-64 only");
}
#define return_addresses frame_pointers
#define code_without_information frame_pointers
#define code_that_is_replaced frame_pointers
#define stacks_switched_by_hand frame_pointers

#endif

/* ---- many objects ---- */

/* So many copies of one small object, each opened as itself. */
#define OBJECTS 200

static void many_objects(void)
{
	char text[4096], path[128];
	void *handles[OBJECTS];
	long n = MUST(readlink("/proc/self/exe", text, sizeof(text) - 64));
	text[n] = 0;
	strcpy(strrchr(text, '/') + 1, "so_opens.so");
	int from = (int)MUST(open(text, O_RDONLY | O_CLOEXEC));
	off_t size = MUST(lseek(from, 0, SEEK_END));
	for (int i = 0; i < OBJECTS; i++) {
		off_t at = 0;
		int copy = (int)MUST(memfd_create("object", MFD_CLOEXEC));
		MUST(sendfile(copy, from, &at, (size_t)size));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
		handles[i] = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!handles[i])
			cases_die(dlerror());
	}
	int (*open_through)(int (*)(int, int, int)) =
		(int (*)(int (*)(int, int, int)))dlsym(handles[OBJECTS - 1], "open_through");
	if (!open_through)
		cases_die("open_through");
	MUST(close_range(3, ~0u, 0));
	for (int i = 0; i < 3; i++)
		use(open_through(socket));
	for (int i = 0; i < OBJECTS; i++)
		if (dlclose(handles[i]) != 0)
			cases_die("dlclose");
	use(MUST(socket(AF_INET, SOCK_STREAM, 0)));
}

static const struct cases_case cases[] = {
	CASE(frame_pointers),        CASE(return_addresses),        CASE(code_without_information),
	CASE(code_that_is_replaced), CASE(stacks_switched_by_hand), CASE(many_objects),
};

CASES_MAIN(cases)
