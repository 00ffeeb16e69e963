/* test_sharing.c - who else holds a socket, and which epoll set would spin on it: real processes, through a real clerk. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "asked.h"
#include "base/clerk.h"
#include "child.h"
#include "reclaim/sharing.h"
#include "reclaim/sharing_epoll.h"
#include "suspected.h"

static bool parse(const char *line, uint64_t *inode, uint32_t *events)
{
	*inode = 0xdead;
	*events = 0xdead;
	return sl_sharing_parse_epoll(line, inode, events);
}

static void lines_of_an_epoll_set(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		uint64_t inode;
		uint32_t events;
	} lines[] = {
		{"tfd:        5 events:       1b data: ffffffffffffffff  pos:0 ino:2d0a1 sdev:8",
	         0x2d0a1, 0x1b},
		{"tfd:       57 events: 80002019 data:               39  pos:0 ino:ffffffffff "
	         "sdev:9",
	         0xffffffffff, 0x80002019},
		{"tfd: 1234567 events: 40000000 data: 0  pos:-1 ino:1 sdev:0", 1, 0x40000000},
	};
	uint64_t inode;
	uint32_t events;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_true(parse(lines[i].line, &inode, &events));
		assert_true(inode == lines[i].inode);
		assert_int_equal(events, lines[i].events);
	}
}

static void other_lines(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"",
		"pos:\t0",
		"flags:\t02000002",
		"mnt_id:\t15",
		"ino:\t1057",
		"tfd:",
		"tfd: 5",
		"tfd: 5 events:",
		"tfd: 5 events: 19 data: 5",
		"tfd: 5 ino:12 sdev:8",
		" tfd: 5 events: 19 data: 5  pos:0 ino:2d sdev:8",
		"inotify wd:1 ino:2d events:19",
		"events: 19 ino:2d tfd: 5",
	};
	uint64_t inode;
	uint32_t events;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (parse(lines[i], &inode, &events))
			fail_msg("taken for a registration: %s", lines[i]);
	/* Digits end where they end, and no line is long enough to do harm. */
	assert_true(parse("tfd: 5 events: ino:", &inode, &events));
	assert_true(inode == 0 && events == 0);
	assert_true(parse("tfd: 5 events: g1 ino: zz", &inode, &events));
	assert_true(inode == 0 && events == 0);
	assert_true(parse("tfd: 5 events: fffffffffffffffffffffffff ino:fffffffffffffffffffffff",
	                  &inode, &events));
	assert_true(inode == UINT64_MAX && events == UINT32_MAX);
}

static void inodes(void **state)
{
	(void)state;
	int pipe_fds[2];
	struct stat file;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int copy = dup(fd);
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(fstat(fd, &file), 0);
	assert_true(sl_sharing_inode(fd) == file.st_ino && file.st_ino != 0);
	assert_true(sl_sharing_inode(copy) == file.st_ino);
	assert_true(sl_sharing_inode(other) != file.st_ino);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_true(sl_sharing_inode(pipe_fds[0]) == 0);
	assert_true(sl_sharing_inode(-1) == 0);
	close(other);
	assert_true(sl_sharing_inode(other) == 0);
}

/* What was not asked about is not known; nor is what was no socket. */
static void what_nobody_asked_about(void **state)
{
	(void)state;
	need_readable_proc();
	int fds[2] = {socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_STREAM, 0)};
	assert_true(read_about(fds, 1));
	assert_int_equal(sl_sharing_of(&sharing, sl_sharing_inode(fds[0])), SL_SHARING_NONE);
	assert_int_equal(sl_sharing_of(&sharing, sl_sharing_inode(fds[1])), SL_SHARING_UNKNOWN);
	assert_int_equal(sl_sharing_of(&sharing, 0), SL_SHARING_UNKNOWN);
	assert_true(sl_sharing_is_in_epoll(&sharing, sl_sharing_inode(fds[1])));
	assert_true(sl_sharing_is_level_triggered(&sharing, sl_sharing_inode(fds[1])));
	assert_false(sl_sharing_is_in_epoll(&sharing, sl_sharing_inode(fds[0])));
}

