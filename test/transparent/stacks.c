/* Build: -Wl,-z,now */
/* stacks - small stacks, deep ones, and such as no unwinder likes. */
#include "threads.h"

#include <limits.h>
#include <ucontext.h>

/* ---- threads of 16 KiB ---- */

struct small {
	int result, error;
	int used; /* of its stack, before the call */
};

/* All that a socket goes through, with little stack. 0: well. */
__attribute__((noinline)) static int use_socket(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	char byte = 'x';
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int at = socket(AF_INET, SOCK_STREAM, 0);
	if (at < 0 || bind(at, (struct sockaddr *)&address, length) != 0 || listen(at, 2) != 0 ||
	    getsockname(at, (struct sockaddr *)&address, &length) != 0)
		return 1;
	int out = socket(AF_INET, SOCK_STREAM, 0);
	if (out < 0 || connect(out, (struct sockaddr *)&address, sizeof(address)) != 0)
		return 2;
	int in = accept(at, NULL, NULL);
	if (in < 0 || write(out, &byte, 1) != 1 || recv(in, &byte, 1, 0) != 1)
		return 3;
	if (shutdown(out, SHUT_WR) != 0 || read(in, &byte, 1) != 0)
		return 4;
	int copy = dup(in);
	return copy < 0 || close(copy) || close(in) || close(out) || close(at) ? 5 : 0;
}

__attribute__((noinline)) static int use_stack_first(int bytes)
{
	volatile char room[bytes];
	room[0] = room[bytes - 1] = 1;
	return use_socket() + room[0] - room[bytes - 1];
}

static void *use_socket_in_thread(void *context)
{
	struct small *small = (struct small *)context;
	small->result = small->used ? use_stack_first(small->used) : use_socket();
	small->error = small->result ? errno : ELNRNG;
	return NULL;
}

static void run_small(int used)
{
	struct small small = {.used = used};
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	MUST(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) ? -1 : 0);
	MUST(pthread_create(&thread, &attributes, use_socket_in_thread, &small) ? -1 : 0);
	end_of(thread);
	tell_result("small", small.result, small.error);
}

static void smallest_first(void)
{
	for (int i = 0; i < 5; i++)
		run_small(0);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

/* Of what there is the program takes more and more itself. What is left at the end is enough for the calls of libc. */
static void smallest_later(void)
{
	MUST(close((int)MUST(socket(AF_INET, SOCK_STREAM, 0))));
	for (int used = 0; used <= 8192; used += 512)
		run_small(used);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void with_more_options(const char *more, const char *name)
{
	char text[4096];
	const char *given = getenv("SOCKLEAK_OPTIONS");
	snprintf(text, sizeof(text), "%s %s", given ? given : "", more);
	if (given)
		MUST(setenv("SOCKLEAK_OPTIONS", text, 1));
	become(name);
}

static void smallest_first_deepest(void)
{
	with_more_options("depth=256", "smallest_first");
}

static void smallest_later_deepest(void)
{
	with_more_options("depth=256", "smallest_later");
}

/* ---- coroutines ---- */

static ucontext_t scheduler, coroutines[64];
static int running, finished, wrong;

static void be_a_coroutine(void)
{
	for (int i = 0; i < 3; i++) {
		wrong += use_socket();
		swapcontext(&coroutines[running], &scheduler);
	}
	finished++;
}

static char *guarded_stack(size_t bytes)
{
	size_t page = 4096;
	char *memory = (char *)mmap(NULL, bytes + page, PROT_READ | PROT_WRITE,
	                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0)
		cases_die("mmap");
	return memory + page;
}

static void make_coroutine(ucontext_t *coroutine, void *stack, size_t bytes, void (*run)(void))
{
	MUST(getcontext(coroutine));
	coroutine->uc_stack.ss_sp = stack;
	coroutine->uc_stack.ss_size = bytes;
	coroutine->uc_link = &scheduler;
	makecontext(coroutine, run, 0);
}

static void run_coroutines(int count, size_t bytes, bool is_guarded)
{
	for (int i = 0; i < count; i++)
		make_coroutine(&coroutines[i], is_guarded ? guarded_stack(bytes) : malloc(bytes),
		               bytes, be_a_coroutine);
	for (int round = 0; round < 4; round++)
		for (running = 0; running < count; running++)
			MUST(swapcontext(&scheduler, &coroutines[running]));
	tell("finished %d, wrong %d", finished, wrong);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void coroutines_of_64k(void)
{
	run_coroutines(64, 64u << 10, true);
}

static void coroutines_of_16k(void)
{
	run_coroutines(64, 16u << 10, true);
}

static void coroutines_on_the_heap(void)
{
	run_coroutines(64, 64u << 10, false);
}

static void coroutines_of_16k_on_the_heap(void)
{
	run_coroutines(64, 16u << 10, false);
}

/* Begun in one thread, ended in another. */
static void *resume(void *unused)
{
	for (running = 0; running < 8; running++)
		MUST(swapcontext(&scheduler, &coroutines[running]));
	return unused;
}

static void coroutines_that_change_threads(void)
{
	for (int i = 0; i < 8; i++)
		make_coroutine(&coroutines[i], guarded_stack(64u << 10), 64u << 10, be_a_coroutine);
	for (int round = 0; round < 4; round++)
		end_of(begin(resume, NULL));
	tell("finished %d, wrong %d", finished, wrong);
}

/* A stack whose last byte is the last of its mapping: nothing above it may be read. */
static void stack_that_ends_at_nothing(void)
{
	for (int i = 0; i < 20; i++) {
		char *memory =
			(char *)mmap(NULL, 3 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			cases_die("mmap");
		MUST(mprotect(memory + (1 << 16), 1 << 16, PROT_READ | PROT_WRITE));
		running = 0;
		make_coroutine(&coroutines[0], memory + (1 << 16), 1 << 16, be_a_coroutine);
		for (int round = 0; round < 4; round++)
			MUST(swapcontext(&scheduler, &coroutines[0]));
		MUST(munmap(memory, 3 << 16));
	}
	tell("finished %d, wrong %d", finished, wrong);
}

/* ---- deep ---- */

__attribute__((noinline)) static int deep(int frames)
{
	volatile int below = frames;
	if (frames > 0)
		return deep(frames - 1) + below - frames;
	return use_socket();
}

static void recursion_of_10_000(void)
{
	for (int i = 0; i < 3; i++)
		CALL(deep(10000));
}

static void *go_very_deep(void *result)
{
	*(int *)result = deep(100000);
	return NULL;
}

static void recursion_of_100_000(void)
{
	int result = -1;
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	MUST(pthread_attr_setstacksize(&attributes, 64u << 20) ? -1 : 0);
	MUST(pthread_create(&thread, &attributes, go_very_deep, &result) ? -1 : 0);
	end_of(thread);
	tell("%d", result);
}

static const struct cases_case cases[] = {
	CASE(smallest_first),
	CASE(smallest_later),
	CASE(smallest_first_deepest),
	CASE(smallest_later_deepest),
	CASE(coroutines_of_64k),
	CASE(coroutines_of_16k),
	CASE(coroutines_on_the_heap),
	CASE(coroutines_of_16k_on_the_heap),
	CASE(coroutines_that_change_threads),
	CASE(stack_that_ends_at_nothing),
	CASE(recursion_of_10_000),
	CASE(recursion_of_100_000),
};

CASES_MAIN(cases)
