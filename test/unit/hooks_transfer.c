/* hooks_transfer.c - bytes in and out: what is noted of each call, and what is not. */
#include "doors.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/sys.h"
#include "outs.h"
#include "racers.h"
#include "tcp.h"

#define TEXT "hello"
#define TEXT_BYTES 5

ssize_t __read(int fd, void *bytes, size_t n);
ssize_t __read_chk(int fd, void *bytes, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *bytes, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *bytes, size_t n, size_t room, int flags, struct sockaddr *from,
                       socklen_t *length);

/* Each function that takes bytes in, behind one shape. */
typedef ssize_t in_fn(int fd, void *bytes, size_t n);

static ssize_t in_read(int fd, void *bytes, size_t n)
{
	return read(fd, bytes, n);
}

static ssize_t in___read_chk(int fd, void *bytes, size_t n)
{
	return __read_chk(fd, bytes, n, n);
}

static ssize_t in_readv(int fd, void *bytes, size_t n)
{
	struct iovec parts[] = {{bytes, 0}, {bytes, n}};
	return readv(fd, parts, 2);
}

static ssize_t in_recv(int fd, void *bytes, size_t n)
{
	return recv(fd, bytes, n, 0);
}

static ssize_t in___recv_chk(int fd, void *bytes, size_t n)
{
	return __recv_chk(fd, bytes, n, n, 0);
}

static ssize_t in_recvfrom(int fd, void *bytes, size_t n)
{
	return recvfrom(fd, bytes, n, 0, NULL, NULL);
}

static ssize_t in___recvfrom_chk(int fd, void *bytes, size_t n)
{
	return __recvfrom_chk(fd, bytes, n, n, 0, NULL, NULL);
}

