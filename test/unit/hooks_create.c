/* hooks_create.c - socket, socketpair, accept, accept4; and what all doors share: the guard, the switch, fork. */
#include "doors.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <search.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/guard.h"
#include "base/options.h"
#include "base/sys.h"
#include "hooks/entry.h"
#include "ledger/sites.h"
#include "tcp.h"
#include "watch/worker.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Before our constructor: each door then looks its own function up. */
static struct {
	int made, sent, got, closed;
} early;

__attribute__((constructor(101))) static void call_before_start(void)
{
	int fds[2];
	char byte = 'x';
	early.made = socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	early.sent = (int)write(fds[0], &byte, 1);
	early.got = (int)read(fds[1], &byte, 1);
	early.closed = close(fds[0]) + close(fds[1]);
}

static void before_start_calls_pass(void **state)
{
	(void)state;
	assert_int_equal(early.made, 0);
	assert_int_equal(early.sent, 1);
	assert_int_equal(early.got, 1);
	assert_int_equal(early.closed, 0);
}

static void test_hook_socket(void **state)
{
	(void)state;
	const struct {
		int domain, type, protocol;
		enum sl_kind kind;
	} rows[] = {
		{AF_INET, SOCK_STREAM, 0, SL_KIND_TCP},
		{AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP, SL_KIND_TCP},
		{AF_INET, SOCK_DGRAM, 0, SL_KIND_UDP},
		{AF_UNIX, SOCK_STREAM, 0, SL_KIND_UNIX},
		{AF_NETLINK, SOCK_RAW, 0, SL_KIND_NETLINK},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint64_t before = sl_fdtable_opened(rows[i].kind), now_ms = sl_clock_ms();
		int fd = UNTOUCHED(socket(rows[i].domain, rows[i].type, rows[i].protocol));
		assert_true(fd >= 0);
		assert_true(is_seen(fd));
		struct sl_fd_record record = record_of(fd);
		assert_int_equal(record.kind, rows[i].kind);
		assert_int_equal(record.flags, 0);
		assert_int_equal(record.last_io, 0);
		assert_int_equal(record.dest, 0);
		assert_in_range(record.opened_at_ms, now_ms, sl_clock_ms());
		assert_int_equal(sl_fdtable_opened(rows[i].kind), before + 1);
		assert_int_equal(sl_sys_fcntl(fd, F_GETFL, 0) & O_NONBLOCK,
		                 rows[i].type & SOCK_NONBLOCK);
		assert_int_equal(close(fd), 0);
	}
	uint64_t before = sl_fdtable_opened(SL_KIND_TCP);
	FAILS_AS(SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 9999),
	         socket(AF_INET, SOCK_STREAM, 9999));
	FAILS_AS(SL_SYS3(SYS_socket, 12345, SOCK_STREAM, 0), socket(12345, SOCK_STREAM, 0));
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), before);
}

/* The test's own code, which must be the first frame of the stack. */
typedef int open_fn(void);
static int accept_from;

__attribute__((noinline)) static int socket_here(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	__asm__ volatile("" ::: "memory"); /* no tail call: this frame stays */
	return fd;
}

__attribute__((noinline)) static int accept_here(void)
{
	int fd = accept(accept_from, NULL, NULL);
	__asm__ volatile("" ::: "memory");
	return fd;
}

__attribute__((noinline)) static int accept4_here(void)
{
	int fd = accept4(accept_from, NULL, NULL, 0);
	__asm__ volatile("" ::: "memory");
	return fd;
}

static int open_one(const void *open, const void *fd)
{
	*(int *)fd = (*(open_fn *const *)open)();
	return 1; /* not found: go on */
}

/* False: there are no stacks on this machine. */
static bool check_first_frame(open_fn *open)
{
	int fds[2] = {-1, -1};
	size_t n = COUNT_OF(fds);
	/* A loop that no compiler unrolls, for it is libc's: one call in the code, twice in time. */
	assert_null(lfind(&open, fds, &n, sizeof(fds[0]), open_one));
	struct sl_fd_record first = record_of(fds[0]), second = record_of(fds[1]);
	assert_int_equal(first.site, second.site);
	assert_true(opened_by(first.site) >= 2);
	assert_true(first.thread != 0);
	assert_true(sl_site_knows_thread(first.site, first.thread));
	assert_int_equal(close(fds[0]) + close(fds[1]), 0);
	if (first.site == SL_SITE_NO_STACK)
		return false;
	const struct sl_site *site = sl_site_get(first.site);
	assert_int_equal(site->kind, SL_STACK_NATIVE);
	assert_in_range(site->words[0], (uintptr_t)open, (uintptr_t)open + 256);
	return true;
}

