/* Build: -rdynamic -fno-builtin */
/* early - sockets before main(): while symbols are bound, in preinit and init functions, and inside a malloc of the program's own. */
#include "threads.h"

/* ---- a malloc that opens sockets ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t n);
void __libc_free(void *memory);

static bool has_begun;
static int first_fd = -1, opens_always, sockets, calls;
static __thread int is_inside __attribute__((tls_model("initial-exec")));
static __thread int is_counted __attribute__((tls_model("initial-exec")));

static void open_and_close(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || close(fd) != 0)
		cases_die("in malloc");
	__atomic_add_fetch(&sockets, 1, __ATOMIC_SEQ_CST);
}

/* At the first call that the program makes a socket that stays (the library calls it too, before that: pthread_atfork()); later at each 1,000th of a thread that says so, or at all. */
static void be_called(void)
{
	if (is_inside || !has_begun)
		return;
	is_inside = 1;
	int saved = errno;
	if (first_fd < 0)
		first_fd = socket(AF_INET, SOCK_STREAM, 0);
	else if (get(&opens_always) || (is_counted && ++calls % 1000 == 0))
		open_and_close();
	errno = saved;
	is_inside = 0;
}

void *malloc(size_t n)
{
	be_called();
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	be_called();
	return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t n)
{
	be_called();
	return __libc_realloc(memory, n);
}

void free(void *memory)
{
	be_called();
	__libc_free(memory);
}

/* ---- before main() ---- */

static int resolver_fd = -1, preinit_fd = -1, init_fds[2] = {-1, -1};

static int resolved(void)
{
	return 17;
}

/* Called while this program's symbols are bound. */
static int (*resolve(void))(void)
{
	resolver_fd = socket(AF_INET, SOCK_STREAM, 0);
	return resolved;
}

int through_ifunc(void) __attribute__((ifunc("resolve")));

static void preinit(void)
{
	preinit_fd = socket(AF_INET, SOCK_STREAM, 0);
	has_begun = true;
	free(malloc(1));
}

__attribute__((section(".preinit_array"), used)) static void (*const preinits[])(void) = {preinit};

__attribute__((constructor)) static void init(void)
{
	tcp_pair(init_fds);
}

static void use_all(void)
{
	char byte;
	struct sockaddr_in address;
	int at = listener(&address);
	const int fds[] = {resolver_fd, preinit_fd, first_fd};
	tell("resolver %d, preinit %d, init %d %d, malloc %d", resolver_fd, preinit_fd, init_fds[0],
	     init_fds[1], first_fd);
	CALL(through_ifunc());
	for (int i = 0; i < 3; i++) {
		CALL(connect(fds[i], (struct sockaddr *)&address, sizeof(address)));
		MUST(close((int)CALL(accept(at, NULL, NULL))));
		CALL(read(fds[i], &byte, 1));
	}
	CALL(write(init_fds[0], "x", 1));
	CALL(read(init_fds[1], &byte, 1));
	CALL(close(preinit_fd));
	CALL(close(init_fds[0]));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void before_main(void)
{
	use_all();
}

static void malloc_that_opens(void)
{
	void *blocks[100];
	is_counted = 1;
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 100; i++)
			blocks[i] = malloc((size_t)(i + 1) * 10);
		for (int i = 0; i < 100; i++)
			free(blocks[i]);
	}
	is_counted = 0;
	tell("opened %d", sockets);
	use_all();
}

/* Each call of each thread, those on the library's behalf too. */
static void malloc_that_always_opens(void)
{
	int pair[2];
	set(&opens_always, 1);
	tcp_pair(pair);
	for (int i = 0; i < 2000; i++)
		free(malloc(100));
	pid_t child = fork();
	if (child == 0) {
		int other[2];
		tcp_pair(other);
		free(malloc(100));
		tell_fds("child");
		_exit(0);
	}
	tell_end_of("child", child);
	set(&opens_always, 0);
	tell("opened %s", sockets >= 4000 ? "enough" : "too few");
	tell("pair %d %d", pair[0], pair[1]);
	use_all();
}

static void *allocate(void *unused)
{
	for (int i = 0; i < 200; i++)
		free(malloc(100));
	return unused;
}

static void malloc_that_opens_in_threads(void)
{
	pthread_t threads[16];
	set(&opens_always, 1);
	for (int i = 0; i < 16; i++)
		threads[i] = begin(allocate, NULL);
	for (int i = 0; i < 16; i++)
		end_of(threads[i]);
	set(&opens_always, 0);
	tell("opened %s", sockets >= 16 * 400 ? "enough" : "too few");
	use_all();
}

static const struct cases_case cases[] = {
	CASE(before_main),
	CASE(malloc_that_opens),
	CASE(malloc_that_always_opens),
	CASE(malloc_that_opens_in_threads),
};

CASES_MAIN(cases)
