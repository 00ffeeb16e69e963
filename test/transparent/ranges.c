/* ranges - many numbers at once: closed in loops and ranges, listed, and up to the limit. The library's own descriptors lie at
 * 1,024 and above: no program may come to harm by them, nor they by a program that closes and copies as it pleases. */
#include "cases.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/select.h>

#include <linux/close_range.h>

#define FIRST_OWN 1024
#define LAST_OWN 1100

static void limit_files(rlim_t soft)
{
	struct rlimit files;
	MUST(getrlimit(RLIMIT_NOFILE, &files));
	files.rlim_cur = soft;
	MUST(setrlimit(RLIMIT_NOFILE, &files));
}

/* A connection more, in a thread of its own: it has a stack that nobody has walked yet. */
static void *connect_once(void *unused)
{
	int ends[2];
	tcp_pair(ends);
	MUST(close(ends[0]));
	MUST(close(ends[1]));
	return unused;
}

static void connect_in_threads(int n)
{
	pthread_t thread;
	for (int i = 0; i < n; i++) {
		if (pthread_create(&thread, NULL, connect_once, NULL) != 0)
			cases_die("pthread_create");
		pthread_join(thread, NULL);
	}
}

/* How many of these numbers a call did not answer with EBADF. */
static int not_bad(int (*call)(int fd), int first, int last)
{
	int n = 0;
	for (int fd = first; fd <= last; fd++)
		n += call(fd) != -1 || errno != EBADF;
	return n;
}

static int dup2_a_socket_there(int fd)
{
	return dup2(3, fd);
}

static int dup3_a_socket_there(int fd)
{
	return dup3(3, fd, O_CLOEXEC);
}

static void closed_up_to_the_limit(void)
{
	int ends[2], closed = 0;
	limit_files(4096);
	tcp_pair(ends);
	CALL(dup2(ends[0], 700));
	for (int fd = 3; fd < 4096; fd++)
		closed += close(fd) == 0;
	tell("closed: %d", closed);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	tcp_pair(ends);
	tell("%d %d", ends[0], ends[1]);
	connect_in_threads(2);
}

static void closed_beyond_the_limit(void)
{
	limit_files(4096);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	limit_files(FIRST_OWN);
	tell("dup2: %d", not_bad(dup2_a_socket_there, FIRST_OWN, LAST_OWN));
	tell("dup3: %d", not_bad(dup3_a_socket_there, FIRST_OWN, LAST_OWN));
	tell("close: %d", not_bad(close, FIRST_OWN, LAST_OWN));
	tell("again: %d", not_bad(close, FIRST_OWN, LAST_OWN));
	connect_in_threads(2);
	limit_files(4096);
	tell("close: %d", not_bad(close, FIRST_OWN, LAST_OWN));
}

static void *fill(void *end)
{
	for (int fd = FIRST_OWN; fd <= LAST_OWN; fd++)
		MUST(dup2(*(int *)end, fd));
	return NULL;
}

/* The program takes every number at which something of ours may lie, and uses what it put there. */
static void copied_to_where_ours_lie(void)
{
	int ends[2], unix_ends[2], wrong = 0;
	char bytes[LAST_OWN + 2] = "";
	limit_files(4096);
	tcp_pair(ends);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, unix_ends));
	fill(&unix_ends[0]);
	connect_in_threads(8);
	for (int fd = FIRST_OWN; fd <= LAST_OWN; fd++) {
		wrong += fcntl(fd, F_GETFD) != 0;
		wrong += write(fd, "abcdefgh" + fd % 8, 1) != 1;
	}
	CALL(read(unix_ends[1], bytes, sizeof(bytes)));
	for (int fd = FIRST_OWN; fd <= LAST_OWN; fd++)
		wrong += bytes[fd - FIRST_OWN] != "abcdefgh"[fd % 8];
	CALL(write(unix_ends[1], bytes, 40));
	connect_in_threads(8);
	for (int i = 0; i < 40; i++)
		wrong += read(FIRST_OWN + i, bytes, 1) != 1;
	CALL(read(FIRST_OWN, bytes, 1));
	for (int fd = FIRST_OWN; fd <= LAST_OWN; fd++)
		wrong += close(fd) != 0;
	for (int fd = FIRST_OWN; fd <= LAST_OWN; fd++)
		wrong += close(fd) != -1 || errno != EBADF;
	tell("wrong: %d", wrong);
	connect_in_threads(2);
}