static void a_site_begins_at_the_caller(void **state)
{
	(void)state;
	uint16_t port;
	int clients[4];
	accept_from = tcp_listen(false, 8, &port);
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		clients[i] = tcp_connect(false, port);
	bool has_stacks = check_first_frame(socket_here) && check_first_frame(accept_here) &&
	                  check_first_frame(accept4_here);
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		assert_int_equal(close(clients[i]), 0);
	assert_int_equal(close(accept_from), 0);
	if (!has_stacks) {
		print_message("libunwind.so.8 is not there: no stack to look at\n");
		skip();
	}
}

static void test_hook_socketpair(void **state)
{
	(void)state;
	int fds[2];
	uint64_t before = sl_fdtable_opened(SL_KIND_UNIX);
	assert_int_equal(UNTOUCHED(socketpair(AF_UNIX, SOCK_STREAM, 0, fds)), 0);
	assert_int_equal(sl_fdtable_opened(SL_KIND_UNIX), before + 2);
	for (size_t i = 0; i < COUNT_OF(fds); i++) {
		assert_true(is_seen(fds[i]));
		assert_int_equal(record_of(fds[i]).kind, SL_KIND_UNIX);
		assert_int_equal(close(fds[i]), 0);
	}
	FAILS_AS(SL_SYS4(SYS_socketpair, AF_INET, SOCK_STREAM, 0, fds),
	         socketpair(AF_INET, SOCK_STREAM, 0, fds));
	FAILS_AS(SL_SYS4(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, NULL),
	         socketpair(AF_UNIX, SOCK_STREAM, 0, NULL));
	assert_int_equal(sl_fdtable_opened(SL_KIND_UNIX), before + 2);
}

/* accept() and accept4() behind one shape. */
typedef int accept_fn(int fd, struct sockaddr *address, socklen_t *length);

static int by_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	return accept(fd, address, length);
}

static int by_accept4(int fd, struct sockaddr *address, socklen_t *length)
{
	return accept4(fd, address, length, SOCK_CLOEXEC);
}

static int by_kernel(int fd)
{
	return (int)SL_SYS4(SYS_accept4, fd, NULL, NULL, 0);
}

static void check_accepted(accept_fn *take)
{
	uint16_t port;
	struct sockaddr_in from = {0}, self = {0};
	socklen_t n = sizeof(from);
	int listener = tcp_listen(false, 4, &port);
	int client = tcp_connect(false, port);
	int fd = UNTOUCHED(take(listener, (struct sockaddr *)&from, &n));
	assert_true(is_seen(fd));
	struct sl_fd_record record = record_of(fd);
	assert_int_equal(record.kind, SL_KIND_TCP);
	assert_int_equal(record.flags, SL_FD_IN | SL_FD_CONNECTED);
	assert_true(sl_site_knows_thread(record.site, record.thread));
	assert_true(opened_by(record.site) > 0);
	unsigned self_n = sizeof(self);
	assert_int_equal(sl_sys_getsockname(client, &self, &self_n), 0);
	assert_int_equal(n, self_n);
	assert_memory_equal(&from, &self, n);
	assert_int_equal(close(fd) + close(client) + close(listener), 0);
}

static void check_refused(accept_fn *take)
{
	uint16_t port;
	int pipes[2];
	uint64_t before = sl_fdtable_opened(SL_KIND_TCP);
	int listener = tcp_listen(false, 4, &port);
	int plain = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	FAILS_AS(by_kernel(listener), take(listener, NULL, NULL)); /* EAGAIN */
	FAILS_AS(by_kernel(plain), take(plain, NULL, NULL));       /* EINVAL */
	FAILS_AS(by_kernel(pipes[0]), take(pipes[0], NULL, NULL)); /* ENOTSOCK */
	FAILS_AS(by_kernel(-1), take(-1, NULL, NULL));
	assert_false(is_seen(pipes[0]));
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), before + 2);
	assert_int_equal(close(pipes[0]) + close(pipes[1]) + close(plain) + close(listener), 0);
}