static ssize_t in_recvmsg(int fd, void *bytes, size_t n)
{
	struct iovec parts[] = {{bytes, 0}, {bytes, n}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	return recvmsg(fd, &message, 0);
}

static ssize_t in_recvmmsg(int fd, void *bytes, size_t n)
{
	struct iovec part = {bytes, n};
	struct mmsghdr messages = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
	int got = recvmmsg(fd, &messages, 1, 0, NULL);
	return got < 1 ? got : (ssize_t)messages.msg_len;
}

static ssize_t in_splice(int fd, void *bytes, size_t n)
{
	int pipes[2];
	assert_int_equal(SL_SYS2(SYS_pipe2, pipes, 0), 0);
	ssize_t got = splice(fd, NULL, pipes[1], NULL, n, 0);
	if (got > 0)
		assert_int_equal(sl_sys_read(pipes[0], bytes, n), got);
	(void)sl_sys_close(pipes[0]);
	(void)sl_sys_close(pipes[1]);
	return got;
}

/* The last I/O call noted is of this kind, and of this tick. */
static void assert_noted(int fd, enum sl_io io)
{
	assert_int_equal(record_of(fd).last_io, atomic_load(&sl_fd_tick) << SL_IO_BITS | io);
}

static bool has_eof(int fd)
{
	return record_of(fd).flags & SL_FD_EOF;
}

static void peer_sends(struct tcp_pair *pair)
{
	assert_int_equal(sl_sys_write(pair->server, TEXT, TEXT_BYTES), TEXT_BYTES);
	tcp_await_unread(pair->client, TEXT_BYTES);
}

static void check_bytes_in(in_fn *in)
{
	struct tcp_pair pair;
	char bytes[16] = "";
	tcp_open(&pair);
	peer_sends(&pair);
	assert_int_equal(record_of(pair.client).last_io, 0);
	assert_int_equal(UNTOUCHED(in(pair.client, bytes, 0)), 0); /* asked for nothing: no end */
	assert_false(has_eof(pair.client));
	assert_int_equal(UNTOUCHED(in(pair.client, bytes, sizeof(bytes))), TEXT_BYTES);
	assert_string_equal(bytes, TEXT);
	assert_noted(pair.client, SL_IO_READ);
	assert_false(has_eof(pair.client));
	atomic_fetch_add(&sl_fd_tick, 1); /* as the worker does at each sweep */
	peer_sends(&pair);
	assert_int_equal(in(pair.client, bytes, sizeof(bytes)), TEXT_BYTES);
	assert_noted(pair.client, SL_IO_READ);
	assert_int_equal(record_of(pair.server).last_io, 0);
	tcp_close(&pair);
}

static void check_end_of_file(in_fn *in)
{
	struct tcp_pair pair;
	char byte;
	tcp_open(&pair);
	assert_int_equal(close(pair.server), 0);
	pair.server = -1;
	assert_int_equal(UNTOUCHED(in(pair.client, &byte, 1)), 0);
	assert_noted(pair.client, SL_IO_READ);
	assert_int_equal(record_of(pair.client).flags, SL_FD_OUT | SL_FD_CONNECTED | SL_FD_EOF);
	tcp_close(&pair);
}

static void check_nothing_in(in_fn *in)
{
	struct tcp_pair pair;
	char byte;
	int plain[2];
	tcp_open(&pair);
	assert_int_equal(fcntl(pair.client, F_SETFL, O_NONBLOCK), 0);
	FAILS_AS(sl_sys_read(pair.client, &byte, 1), in(pair.client, &byte, 1)); /* EAGAIN */
	assert_noted(pair.client, SL_IO_READ);
	assert_false(has_eof(pair.client));
	FAILS_AS(sl_sys_read(-1, &byte, 1), in(-1, &byte, 1));
	FAILS_AS(sl_sys_read(INT32_MAX, &byte, 1), in(INT32_MAX, &byte, 1));
	assert_int_equal(SL_SYS4(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, plain), 0);
	assert_int_equal(sl_sys_write(plain[1], TEXT, 1), 1);
	assert_int_equal(UNTOUCHED(in(plain[0], &byte, 1)), 1); /* not tracked */
	assert_int_equal(byte, TEXT[0]);
	assert_false(is_seen(plain[0]));
	(void)sl_sys_close(plain[0]);
	(void)sl_sys_close(plain[1]);
	tcp_close(&pair);
}

/* Only on TCP does 0 bytes mean that the peer is done. */
static void check_empty_datagram(in_fn *in)
{
	int pair[2];
	char byte;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	assert_int_equal(send(pair[1], "", 0, 0), 0);
	if (in != in_splice) { /* which knows streams only */
		assert_int_equal(in(pair[0], &byte, 1), 0);
		assert_noted(pair[0], SL_IO_READ);
	}
	assert_int_equal(record_of(pair[0]).flags, 0);
	assert_int_equal(close(pair[0]) + close(pair[1]), 0);
}

static void check_in(in_fn *in)
{
	check_bytes_in(in);
	check_end_of_file(in);
	check_nothing_in(in);
	check_empty_datagram(in);
}

/* The other arguments reach the kernel, and what it writes the program. */
static void check_sender(void)
{
	struct sockaddr_in place = {.sin_family = AF_INET}, from = {0};
	socklen_t n = sizeof(place);
	char byte;
	place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&place, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&place, &n), 0);
	assert_int_equal(UNTOUCHED(sendto(fd, "x", 1, 0, (struct sockaddr *)&place, n)), 1);
	assert_noted(fd, SL_IO_WRITE);
	assert_int_equal(recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from, &n), 1);
	assert_noted(fd, SL_IO_READ);
	assert_int_equal(n, sizeof(place));
	assert_memory_equal(&from, &place, n);
	FAILS_AS(SL_SYS5(SYS_recvfrom, fd, &byte, 1, MSG_DONTWAIT, NULL),
	         recvfrom(fd, &byte, 1, MSG_DONTWAIT, NULL, NULL));
	assert_int_equal(close(fd), 0);
}

static void has_message_in_error_queue(const struct tcp_pair *pair)
{
	char bytes[TEXT_BYTES];
	struct pollfd errors = {pair->client, 0, 0}; /* POLLERR comes unasked */
	assert_int_equal(send(pair->client, TEXT, TEXT_BYTES, MSG_ZEROCOPY), TEXT_BYTES);
	assert_int_equal(sl_sys_read(pair->server, bytes, sizeof(bytes)), TEXT_BYTES);
	assert_int_equal(sl_sys_poll(&errors, 1, PATIENCE_MS), 1);
}