/* The same with sockets that are watched, and every one of them closed by a range. */
static void sockets_where_ours_lie(void)
{
	int ends[2], wrong = 0;
	char byte;
	limit_files(4096);
	tcp_pair(ends);
	fill(&ends[0]);
	MUST(close(ends[0]));
	for (int fd = FIRST_OWN; fd <= LAST_OWN; fd++) {
		wrong += write(fd, "x", 1) != 1;
		wrong += recv(ends[1], &byte, 1, MSG_WAITALL) != 1;
	}
	connect_in_threads(4);
	CALL(recv(ends[1], &byte, 1, MSG_DONTWAIT));
	CALL(close_range(FIRST_OWN, LAST_OWN - 1, 0));
	CALL(recv(ends[1], &byte, 1, MSG_DONTWAIT));
	CALL(close(LAST_OWN));
	CALL(recv(ends[1], &byte, 1, 0));
	tell("wrong: %d, open: %d", wrong, not_bad(close, FIRST_OWN, LAST_OWN));
}

/* Past the hooks: the library must see by itself that its numbers are the program's now. */
static void copied_there_past_libc(void)
{
	int ends[2], wrong = 0;
	limit_files(4096);
	tcp_pair(ends);
	for (int fd = FIRST_OWN; fd <= LAST_OWN; fd++)
		MUST(syscall(fd % 2 ? SYS_dup2 : SYS_dup3, ends[0], fd, 0));
	connect_in_threads(8);
	char byte;
	CALL(recv(ends[1], &byte, 1, MSG_DONTWAIT));
	CALL(close_range(FIRST_OWN, FIRST_OWN + 20, 0));
	for (int fd = FIRST_OWN; fd <= LAST_OWN; fd++)
		wrong += close(fd) != (fd > FIRST_OWN + 20 ? 0 : -1);
	tell("wrong: %d", wrong);
	connect_in_threads(2);
}

static void closed_there_past_libc(void)
{
	int ends[2];
	limit_files(4096);
	tcp_pair(ends);
	CALL(syscall(SYS_close_range, FIRST_OWN, ~0u, 0));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
	fill(&ends[0]);
	connect_in_threads(8);
	char byte;
	CALL(read(ends[1], &byte, 1));
	CALL(write(ends[1], "x", 1));
	connect_in_threads(8);
	CALL(read(LAST_OWN, &byte, 1));
	closefrom(FIRST_OWN);
	tell("open: %d", not_bad(close, FIRST_OWN, LAST_OWN));
}

static void range_forms(void)
{
	int ends[2];
	tcp_pair(ends);
	CALL(dup2(ends[0], 50));
	CALL(dup2(ends[0], 51));
	CALL(dup2(ends[0], 60));
	CALL(close_range(51, 50, 0));
	CALL(close_range(50, 60, 0x40000000));
	CALL(close_range(50, 60, 1));
	CALL(close_range(50, 60, CLOSE_RANGE_CLOEXEC | 0x100));
	CALL(close_range(51, 60, CLOSE_RANGE_CLOEXEC));
	CALL(fcntl(50, F_GETFD));
	CALL(fcntl(51, F_GETFD));
	CALL(fcntl(60, F_GETFD));
	CALL(close_range(51, 51, 0));
	tell_fds("one of three");
	CALL(close_range(55, 59, 0));
	tell_fds("nothing there");
	CALL(close_range(40, ~0u, 0));
	tell_fds("all above");
	CALL(close_range(2000, 3000, 0));
	CALL(close_range(~0u, ~0u, 0));
	CALL(close_range(~0u, 0, 0));
	CALL(close_range(0, 0, CLOSE_RANGE_CLOEXEC));
	CALL(fcntl(0, F_GETFD));
}

static void closed_from(void)
{
	int ends[2];
	tcp_pair(ends);
	for (int fd = 10; fd < 20; fd++)
		CALL(dup2(ends[fd % 2], fd));
	closefrom(15);
	tell_fds("from 15");
	closefrom(5000);
	tell_fds("from 5000");
	closefrom(10);
	connect_in_threads(1);
	tell_fds("from 10");
	closefrom(-1);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(socket(AF_INET6, SOCK_STREAM, 0));
}