/* A child that does something, says so, and lives until it is told. */
struct helper {
	pid_t pid;
	int in, out;
};

typedef void helper_fn(void *context);

static void start_helper(struct helper *helper, helper_fn *fn, void *context)
{
	int up[2], down[2];
	char byte;
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	helper->pid = fork();
	assert_true(helper->pid >= 0);
	if (helper->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		close(down[1]);
		fn(context);
		if (write(up[1], "", 1) == 1)
			(void)!read(down[0], &byte, 1);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	helper->in = up[0];
	helper->out = down[1];
	assert_int_equal(read(helper->in, &byte, 1), 1);
}

static void stop_helper(struct helper *helper)
{
	int status;
	close(helper->out);
	close(helper->in);
	assert_int_equal(waitpid(helper->pid, &status, 0), helper->pid);
	assert_int_equal(status, 0);
}

static void close_it(void *fd)
{
	close(*(int *)fd);
}

static void a_forked_child_has_it(void **state)
{
	(void)state;
	need_readable_proc();
	struct tcp_pair pair;
	struct helper helper, without;
	tcp_open(&pair);
	assert_int_equal(answer_for(pair.client), SL_SHARING_NONE);
	start_helper(&helper, do_nothing, NULL);
	assert_int_equal(answer_for(pair.client), SL_SHARING_SHARED);
	assert_int_equal(answer_for(pair.server), SL_SHARING_SHARED);
	stop_helper(&helper);
	start_helper(&without, close_it, &pair.client);
	assert_int_equal(answer_for(pair.client), SL_SHARING_NONE);
	assert_int_equal(answer_for(pair.server), SL_SHARING_SHARED);
	stop_helper(&without);
	/* A copy of this process's own is none. */
	int copy = dup(pair.client);
	assert_int_equal(answer_for(copy), SL_SHARING_NONE);
	tcp_close(&pair);
	close(copy);
}

static void send_fd(int channel, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec byte = {(char[]){1}, 1};
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(channel, &message, 0), 1);
}

static void receive_one(void *channel)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec room = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &room,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	if (recvmsg(*(int *)channel, &message, 0) != 1)
		_exit(1);
}

/* It was opened after the fork, and came through a socket. */
static void somebody_was_sent_it(void **state)
{
	(void)state;
	need_readable_proc();
	int channel[2];
	struct tcp_pair pair;
	struct helper helper;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), 0);
	/* Sent before the child asks for it: it waits in the channel, where no /proc shows it. */
	tcp_open(&pair);
	send_fd(channel[0], pair.client);
	assert_int_equal(answer_for(pair.client), SL_SHARING_NONE);
	int listener = pair.listener, server = pair.server, client = pair.client;
	pair.listener = pair.server = pair.client = -1;
	int fds[] = {listener, server, client};
	for (int i = 0; i < 3; i++)
		assert_int_equal(fcntl(fds[i], F_SETFD, FD_CLOEXEC), 0);
	start_helper(&helper, receive_one, &channel[1]);
	assert_int_equal(answer_for(client), SL_SHARING_SHARED);
	stop_helper(&helper);
	assert_int_equal(answer_for(client), SL_SHARING_NONE);
}

/* In one socket's set or none; what its registration would do on a hang-up. */
static void check_epoll(int fd, bool is_in, bool is_level)
{
	assert_true(read_about(&fd, 1));
	uint64_t inode = sl_sharing_inode(fd);
	assert_int_equal(sl_sharing_is_in_epoll(&sharing, inode), is_in);
	assert_int_equal(sl_sharing_is_level_triggered(&sharing, inode), is_level);
}