/* A message of the error queue has no bytes, and is no end of file. MSG_ZEROCOPY leaves one for each send(). */
static void check_error_queue(void)
{
	struct tcp_pair pair;
	char control[128], bytes[8];
	int on = 1;
	tcp_open(&pair);
	if (setsockopt(pair.client, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) != 0) {
		print_message("no SO_ZEROCOPY here: the error queue is left out\n");
		tcp_close(&pair);
		return;
	}
	has_message_in_error_queue(&pair);
	struct iovec part = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control,
	                         .msg_controllen = sizeof(control)};
	assert_int_equal(recvmsg(pair.client, &message, MSG_ERRQUEUE), 0);
	assert_true(message.msg_controllen > 0);
	assert_false(has_eof(pair.client));
	has_message_in_error_queue(&pair);
	assert_int_equal(recv(pair.client, bytes, sizeof(bytes), MSG_ERRQUEUE), 0);
	has_message_in_error_queue(&pair);
	assert_int_equal(recvfrom(pair.client, bytes, sizeof(bytes), MSG_ERRQUEUE, NULL, NULL), 0);
	assert_false(has_eof(pair.client));
	tcp_close(&pair);
}

/* Several at once; the end of file may come as the last of them. */
static void check_many_in(void)
{
	struct tcp_pair pair;
	char bytes[2][TEXT_BYTES];
	struct iovec parts[2] = {{bytes[0], TEXT_BYTES}, {bytes[1], TEXT_BYTES}};
	struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &parts[0], .msg_iovlen = 1}},
	                              {.msg_hdr = {.msg_iov = &parts[1], .msg_iovlen = 1}}};
	tcp_open(&pair);
	peer_sends(&pair);
	assert_int_equal(close(pair.server), 0);
	pair.server = -1;
	assert_int_equal(UNTOUCHED(recvmmsg(pair.client, messages, 2, 0, NULL)), 2);
	assert_int_equal(messages[0].msg_len, TEXT_BYTES);
	assert_int_equal(messages[1].msg_len, 0);
	assert_true(has_eof(pair.client));
	tcp_close(&pair);
}

static void test_hook_read(void **state)
{
	(void)state;
	check_in(in_read);
}

static void test_hook___read(void **state)
{
	(void)state;
	check_in(__read);
}

static void test_hook___read_chk(void **state)
{
	(void)state;
	check_in(in___read_chk);
}

static void test_hook_readv(void **state)
{
	(void)state;
	check_in(in_readv);
}

static void test_hook_recv(void **state)
{
	(void)state;
	check_in(in_recv);
}

static void test_hook___recv_chk(void **state)
{
	(void)state;
	check_in(in___recv_chk);
}

static void test_hook_recvfrom(void **state)
{
	(void)state;
	check_in(in_recvfrom);
	check_sender();
}

static void test_hook___recvfrom_chk(void **state)
{
	(void)state;
	check_in(in___recvfrom_chk);
}

static void test_hook_recvmsg(void **state)
{
	(void)state;
	check_in(in_recvmsg);
	check_error_queue();
}

static void test_hook_recvmmsg(void **state)
{
	(void)state;
	check_in(in_recvmmsg);
	check_many_in();
}

/* Bytes out: each function of outs.c */

static void check_out(const char *name)
{
	out_fn *out = out_by(name);
	struct tcp_pair pair;
	char bytes[16] = "";
	int plain[2];
	tcp_open(&pair);
	assert_int_equal(UNTOUCHED(out(pair.client, TEXT, TEXT_BYTES)), TEXT_BYTES);
	assert_noted(pair.client, SL_IO_WRITE);
	assert_int_equal(sl_sys_read(pair.server, bytes, sizeof(bytes)), TEXT_BYTES);
	assert_string_equal(bytes, TEXT);
	assert_int_equal(record_of(pair.server).last_io, 0);
	assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
	FAILS_AS(sl_sys_write(pair.client, TEXT, 1), out(pair.client, TEXT, 1)); /* EPIPE */
	assert_true(is_seen(pair.client));
	FAILS_AS(sl_sys_write(-1, TEXT, 1), out(-1, TEXT, 1));
	tcp_close(&pair);

	assert_int_equal(SL_SYS4(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, plain), 0);
	assert_int_equal(UNTOUCHED(out(plain[0], TEXT, TEXT_BYTES)), TEXT_BYTES); /* not tracked */
	assert_int_equal(sl_sys_read(plain[1], bytes, sizeof(bytes)), TEXT_BYTES);
	assert_false(is_seen(plain[0]));
	(void)sl_sys_close(plain[0]);
	(void)sl_sys_close(plain[1]);
}

