/* Build: -rdynamic -ldl */
/* odd_callers - sockets from shared objects that come and go, from handlers of all kinds, and at the end of the process. */
#include "threads.h"

#include <dlfcn.h>
#include <sys/time.h>

/* ---- shared objects ---- */

void so_opens_hook(int is_end);

static int opened_by_object[2] = {-1, -1};

/* In the constructor and destructor of so_opens.so. */
void so_opens_hook(int is_end)
{
	if (is_end && cases_told) {
		tell("object ends");
		CALL(close(opened_by_object[0]));
		tcp_pair(opened_by_object);
		CALL(close(opened_by_object[1]));
		return;
	}
	tcp_pair(opened_by_object);
}

static void path_of_object(char *path, size_t n)
{
	long length = MUST(readlink("/proc/self/exe", path, n - 64));
	path[length] = 0;
	strcpy(strrchr(path, '/') + 1, "so_opens.so");
}

static void *open_object(void)
{
	char path[4096];
	path_of_object(path, sizeof(path));
	void *handle = dlopen(path, RTLD_NOW);
	if (!handle)
		cases_die(dlerror());
	return handle;
}

static void dlopen_and_dlclose(void)
{
	for (int i = 0; i < 5; i++) {
		char byte;
		void *handle = open_object();
		tell("object opened %d %d", opened_by_object[0], opened_by_object[1]);
		CALL(write(opened_by_object[0], "x", 1));
		CALL(read(opened_by_object[1], &byte, 1));
		if (dlclose(handle) != 0)
			cases_die("dlclose");
		tell_fds("after dlclose");
		CALL(close(opened_by_object[0]));
	}
}

/* Other threads open sockets meanwhile, and wait for what the constructor's thread holds. */
static int stop;

static void *open_often(void *unused)
{
	while (!get(&stop)) {
		int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
		MUST(close(fd));
	}
	return unused;
}