/* A listener made past the doors is recorded at the first accept(); a socket that does not listen is not. */
static void check_unseen_listener(accept_fn *take)
{
	struct sockaddr_in place = {.sin_family = AF_INET};
	struct sl_fd_record record;
	unsigned n = sizeof(place);
	uint64_t adopted = sl_fdtable_adopted();
	place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int listener = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0);
	FAILS_AS(by_kernel(listener), take(listener, NULL, NULL));
	assert_false(sl_fdtable_get(listener, &record));
	assert_int_equal(SL_SYS3(SYS_bind, listener, &place, n), 0);
	assert_int_equal(SL_SYS2(SYS_listen, listener, 4), 0);
	assert_int_equal(sl_sys_getsockname(listener, &place, &n), 0);
	int client = tcp_connect(false, ntohs(place.sin_port));
	int fd = take(listener, NULL, NULL);
	assert_true(is_seen(fd));
	assert_int_equal(record_of(fd).kind, SL_KIND_TCP);
	record = record_of(listener);
	assert_int_equal(record.flags, SL_FD_ADOPTED | SL_FD_LISTENING);
	assert_int_equal(record.site, SL_SITE_ADOPTED);
	assert_int_equal(sl_fdtable_adopted(), adopted + 1);
	assert_int_equal(close(fd) + close(client) + close(listener), 0);
}

/* What comes from a UNIX listener is a UNIX socket. */
static void check_kind(accept_fn *take)
{
	struct sockaddr_un place = {
		.sun_family = AF_UNIX}; /* bound to nothing: an abstract name is chosen */
	socklen_t n = sizeof(place);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&place, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&place, &n), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&place, n), 0);
	int fd = take(listener, NULL, NULL);
	assert_int_equal(record_of(fd).kind, SL_KIND_UNIX);
	assert_int_equal(close(fd) + close(client) + close(listener), 0);
}

static void check_accept(accept_fn *take)
{
	check_accepted(take);
	check_refused(take);
	check_unseen_listener(take);
	check_kind(take);
}

static void test_hook_accept(void **state)
{
	(void)state;
	check_accept(by_accept);
}

static void test_hook_accept4(void **state)
{
	(void)state;
	check_accept(by_accept4);
	uint16_t port;
	int listener = tcp_listen(false, 4, &port), client = tcp_connect(false, port);
	FAILS_AS(SL_SYS4(SYS_accept4, listener, NULL, NULL, 0x1234),
	         accept4(listener, NULL, NULL, 0x1234));
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(sl_sys_fcntl(fd, F_GETFL, 0) & O_NONBLOCK);
	assert_int_equal(sl_sys_fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
	assert_int_equal(close(fd) + close(client) + close(listener), 0);
}

/* What all doors share */

static struct {
	int made, copy, accepted, listener;
	bool was_held;
} in_handler;

static void open_from_handler(int number)
{
	(void)number;
	in_handler.made = socket(AF_INET, SOCK_STREAM, 0);
	in_handler.copy = dup(in_handler.made);
	in_handler.accepted = accept(in_handler.listener, NULL, NULL);
	in_handler.was_held = sl_guard_is_held();
}

/* A handler may come while the library works for the thread it interrupts: its calls give up the stack only. */
static void a_reentered_hook_gives_up_its_stack_only(void **state)
{
	(void)state;
	uint16_t port;
	in_handler.listener = tcp_listen(false, 4, &port);
	int client = tcp_connect(false, port);
	uint64_t before = opened_by(SL_SITE_NO_STACK);
	assert_true(signal(SIGUSR2, open_from_handler) != SIG_ERR);
	sl_guard_hold_for_good();
	errno = ERRNO_BEFORE;
	(void)SL_SYS3(SYS_tgkill, sl_sys_getpid(), sl_sys_gettid(), SIGUSR2);
	assert_int_equal(errno, ERRNO_BEFORE);
	bool is_held = sl_guard_is_held();
	sl_guard_holder = 0;
	assert_true(is_held && in_handler.was_held);
	const int fds[] = {in_handler.made, in_handler.copy, in_handler.accepted};
	for (size_t i = 0; i < COUNT_OF(fds); i++) {
		assert_true(is_seen(fds[i]));
		assert_int_equal(record_of(fds[i]).kind, SL_KIND_TCP);
		assert_int_equal(record_of(fds[i]).site, SL_SITE_NO_STACK);
		assert_int_equal(close(fds[i]), 0);
	}
	assert_int_equal(opened_by(SL_SITE_NO_STACK), before + 2);
	assert_int_equal(close(client) + close(in_handler.listener), 0);
}

/* A jump out of a handler has left the frame that held it, which lay deeper than whoever asks now. */
static void a_guard_that_was_left_behind_is_free(void **state)
{
	(void)state;
	sl_guard_holder = (uintptr_t)__builtin_frame_address(0) - 65536;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(sl_guard_holder, 0);
	if (!is_sanitized())
		assert_int_not_equal(record_of(fd).site, SL_SITE_NO_STACK);
	assert_int_equal(close(fd), 0);
}

static void a_hook_from_a_handler_leaves_the_guard_free(void **state)
{
	(void)state;
	in_handler.listener = -1;
	assert_true(signal(SIGUSR2, open_from_handler) != SIG_ERR);
	(void)SL_SYS3(SYS_tgkill, sl_sys_getpid(), sl_sys_gettid(), SIGUSR2);
	assert_false(in_handler.was_held || sl_guard_holder != 0);
	assert_true(is_seen(in_handler.made) && is_seen(in_handler.copy));
	assert_int_equal(close(in_handler.made) + close(in_handler.copy), 0);
}

/* Off: as if we were not there. */
static void switched_off_all_passes_through(void **state)
{
	(void)state;
	uint16_t port;
	int pair[2];
	uint64_t before = sl_fdtable_opened(SL_KIND_TCP) + sl_fdtable_opened(SL_KIND_UNIX);
	atomic_store(&sl_hooks_are_live, false);
	int listener = tcp_listen(false, 4, &port), client = tcp_connect(false, port);
	int server = accept(listener, NULL, NULL), copy = dup(client);
	int made = socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	ssize_t sent = send(client, "x", 1, 0);
	char byte = 0;
	ssize_t got = recv(server, &byte, 1, 0);
	const int fds[] = {listener, client, server, copy, pair[0], pair[1]};
	unsigned seen = 0, closed = 0;
	for (size_t i = 0; i < COUNT_OF(fds); i++) {
		seen += is_seen(fds[i]);
		closed += close(fds[i]) == 0 && !is_open(fds[i]);
	}
	atomic_store(&sl_hooks_are_live, true);
	assert_int_equal(made, 0);
	assert_true(sent == 1 && got == 1 && byte == 'x');
	assert_int_equal(seen, 0);
	assert_int_equal(closed, COUNT_OF(fds));
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP) + sl_fdtable_opened(SL_KIND_UNIX), before);
}