static void test_hook_write(void **state)
{
	(void)state;
	check_out("write");
}

static void test_hook___write(void **state)
{
	(void)state;
	check_out("__write");
}

static void test_hook_writev(void **state)
{
	(void)state;
	check_out("writev");
}

static void test_hook_send(void **state)
{
	(void)state;
	check_out("send");
}

static void test_hook___send(void **state)
{
	(void)state;
	check_out("__send");
}

static void test_hook_sendto(void **state)
{
	(void)state;
	check_out("sendto");
}

static void test_hook_sendmsg(void **state)
{
	(void)state;
	check_out("sendmsg");
}

static void test_hook_sendmmsg(void **state)
{
	(void)state;
	check_out("sendmmsg");
}

static void test_hook_sendfile(void **state)
{
	(void)state;
	check_out("sendfile");
}

static void test_hook_sendfile64(void **state)
{
	(void)state;
	check_out("sendfile64");
}

static void test_hook_splice(void **state)
{
	(void)state;
	check_in(in_splice);
	check_out("splice");
	struct tcp_pair pair; /* neither end is a pipe: as the kernel says, and both are noted */
	tcp_open(&pair);
	FAILS_AS(sl_syscall6(SYS_splice, pair.client, 0, pair.server, 0, 1, 0),
	         splice(pair.client, NULL, pair.server, NULL, 1, 0));
	assert_noted(pair.client, SL_IO_READ);
	assert_noted(pair.server, SL_IO_WRITE);
	tcp_close(&pair);
}

/* A write is noted before it begins: the worker must see one that hangs. */

struct hanging {
	int fd;
	_Atomic int tid;
	out_fn *out;
};

static void *write_and_hang(void *context)
{
	struct hanging *hanging = context;
	atomic_store(&hanging->tid, sl_sys_gettid());
	static const char bytes[TCP_TOO_MUCH];
	(void)hanging->out(hanging->fd, bytes, sizeof(bytes));
	return NULL;
}

static bool hangs(void *context)
{
	int tid = atomic_load(&((struct hanging *)context)->tid);
	return tid != 0 && thread_state(tid) == 'S';
}

static void a_write_that_hangs_is_noted(void **state)
{
	(void)state;
	static const char *const names[] = {"write", "writev", "send", "sendmsg", "sendmmsg"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct tcp_pair pair;
		pthread_t thread;
		tcp_open(&pair);
		struct hanging hanging = {.fd = pair.client, .out = out_by(names[i])};
		int copy = sl_sys_fcntl(pair.client, F_DUPFD, 500);
		tcp_narrow(&pair);
		assert_int_equal(record_of(pair.client).last_io, 0);
		assert_int_equal(pthread_create(&thread, NULL, write_and_hang, &hanging), 0);
		await(hangs, &hanging, "a write to hang");
		assert_noted(pair.client, SL_IO_WRITE);
		atomic_fetch_add(&sl_fd_tick, 1);
		uint32_t before = record_of(pair.client).last_io;
		assert_int_equal(SL_SYS2(SYS_shutdown, copy, SHUT_WR), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(record_of(pair.client).last_io,
		                 before); /* by then it may be another's */
		(void)sl_sys_close(copy);
		tcp_close(&pair);
	}
}

/* SCM_RIGHTS */

/* A message with a byte, and these fds. */
static struct msghdr message_with(const int *fds, size_t n, char *control, struct iovec *part)
{
	part->iov_base = (void *)"x";
	part->iov_len = 1;
	struct msghdr message = {.msg_iov = part,
	                         .msg_iovlen = 1,
	                         .msg_control = control,
	                         .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(n * sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(header), fds, n * sizeof(int));
	return message;
}

/* What the other end was given. */
static void receive_passed(int fd, int *passed, size_t n)
{
	_Alignas(struct cmsghdr) char control[256];
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control,
	                         .msg_controllen = sizeof(control)};
	assert_int_equal(SL_SYS3(SYS_recvmsg, fd, &message, 0), 1);
	memcpy(passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), n * sizeof(int));
}