static void control(int set, int operation, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = 0x696e6f3a35ULL /* "ino:5" */};
	assert_int_equal(epoll_ctl(set, operation, fd, &event), 0);
}

static void epoll_sets(void **state)
{
	(void)state;
	struct tcp_pair pair;
	tcp_open(&pair);
	int set = epoll_create1(EPOLL_CLOEXEC);
	check_epoll(pair.client, false, false);
	control(set, EPOLL_CTL_ADD, pair.client, EPOLLIN);
	check_epoll(pair.client, true, true);
	check_epoll(pair.server, false, false);
	control(set, EPOLL_CTL_MOD, pair.client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	check_epoll(pair.client, true, false);
	/* Interest 0 still gets EPOLLHUP and EPOLLERR (epoll_ctl(2)). */
	control(set, EPOLL_CTL_MOD, pair.client, 0);
	check_epoll(pair.client, true, true);
	control(set, EPOLL_CTL_MOD, pair.client, EPOLLET);
	check_epoll(pair.client, true, false);
	/* One shot: armed it would fire, once; when it has, it is off until it is armed again. */
	control(set, EPOLL_CTL_MOD, pair.client, EPOLLOUT | EPOLLONESHOT);
	check_epoll(pair.client, true, true);
	struct epoll_event event;
	assert_int_equal(epoll_wait(set, &event, 1, PATIENCE_MS), 1);
	check_epoll(pair.client, true, false);
	control(set, EPOLL_CTL_MOD, pair.client, EPOLLIN | EPOLLONESHOT);
	check_epoll(pair.client, true, true);
	control(set, EPOLL_CTL_DEL, pair.client, 0);
	check_epoll(pair.client, false, false);
	tcp_close(&pair);
}

static void several_sets(void **state)
{
	(void)state;
	struct tcp_pair pair;
	tcp_open(&pair);
	int edge = epoll_create1(EPOLL_CLOEXEC), level = epoll_create1(EPOLL_CLOEXEC);
	control(edge, EPOLL_CTL_ADD, pair.client, EPOLLIN | EPOLLET);
	check_epoll(pair.client, true, false);
	control(level, EPOLL_CTL_ADD, pair.client, EPOLLIN);
	check_epoll(pair.client, true, true);
	/* Through another number of the same socket. */
	int copy = dup(pair.server);
	control(level, EPOLL_CTL_ADD, copy, EPOLLIN);
	check_epoll(pair.server, true, true);
	/* A registration outlives its number where another one is left (epoll(7)). */
	close(copy);
	check_epoll(pair.server, true, true);
	tcp_close(&pair);
}

/* A set of several thousand: its text is read in pieces. */
static void a_large_set(void **state)
{
	(void)state;
	enum { MANY = 700 };
	static int fds[MANY];
	int set = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < MANY; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
		if (i % 3 > 0)
			control(set, EPOLL_CTL_ADD, fds[i],
			        i % 3 == 1 ? EPOLLIN : EPOLLIN | EPOLLET);
	}
	assert_true(read_about(fds, MANY));
	for (int i = 0; i < MANY; i++) {
		uint64_t inode = sl_sharing_inode(fds[i]);
		assert_int_equal(sl_sharing_is_in_epoll(&sharing, inode), i % 3 > 0);
		assert_int_equal(sl_sharing_is_level_triggered(&sharing, inode), i % 3 == 1);
	}
}

/* The thread that asks is not the first of the process: its fds are looked at, not the clerk's. */
static void *read_on_a_thread(void *fd)
{
	return (void *)(uintptr_t)(read_about(fd, 1) &&
	                           sl_sharing_is_in_epoll(&sharing, sl_sharing_inode(*(int *)fd)));
}

static void asked_by_another_thread(void **state)
{
	(void)state;
	pthread_t thread;
	void *result;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int set = epoll_create1(EPOLL_CLOEXEC);
	control(set, EPOLL_CTL_ADD, fd, EPOLLIN);
	assert_int_equal(pthread_create(&thread, NULL, read_on_a_thread, &fd), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, (void *)1);
}