static void dlopen_beside_sockets(void)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		threads[i] = begin(open_often, NULL);
	for (int i = 0; i < 50; i++) {
		char path[4096];
		path_of_object(path, sizeof(path));
		void *handle = dlopen(path, RTLD_NOW);
		if (!handle)
			cases_die("dlopen");
		MUST(close(opened_by_object[1]));
		opened_by_object[1] = -1;
		struct cases_told *told = cases_told;
		cases_told = NULL; /* its end opens once more, and tells nothing */
		MUST(close(opened_by_object[0]));
		MUST(dlclose(handle) ? -1 : 0);
		cases_told = told;
		MUST(close(opened_by_object[0]));
		MUST(close(opened_by_object[1]));
	}
	set(&stop, 1);
	for (int i = 0; i < 4; i++)
		end_of(threads[i]);
	tell("done");
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void beside_a_preloaded_object_then(void)
{
	char byte;
	tell("object opened %d %d", opened_by_object[0], opened_by_object[1]);
	CALL(write(opened_by_object[0], "x", 1));
	CALL(read(opened_by_object[1], &byte, 1));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void preload_beside(bool is_first)
{
	char path[4096], list[9000];
	const char *given = getenv("LD_PRELOAD");
	path_of_object(path, sizeof(path));
	if (!given)
		given = "";
	snprintf(list, sizeof(list), "%s %s", is_first ? path : given, is_first ? given : path);
	MUST(setenv("LD_PRELOAD", list, 1));
	become("beside_a_preloaded_object_then");
}

static void before_a_preloaded_object(void)
{
	preload_beside(false);
}

static void behind_a_preloaded_object(void)
{
	preload_beside(true);
}

/* ---- the end of the process ---- */

static int last_pair[2];

static void use_at(const char *who, const char *when)
{
	char byte;
	int pair[2];
	tell("%s", who);
	CALL(write(last_pair[0], "x", 1));
	CALL(read(last_pair[1], &byte, 1));
	tcp_pair(pair);
	tell("opened %d %d", pair[0], pair[1]);
	CALL(close(pair[1]));
	tell_fds(when);
}

/* The last of these is what a report at the exit is held against. */
static void use_at_the_end(const char *who)
{
	use_at(who, "open at the end");
}

static void at_exit(void)
{
	use_at_the_end("atexit");
}

static void on_exit_with(int status, void *argument)
{
	tell("on_exit %d %s", status, (const char *)argument);
	use_at_the_end("on_exit");
}

/* After which no destructor runs, and no report is made. */
static void at_quick_exit_too(void)
{
	use_at("at_quick_exit", "open at quick_exit");
}

static bool has_destructor;

__attribute__((destructor)) static void destructor(void)
{
	if (has_destructor)
		use_at_the_end("destructor");
}

static void exit_handlers(void)
{
	tcp_pair(last_pair);
	atexit(at_exit);
	on_exit(on_exit_with, (void *)"argument");
	open_object();
	has_destructor = true;
	exit(9); /* 3 is a case that could not run */
}

/* The first socket of the process. */
static void first_socket_at_exit(void)
{
	atexit(at_exit);
	exit(4);
}

static void quick_exit_handlers(void)
{
	tcp_pair(last_pair);
	at_quick_exit(at_quick_exit_too);
	atexit(at_exit);
	quick_exit(5);
}

static void ends_at_once(void)
{
	tcp_pair(last_pair);
	atexit(at_exit);
	tell("now");
	_exit(6);
}

static void aborts(void)
{
	pid_t child = fork();
	if (child == 0) {
		tcp_pair(last_pair);
		atexit(at_exit);
		abort();
	}
	tell_end_of("child", child);
}

/* ---- handlers ---- */

static int handled;

static void use_in_handler(int number)
{
	int pair[2], saved = errno;
	char byte = 0;
	(void)number;
	tcp_pair(pair);
	if (write(pair[0], "h", 1) == 1 && read(pair[1], &byte, 1) == 1 && byte == 'h' &&
	    close(pair[0]) == 0 && close(pair[1]) == 0)
		set(&handled, get(&handled) + 1);
	errno = saved;
}

/* With a page below it that nobody may touch. */
static void use_alternate_stack(void)
{
	size_t page = 4096, size = ((size_t)sysconf(_SC_SIGSTKSZ) + page - 1) / page * page;
	char *memory = (char *)mmap(NULL, size + page, PROT_READ | PROT_WRITE,
	                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = memory + page, .ss_size = size};
	MUST(mprotect(memory, page, PROT_NONE));
	MUST(sigaltstack(&stack, NULL));
	struct sigaction action = {.sa_handler = use_in_handler,
	                           .sa_flags = SA_ONSTACK | SA_RESTART};
	MUST(sigaction(SIGUSR2, &action, NULL));
}

static void on_an_alternate_stack(void)
{
	use_alternate_stack();
	for (int i = 0; i < 20; i++)
		MUST(raise(SIGUSR2));
	tell("handled %d", handled);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void *have_own_alternate_stack(void *tid)
{
	char byte;
	use_alternate_stack();
	set((int *)tid, own_tid());
	CALL(read(last_pair[0], &byte, 1)); /* until the other end is closed */
	return NULL;
}

static void on_an_alternate_stack_in_a_call(void)
{
	int tid = 0;
	tcp_pair(last_pair);
	tell("pair %d %d", last_pair[0], last_pair[1]);
	pthread_t thread = begin(have_own_alternate_stack, &tid);
	for (int i = 0; i < 20; i++) {
		await_call(&tid, SYS_read);
		MUST(pthread_kill(thread, SIGUSR2));
		AWAIT(get(&handled) == i + 1);
	}
	await_call(&tid, SYS_read);
	MUST(close(last_pair[1]));
	end_of(thread);
	tell("handled %d", handled);
}

/* socket() and its kin are async-signal-safe: also in the middle of malloc(), of stdio, of the loader. */
static void in_the_middle_of_anything(void)
{
	struct itimerval often = {{0, 300}, {0, 300}}, never = {};
	struct sigaction action = {.sa_handler = use_in_handler, .sa_flags = SA_RESTART};
	MUST(sigaction(SIGALRM, &action, NULL));
	MUST(setitimer(ITIMER_REAL, &often, NULL));
	while (get(&handled) < 400) {
		char text[64];
		void *blocks[50];
		for (int i = 0; i < 50; i++)
			blocks[i] = malloc((size_t)(i + 1) * 999);
		snprintf(text, sizeof(text), "%f", 1.0 / (get(&handled) + 1));
		for (int i = 0; i < 50; i++)
			free(blocks[i]);
		if (!dlsym(RTLD_DEFAULT, "socket"))
			cases_die("dlsym");
		MUST(close((int)MUST(socket(AF_INET, SOCK_STREAM, 0))));
	}
	MUST(setitimer(ITIMER_REAL, &never, NULL));
	tell("handled enough");
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static const struct cases_case cases[] = {
	CASE(dlopen_and_dlclose),
	CASE(dlopen_beside_sockets),
	CASE(beside_a_preloaded_object_then),
	CASE(before_a_preloaded_object),
	CASE(behind_a_preloaded_object),
	CASE(exit_handlers),
	CASE(first_socket_at_exit),
	CASE(quick_exit_handlers),
	CASE(ends_at_once),
	CASE(aborts),
	CASE(on_an_alternate_stack),
	CASE(on_an_alternate_stack_in_a_call),
	CASE(in_the_middle_of_anything),
};

CASES_MAIN(cases)