static int open_until_full(void *unused)
{
	(void)unused;
	struct rlimit few = {64, 64};
	int fds[64], n = 0;
	NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
	while (n < 64 && (fds[n] = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0)
		n++;
	NEED(n > 0 && n < 64 && errno == EMFILE);
	errno = 0;
	NEED(accept(fds[0], NULL, NULL) == -1 && errno != 0);
	errno = 0;
	NEED(dup(fds[0]) == -1 && errno == EMFILE);
	errno = 0;
	NEED(fcntl(fds[0], F_DUPFD, 0) == -1 && errno == EMFILE);
	NEED(close(fds[0]) == 0);
	/* Not a TCP one: the worker would start in this child and open files, too. */
	NEED(socket(AF_UNIX, SOCK_STREAM, 0) == fds[0]);
	NEED(is_seen(fds[0]));
	return 0;
}

static void out_of_numbers_the_error_is_the_kernels(void **state)
{
	(void)state;
	assert_int_equal(in_fork(open_until_full, NULL), 0);
}

/* raise_nofile=: the worker raises the limit once, and the call is tried once more. */

#define FEW 64
#define MORE 70

enum want { WANT_SOCKET, WANT_SOCKETPAIR, WANT_ACCEPT, WANT_ACCEPT4, WANT_COUNT };

static int open_one_more(enum want want, int listener)
{
	int fds[2];
	switch (want) {
	case WANT_SOCKET:
		return socket(AF_INET, SOCK_STREAM, 0);
	case WANT_SOCKETPAIR:
		return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 ? fds[0] : -1;
	case WANT_ACCEPT:
		return accept(listener, NULL, NULL);
	default:
		return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	}
}

static bool is_raised(void *unused)
{
	struct rlimit now;
	(void)unused;
	return getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == MORE;
}

static int open_past_the_limit(void *context)
{
	enum want want = *(enum want *)context;
	struct rlimit few = {FEW, 1000};
	uint16_t port;
	int listener = tcp_listen(false, 8, &port); /* the child's worker runs by now */
	int client = tcp_connect(false, port);
	NEED(sl_worker_is_running() && listener >= 0 && client >= 0);
	NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
	while (sl_sys_open("/dev/null", O_RDONLY, 0) >= 0)
		;
	errno = 0; /* not asked for: the error is the kernel's */
	NEED(open_one_more(want, listener) == -1 && errno == EMFILE);
	sl_options.raise_nofile = MORE;
	errno = ERRNO_BEFORE;
	int fd = open_one_more(want, listener);
	if (fd < 0 &&
	    holds_soon(is_raised, NULL)) /* too late for that call, which waits for a moment only */
		fd = open_one_more(want, listener);
	NEED(fd == FEW && is_seen(fd) && errno == EMFILE);
	NEED(record_of(fd).kind == (want == WANT_SOCKETPAIR ? SL_KIND_UNIX : SL_KIND_TCP));
	NEED(getrlimit(RLIMIT_NOFILE, &few) == 0 && few.rlim_cur == MORE);
	while (sl_sys_open("/dev/null", O_RDONLY, 0) >= 0)
		;
	errno = 0; /* once, and no more */
	NEED(open_one_more(WANT_SOCKET, listener) == -1 && errno == EMFILE);
	return 0;
}

static void out_of_numbers_the_limit_is_raised_where_asked(void **state)
{
	(void)state;
	for (enum want want = WANT_SOCKET; want < WANT_COUNT; want++)
		assert_int_equal(in_fork(open_past_the_limit, &want), 0);
}

/* In a child the ledger goes on, and the worker comes back with the first TCP socket. */
static int open_in_child(void *context)
{
	int inherited = *(int *)context;
	NEED(is_seen(inherited));
	NEED(!sl_worker_is_running());
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	NEED(fd >= 0 && is_seen(fd) && !sl_worker_is_running());
	fd = socket(AF_INET, SOCK_STREAM, 0);
	NEED(fd >= 0 && is_seen(fd) && sl_worker_is_running());
	NEED(close(inherited) == 0 && !is_seen(inherited));
	return 0;
}

static void a_forked_child_has_its_own_ledger_and_worker(void **state)
{
	(void)state;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(in_fork(open_in_child, &fd), 0);
	assert_true(is_seen(fd));
	assert_true(sl_worker_is_running());
	assert_int_equal(close(fd), 0);
}

/* Past fork() and its handlers: only the wiped page tells. */
static void a_cloned_child_finds_out_by_itself(void **state)
{
	(void)state;
	int fd = socket(AF_INET, SOCK_STREAM, 0), status = -1;
	long child = SL_SYS5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		int made = socket(AF_UNIX, SOCK_STREAM, 0);
		int is_good = made >= 0 && is_seen(made) && close(fd) == 0 && !is_seen(fd);
		(void)SL_SYS1(SYS_exit_group, is_good ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(SL_SYS4(SYS_wait4, child, &status, 0, NULL), child);
	assert_int_equal(status, 0);
	assert_true(is_seen(fd));
	assert_int_equal(close(fd), 0);
}

static void block_in_accept(int fd)
{
	(void)accept(fd, NULL, NULL);
}

static void block_in_accept4(int fd)
{
	(void)accept4(fd, NULL, NULL, 0);
}

static void a_thread_cancelled_in_accept_leaves_nothing_behind(void **state)
{
	(void)state;
	skip_where_cancelling_fails();
	uint16_t port;
	int listener = tcp_listen(false, 4, &port);
	for (int is_asynchronous = 0; is_asynchronous < 2; is_asynchronous++) {
		cancel_in(block_in_accept, listener, is_asynchronous);
		cancel_in(block_in_accept4, listener, is_asynchronous);
	}
	assert_true(is_seen(listener));
	int client = tcp_connect(false, port), fd = accept(listener, NULL, NULL);
	assert_true(is_seen(fd));
	assert_int_equal(in_fork(open_in_child, &fd), 0); /* no lock was left to fork() */
	assert_int_equal(close(fd) + close(client) + close(listener), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_start_calls_pass),
		cmocka_unit_test(test_hook_socket),
		cmocka_unit_test(a_site_begins_at_the_caller),
		cmocka_unit_test(test_hook_socketpair),
		cmocka_unit_test(test_hook_accept),
		cmocka_unit_test(test_hook_accept4),
		cmocka_unit_test(a_reentered_hook_gives_up_its_stack_only),
		cmocka_unit_test(a_guard_that_was_left_behind_is_free),
		cmocka_unit_test(a_hook_from_a_handler_leaves_the_guard_free),
		cmocka_unit_test(switched_off_all_passes_through),
		cmocka_unit_test(out_of_numbers_the_error_is_the_kernels),
		cmocka_unit_test(out_of_numbers_the_limit_is_raised_where_asked),
		cmocka_unit_test(a_forked_child_has_its_own_ledger_and_worker),
		cmocka_unit_test(a_cloned_child_finds_out_by_itself),
		cmocka_unit_test(a_thread_cancelled_in_accept_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