/* A holder with more numbers than one read of its directory gives, and the socket at the end of them. */
static void fill_up(void *context)
{
	int fd = *(int *)context;
	int top = fcntl(fd, F_DUPFD_CLOEXEC, 900);
	close(fd);
	for (int n = 3; n < 880; n++)
		(void)fcntl(2, F_DUPFD_CLOEXEC, n);
	if (top < 0)
		_exit(1);
}

static void a_holder_of_many(void **state)
{
	(void)state;
	need_readable_proc();
	struct helper helper;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	start_helper(&helper, fill_up, &fd);
	assert_int_equal(answer_for(fd), SL_SHARING_SHARED);
	stop_helper(&helper);
	assert_int_equal(answer_for(fd), SL_SHARING_NONE);
}

/* Many asked about at once. */
static void many_asked_about(void **state)
{
	(void)state;
	need_readable_proc();
	enum { MANY = 600 };
	static int fds[MANY];
	struct helper helper;
	for (int i = 0; i < MANY; i += 2)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	start_helper(&helper, do_nothing, NULL);
	for (int i = 1; i < MANY; i += 2)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(read_about(fds, MANY));
	for (int i = 0; i < MANY; i++)
		assert_int_equal(sl_sharing_of(&sharing, sl_sharing_inode(fds[i])),
		                 i % 2 == 0 ? SL_SHARING_SHARED : SL_SHARING_NONE);
	stop_helper(&helper);
}

/* ---- when it cannot be asked ---- */

static _Atomic bool may_go_on;

static void wait_for_leave(void *unused)
{
	(void)unused;
	while (!atomic_load(&may_go_on))
		usleep(500);
}

static bool is_idle(void *unused)
{
	(void)unused;
	return !sl_clerk_is_asked();
}

static void the_clerk_is_busy(void **state)
{
	(void)state;
	bool is_begun;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	atomic_store(&may_go_on, false);
	assert_false(sl_clerk_ask(wait_for_leave, NULL, 1, &is_begun));
	assert_true(is_begun);
	assert_false(read_about(&fd, 1));
	assert_false(sharing.is_abandoned);
	atomic_store(&may_go_on, true);
	await(is_idle, NULL, "the clerk");
	assert_true(read_about(&fd, 1));
}

/* Not done in time: the clerk goes on in memory that must stay. */
static void not_in_time(void **state)
{
	(void)state;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(sl_sharing_begin(&sharing, &arena, 1));
	sl_sharing_ask(&sharing, sl_sharing_inode(fd));
	bool is_done = sl_sharing_read(&sharing, 0);
	assert_int_equal(sharing.is_abandoned, !is_done);
	await(is_idle, NULL, "the clerk");
}

static void no_clerk_in_child(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sl_clerk_forked();
	CHECK(!read_about(&fd, 1));
	CHECK(!sharing.is_abandoned);
}

static void no_clerk(void **state)
{
	(void)state;
	in_child(no_clerk_in_child);
}

static void no_memory(void **state)
{
	(void)state;
	struct sl_arena none = SL_ARENA(4096, 1);
	struct sl_sharing nothing;
	assert_false(sl_sharing_begin(&nothing, &none, 10));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_of_an_epoll_set),
		TEST(other_lines),
		TEST(inodes),
		TEST(what_nobody_asked_about),
		TEST(a_forked_child_has_it),
		TEST(somebody_was_sent_it),
		TEST(epoll_sets),
		TEST(several_sets),
		TEST(a_large_set),
		TEST(asked_by_another_thread),
		TEST(a_holder_of_many),
		TEST(many_asked_about),
		TEST(the_clerk_is_busy),
		TEST(not_in_time),
		TEST(no_clerk),
		TEST(no_memory),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}

int main(void)
{
	return run_alone(run_all);
}
