/* Build: -rdynamic -fno-builtin */
/* amidst - sockets in signal handlers, the process's first one too: in the middle of malloc(), which may be the program's own, and in
 * calls that wait. */
#include "threads.h"

#include <sys/time.h>

/* ---- a malloc that counts who comes in while it is at work ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t n);
void __libc_free(void *memory);

static int raises; /* so many calls of malloc() are yet to be interrupted */
static int handled, came_in;
static int first_pair[2];
static __thread int is_inside __attribute__((tls_model("initial-exec")));

static void come_in(void)
{
	if (is_inside)
		set(&came_in, get(&came_in) + 1);
}

void *malloc(size_t n)
{
	come_in();
	is_inside++;
	if (raises > 0 && is_inside == 1) {
		raises--;
		raise(SIGUSR2);
	}
	void *memory = __libc_malloc(n);
	is_inside--;
	return memory;
}

void *calloc(size_t n, size_t size)
{
	come_in();
	return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t n)
{
	come_in();
	return __libc_realloc(memory, n);
}

void free(void *memory)
{
	come_in();
	__libc_free(memory);
}

/* ---- handlers ---- */

/* The first pair stays. */
static void use_in_handler(int number)
{
	int pair[2], saved = errno;
	(void)number;
	tcp_pair(pair);
	if (get(&handled) == 0)
		memcpy(first_pair, pair, sizeof(pair));
	else if (close(pair[0]) != 0 || close(pair[1]) != 0)
		cases_die("close in a handler");
	set(&handled, get(&handled) + 1);
	errno = saved;
}

static void handle(int number, int flags)
{
	struct sigaction action = {.sa_handler = use_in_handler, .sa_flags = flags};
	MUST(sigaction(number, &action, NULL));
}

/* pthread_create() takes memory. */
static void in_the_middle_of_malloc(void)
{
	handle(SIGUSR2, 0);
	raises = 20;
	while (raises > 0)
		free(malloc(100));
	tell("handled %d, came in %d", handled, get(&came_in));
}

static void in_the_middle_of_malloc_on_another_stack(void)
{
	stack_t stack = {.ss_size = 1 << 16};
	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                   -1, 0);
	MUST(sigaltstack(&stack, NULL));
	handle(SIGUSR2, SA_ONSTACK);
	raises = 20;
	while (raises > 0)
		free(malloc(100));
	tell("handled %d, came in %d", handled, get(&came_in));
}

static void then_closes_one(void)
{
	handle(SIGUSR2, 0);
	raises = 1;
	free(malloc(100));
	CALL(close(first_pair[1]));
	tell("handled %d, came in %d", handled, get(&came_in));
}

static void one_handler_in_another(int number)
{
	(void)number;
	raises = 1;
	free(malloc(100));
}

/* The inner one comes into malloc(), the outer one into a call that waits. */
static void in_a_handler_of_a_handler(void)
{
	struct sigaction action = {.sa_handler = one_handler_in_another};
	struct itimerval soon = {{0, 0}, {0, 1000}};
	handle(SIGUSR2, SA_NODEFER);
	MUST(sigaction(SIGALRM, &action, NULL));
	MUST(setitimer(ITIMER_REAL, &soon, NULL));
	AWAIT(get(&handled) == 1);
	tell("handled %d, came in %d", handled, get(&came_in));
	CALL(close(first_pair[0]));
}

/* ---- a program that lives in its handlers ---- */

static void wait_and_handle(int flags)
{
	struct itimerval often = {{0, 2000}, {0, 2000}}, never = {};
	sigset_t all, none;
	sigemptyset(&none);
	sigfillset(&all);
	handle(SIGALRM, flags);
	MUST(sigprocmask(SIG_SETMASK, &all, NULL));
	MUST(setitimer(ITIMER_REAL, &often, NULL));
	while (get(&handled) < 5)
		sigsuspend(&none);
	MUST(setitimer(ITIMER_REAL, &never, NULL));
	tell("handled 5");
}

static void all_in_handlers(void)
{
	wait_and_handle(0);
}

static void *read_for_long(void *fd)
{
	char byte;
	ssize_t n = read(*(int *)fd, &byte, 1);
	return (void *)n;
}

/* With SA_RESTART the handler returns to the call itself. */
static void all_in_handlers_while_a_call_is_restarted(void)
{
	int ends[2];
	void *n;
	handle(SIGUSR2, SA_RESTART);
	MUST(pipe(ends));
	pthread_t thread = begin(read_for_long, &ends[0]);
	for (int i = 0; i < 5; i++) {
		MUST(pthread_kill(thread, SIGUSR2));
		AWAIT(get(&handled) == i + 1);
	}
	MUST(write(ends[1], "x", 1));
	pthread_join(thread, &n);
	tell("handled %d, read %d", handled, (int)(intptr_t)n);
}

static const struct cases_case cases[] = {
	CASE(in_the_middle_of_malloc), CASE(in_the_middle_of_malloc_on_another_stack),
	CASE(then_closes_one),         CASE(in_a_handler_of_a_handler),
	CASE(all_in_handlers),         CASE(all_in_handlers_while_a_call_is_restarted),
};

CASES_MAIN(cases)