/* As many programs do before they exec. What is listed at 1,024 and above may be ours. */
static void listed_and_closed(void)
{
	int ends[2], wrong = 0;
	tcp_pair(ends);
	CALL(dup2(ends[1], 44));
	DIR *list = opendir("/proc/self/fd");
	for (struct dirent *entry; (entry = readdir(list));) {
		int fd = atoi(entry->d_name);
		if (*entry->d_name == '.' || fd < 3 || fd == dirfd(list))
			continue;
		int result = close(fd);
		if (fd < FIRST_OWN)
			tell("%d: %d", fd, result);
		wrong += result != 0 && errno != EBADF;
	}
	closedir(list);
	tell("wrong: %d", wrong);
	connect_in_threads(2);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

/* The same for the flag that keeps them from a child: ours must bear it. */
static void all_marked_for_exec(void)
{
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	limit_files(4096);
	for (int i = 3; i < 4096; i++)
		(void)fcntl(i, F_SETFD, FD_CLOEXEC);
	CALL(fcntl(fd, F_GETFD));
	connect_in_threads(2);
	pid_t child = fork();
	if (child == 0)
		become("child_of_exec");
	tell_end_of("child", child);
}

static void child_of_exec(void)
{
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void selected(void)
{
	int ends[2];
	fd_set in, out;
	tcp_pair(ends);
	for (int round = 0; round < 100; round++) {
		FD_ZERO(&in);
		FD_ZERO(&out);
		FD_SET(ends[1], &in);
		FD_SET(ends[0], &out);
		int n = select(FD_SETSIZE, &in, &out, NULL, &(struct timeval){.tv_usec = 1000});
		if (n != 1 || FD_ISSET(ends[1], &in) || !FD_ISSET(ends[0], &out))
			tell("round %d: %d", round, n);
	}
	CALL(write(ends[0], "x", 1));
	FD_ZERO(&in);
	FD_SET(ends[1], &in);
	CALL(select(FD_SETSIZE, &in, NULL, NULL, NULL));
	tell("set: %d", !!FD_ISSET(ends[1], &in));
	FD_SET(40, &in);
	CALL(select(FD_SETSIZE, &in, NULL, NULL, NULL));
	CALL(select(-1, &in, NULL, NULL, NULL));
	CALL(select(0, NULL, NULL, NULL, &(struct timeval){0}));
}

static int open_null(void)
{
	return open("/dev/null", O_RDONLY);
}

static int dup_zero(void)
{
	return dup(0);
}

static int open_tcp(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int open_unix(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static int dup_above(void)
{
	return fcntl(0, F_DUPFD, 20);
}

/* Numbers in order until there is none; then all closed again but the first. */
static void until_none_is_left(const char *what, int (*take)(void))
{
	int fd, last = -1, n = 0, wrong = 0;
	while ((fd = take()) >= 0) {
		wrong += fd <= last;
		last = fd;
		n++;
	}
	tell("%s: %d up to %d, wrong %d, then %s", what, n, last, wrong, strerrorname_np(errno));
	CALL(accept(3, NULL, NULL));
	CALL(pipe((int[2]){0}));
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0}));
	CALL(dup2(3, last));
	MUST(close_range(10, ~0u, 0));
}

static void lowered_limit(void)
{
	struct sockaddr_in address;
	int fd = listener(&address);
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	CALL(dup2(fd, 500));
	limit_files(64);
	CALL(fcntl(500, F_GETFD));
	CALL(dup2(fd, 63));
	CALL(dup2(fd, 64));
	CALL(dup2(fd, 500));
	CALL(close(63));
	until_none_is_left("open", open_null);
	until_none_is_left("dup", dup_zero);
	until_none_is_left("tcp", open_tcp);
	until_none_is_left("unix", open_unix);
	until_none_is_left("above", dup_above);
	CALL(poll((struct pollfd[65]){0}, 65, 0));
	limit_files(0);
	until_none_is_left("nothing", open_tcp);
	limit_files(64);
	connect_in_threads(2);
}

static const struct cases_case cases[] = {
	CASE(closed_up_to_the_limit),
	CASE(closed_beyond_the_limit),
	CASE(copied_to_where_ours_lie),
	CASE(sockets_where_ours_lie),
	CASE(copied_there_past_libc),
	CASE(closed_there_past_libc),
	CASE(range_forms),
	CASE(closed_from),
	CASE(listed_and_closed),
	CASE(all_marked_for_exec),
	CASE(child_of_exec),
	CASE(selected),
	CASE(lowered_limit),
};

CASES_MAIN(cases)