static void assert_passed(int fd, bool is_passed)
{
	assert_int_equal(record_of(fd).flags & SL_FD_PASSED, is_passed ? SL_FD_PASSED : 0);
}

static void a_socket_that_is_passed_on_is_noted(void **state)
{
	(void)state;
	for (int is_many = 0; is_many < 2; is_many++) {
		struct tcp_pair pair;
		_Alignas(struct cmsghdr) char control[2][256] = {{0}};
		int ends[2], passed[3];
		struct iovec parts[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		tcp_open(&pair);
		const int fds[] = {pair.client, 0, pair.server};
		struct mmsghdr messages[2] = {
			{.msg_hdr = {.msg_iov = parts, .msg_iovlen = 1}},
			{.msg_hdr = message_with(fds, 3, control[1], &parts[1])}};
		parts[0] = (struct iovec){(void *)"y", 1};
		if (is_many) {
			assert_int_equal(UNTOUCHED(sendmmsg(ends[0], messages, 2, 0)), 2);
			assert_int_equal(sl_sys_read(ends[1], control[0], 1), 1);
		} else {
			assert_int_equal(UNTOUCHED(sendmsg(ends[0], &messages[1].msg_hdr, 0)), 1);
		}
		receive_passed(ends[1], passed, 3);
		assert_passed(pair.client, true);
		assert_passed(pair.server, true);
		assert_passed(pair.listener, false);
		assert_passed(ends[0], false);
		for (int i = 0; i < 3; i++)
			(void)sl_sys_close(passed[i]);
		assert_int_equal(close(ends[0]) + close(ends[1]), 0);
		tcp_close(&pair);
	}
}

/* They are one description: all its numbers here are shared from then on. */
static void a_copy_of_what_is_passed_on_is_noted_too(void **state)
{
	(void)state;
	struct tcp_pair pair;
	_Alignas(struct cmsghdr) char control[256] = {0};
	int ends[2], passed;
	struct iovec part;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	tcp_open(&pair);
	int copy = dup(pair.client), other = dup(pair.server);
	if (record_of(copy).site ==
	    record_of(other).site) { /* a sanitizer: no stacks to tell them by */
		assert_int_equal(close(copy) + close(other) + close(ends[0]) + close(ends[1]), 0);
		tcp_close(&pair);
		skip();
	}
	struct msghdr message = message_with(&copy, 1, control, &part);
	assert_int_equal(UNTOUCHED(sendmsg(ends[0], &message, 0)), 1);
	receive_passed(ends[1], &passed, 1);
	assert_passed(copy, true);
	assert_passed(pair.client, true);
	assert_passed(pair.server, false);
	assert_passed(other, false);
	assert_int_equal(close(copy) + close(other) + sl_sys_close(passed), 0);
	assert_int_equal(close(ends[0]) + close(ends[1]), 0);
	tcp_close(&pair);
}

/* Nothing of a call that failed, nor of a message that says something else. */
static void what_is_not_passed_on_is_not_noted(void **state)
{
	(void)state;
	struct tcp_pair pair;
	_Alignas(struct cmsghdr) char control[256] = {0};
	int ends[2];
	struct iovec part;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	tcp_open(&pair);
	const int fds[] = {pair.client, 30000};
	struct msghdr message = message_with(fds, 2, control, &part);
	FAILS_AS(SL_SYS3(SYS_sendmsg, ends[0], &message, 0), sendmsg(ends[0], &message, 0));
	FAILS_AS(SL_SYS3(SYS_sendmsg, -1, &message, 0), sendmsg(-1, &message, 0));
	assert_passed(pair.client, false);

	struct ucred self = {.pid = sl_sys_getpid(), .uid = getuid(), .gid = getgid()};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	message.msg_controllen = CMSG_SPACE(sizeof(self));
	header->cmsg_len = CMSG_LEN(sizeof(self));
	header->cmsg_type = SCM_CREDENTIALS;
	memcpy(CMSG_DATA(header), &self, sizeof(self));
	assert_int_equal(UNTOUCHED(sendmsg(ends[0], &message, 0)), 1);
	for (int fd = 0; fd < 64; fd++) {
		struct sl_fd_record record;
		assert_false(sl_fdtable_get(fd, &record) && (record.flags & SL_FD_PASSED));
	}
	assert_int_equal(close(ends[0]) + close(ends[1]), 0);
	tcp_close(&pair);
}

struct passer {
	int through;
	struct msghdr message;
	_Atomic int tid;
	_Atomic bool is_over;
	ssize_t result;
};

static void *pass_on(void *context)
{
	struct passer *passer = context;
	atomic_store(&passer->tid, sl_sys_gettid());
	passer->result = sendmsg(passer->through, &passer->message, 0);
	atomic_store(&passer->is_over, true);
	return NULL;
}

static bool has_passers_tid(void *context)
{
	return atomic_load(&((struct passer *)context)->tid) != 0;
}

/* It is noted before it has gone: no action comes in between. And it waits for one that is under way. */
static void a_passing_comes_before_an_action_or_after_it(void **state)
{
	(void)state;
	struct tcp_pair pair;
	_Alignas(struct cmsghdr) char control[256] = {0};
	int ends[2];
	struct iovec part;
	pthread_t thread;
	char bytes[4096] = {0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	tcp_open(&pair);
	uint32_t generation = record_of(pair.client).generation;
	assert_true(sl_fdtable_guard(pair.client, generation));
	uint32_t last_io = record_of(pair.client).last_io;
	while (send(ends[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	struct passer passer = {.through = ends[0],
	                        .message = message_with(&pair.client, 1, control, &part)};
	assert_int_equal(sl_fdtable_hold(pair.client, generation, last_io), 0);
	assert_int_equal(pthread_create(&thread, NULL, pass_on, &passer), 0);
	await(has_passers_tid, &passer, "a thread to start");
	give_way();
	assert_passed(pair.client, true);
	sl_fdtable_release(pair.client, generation);
	await_asleep(atomic_load(&passer.tid)); /* there is no room for it yet */
	assert_int_equal(sl_fdtable_hold(pair.client, generation, record_of(pair.client).last_io),
	                 -EBUSY);
	assert_false(atomic_load(&passer.is_over));
	while (recv(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 1)
		;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(passer.result, 1);
	assert_passed(pair.client, true);
	assert_int_equal(close(ends[0]) + close(ends[1]), 0);
	tcp_close(&pair);
}

/* Once anything is guarded the message is looked at before the call: where that is wrong the kernel says so. */
static void what_cannot_be_passed_on_is_the_kernels_to_say(void **state)
{
	(void)state;
	_Alignas(struct cmsghdr) char control[256] = {0};
	int ends[2], passed = 0;
	struct iovec part;
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(mprotect(page + 4096, 4096, PROT_NONE), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	atomic_store(&sl_fd_is_guarding, true);
	struct msghdr *const wild[] = {NULL, (struct msghdr *)8, (struct msghdr *)(page + 4090),
	                               (struct msghdr *)-8};
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		FAILS_AS(SL_SYS3(SYS_sendmsg, ends[0], wild[i], 0), sendmsg(ends[0], wild[i], 0));
		FAILS_AS(SL_SYS4(SYS_sendmmsg, ends[0], wild[i], 1, 0),
		         sendmmsg(ends[0], (struct mmsghdr *)wild[i], 1, 0));
	}
	struct msghdr message = message_with(&passed, 1, control, &part);
	message.msg_control = page + 4096 - 8;
	FAILS_AS(SL_SYS3(SYS_sendmsg, ends[0], &message, 0), sendmsg(ends[0], &message, 0));
	message.msg_controllen = 1u << 30;
	FAILS_AS(SL_SYS3(SYS_sendmsg, ends[0], &message, 0), sendmsg(ends[0], &message, 0));
	a_socket_that_is_passed_on_is_noted(NULL);
	a_copy_of_what_is_passed_on_is_noted_too(NULL);
	what_is_not_passed_on_is_not_noted(NULL);
	assert_int_equal(close(ends[0]) + close(ends[1]) + munmap(page, 8192), 0);
}

/* An end of file that comes when the number is another socket's */

struct late {
	int fd;
	_Atomic int tid;
	ssize_t result;
};

static void *receive_late(void *context)
{
	struct late *late = context;
	char byte;
	atomic_store(&late->tid, sl_sys_gettid());
	late->result = recv(late->fd, &byte, 1, 0);
	return NULL;
}

static bool has_tid(void *context)
{
	return atomic_load(&((struct late *)context)->tid) != 0;
}

static void a_late_end_of_file_leaves_the_next_record_alone(void **state)
{
	(void)state;
	struct tcp_pair pair;
	pthread_t thread;
	tcp_open(&pair);
	struct late late = {.fd = pair.client};
	assert_int_equal(pthread_create(&thread, NULL, receive_late, &late), 0);
	await(has_tid, &late, "a thread to start");
	await_asleep(atomic_load(&late.tid));
	assert_int_equal(close(pair.client), 0); /* the call under way keeps the connection */
	int next = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(next, pair.client);
	assert_int_equal(SL_SYS2(SYS_shutdown, pair.server, SHUT_WR), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(late.result, 0);
	assert_int_equal(record_of(next).flags, 0);
	tcp_close(&pair); /* `next` too */
}

/* Cancellation */

static void block_in_read(int fd)
{
	char byte;
	(void)read(fd, &byte, 1);
}

static void block_in_recv(int fd)
{
	char byte;
	(void)recv(fd, &byte, 1, 0);
}

static void block_in_recvmsg(int fd)
{
	char byte;
	(void)in_recvmsg(fd, &byte, 1);
}

static void block_in_send(int fd)
{
	static char bytes[1 << 20];
	while (send(fd, bytes, sizeof(bytes), 0) > 0)
		continue;
}

static int send_in_child(void *context)
{
	NEED(send(*(int *)context, TEXT, TEXT_BYTES, 0) == TEXT_BYTES);
	return 0;
}

static void a_thread_cancelled_in_a_transfer_leaves_nothing_behind(void **state)
{
	(void)state;
	skip_where_cancelling_fails();
	block_fn *const blocks[] = {block_in_read, block_in_recv, block_in_recvmsg, block_in_send};
	for (size_t i = 0; i < 2 * sizeof(blocks) / sizeof(blocks[0]); i++) {
		struct tcp_pair pair;
		char bytes[TEXT_BYTES];
		tcp_open(&pair);
		cancel_in(blocks[i / 2], pair.client, i % 2);
		assert_true(is_seen(pair.client));
		assert_int_equal(in_fork(send_in_child, &pair.server), 0);
		assert_int_equal(recv(pair.client, bytes, sizeof(bytes), 0), TEXT_BYTES);
		assert_noted(pair.client, SL_IO_READ);
		tcp_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_read),
		cmocka_unit_test(test_hook___read),
		cmocka_unit_test(test_hook___read_chk),
		cmocka_unit_test(test_hook_readv),
		cmocka_unit_test(test_hook_recv),
		cmocka_unit_test(test_hook___recv_chk),
		cmocka_unit_test(test_hook_recvfrom),
		cmocka_unit_test(test_hook___recvfrom_chk),
		cmocka_unit_test(test_hook_recvmsg),
		cmocka_unit_test(test_hook_recvmmsg),
		cmocka_unit_test(test_hook_write),
		cmocka_unit_test(test_hook___write),
		cmocka_unit_test(test_hook_writev),
		cmocka_unit_test(test_hook_send),
		cmocka_unit_test(test_hook___send),
		cmocka_unit_test(test_hook_sendto),
		cmocka_unit_test(test_hook_sendmsg),
		cmocka_unit_test(test_hook_sendmmsg),
		cmocka_unit_test(test_hook_sendfile),
		cmocka_unit_test(test_hook_sendfile64),
		cmocka_unit_test(test_hook_splice),
		cmocka_unit_test(a_write_that_hangs_is_noted),
		cmocka_unit_test(a_socket_that_is_passed_on_is_noted),
		cmocka_unit_test(a_copy_of_what_is_passed_on_is_noted_too),
		cmocka_unit_test(what_is_not_passed_on_is_not_noted),
		cmocka_unit_test(a_passing_comes_before_an_action_or_after_it),
		cmocka_unit_test(what_cannot_be_passed_on_is_the_kernels_to_say),
		cmocka_unit_test(a_late_end_of_file_leaves_the_next_record_alone),
		cmocka_unit_test(a_thread_cancelled_in_a_transfer_leaves_nothing_behind),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
