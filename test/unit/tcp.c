#include "tcp.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/fdtable.h"

/* 127.0.0.1, or v4-mapped; any where `is_any`. */
static socklen_t address_of(bool is_v6, bool is_any, uint16_t port,
                            struct sockaddr_storage *address)
{
	memset(address, 0, sizeof(*address));
	if (is_v6) {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
		if (!is_any)
			assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.1", &v6->sin6_addr),
			                 1);
		return sizeof(*v6);
	}
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	*v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(*v4);
}

int tcp_listen(bool is_v6, int backlog, uint16_t *port)
{
	struct sockaddr_storage address;
	socklen_t n = address_of(is_v6, true, 0, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, n), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	*port = ntohs(is_v6 ? ((struct sockaddr_in6 *)&address)->sin6_port
	                    : ((struct sockaddr_in *)&address)->sin_port);
	return fd;
}

int tcp_connect(bool is_v6, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t n = address_of(is_v6, false, port, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, n), 0);
	return fd;
}

void tcp_open(struct tcp_pair *pair)
{
	pair->listener = tcp_listen(false, 16, &pair->port);
	pair->client = tcp_connect(false, pair->port);
	pair->server = accept(pair->listener, NULL, NULL);
	assert_true(pair->server >= 0);
}

void tcp_close(struct tcp_pair *pair)
{
	const int fds[] = {pair->client, pair->server, pair->listener};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void tcp_reset(int fd)
{
	struct linger at_once = {1, 0};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	assert_int_equal(close(fd), 0);
}

void tcp_deafen(int fd)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {1, &drop};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)),
	                 0);
}

void tcp_hear_again(int fd)
{
	int unused = 0;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)), 0);
}

int tcp_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
	return value;
}

void tcp_set_option(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

void tcp_check_fin(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};
	char byte;
	assert_int_equal(poll(&look, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(tcp_option(fd, SOL_SOCKET, SO_ERROR), 0);
}

void tcp_check_alive(const struct tcp_pair *pair)
{
	assert_int_equal(tcp_state(pair->client), TCP_ESTABLISHED);
	assert_int_equal(write(pair->client, "x", 1), 1);
	tcp_await_unread(pair->server, 1);
}

int tcp_state(int fd)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
	return info.tcpi_state;
}

bool holds_soon(await_fn *holds, void *context)
{
	const struct timespec a_moment = {0, 500000};
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	while (!holds(context)) {
		if (sl_clock_ms() > until_ms)
			return false;
		nanosleep(&a_moment, NULL);
	}
	return true;
}

void await(await_fn *holds, void *context, const char *what)
{
	if (!holds_soon(holds, context))
		fail_msg("waited in vain for %s", what);
}

struct awaited {
	int fd;
	int value;
};

static bool has_state(void *context)
{
	const struct awaited *awaited = context;
	return tcp_state(awaited->fd) == awaited->value;
}

static bool has_unread(void *context)
{
	const struct awaited *awaited = context;
	int bytes = 0;
	assert_int_equal(ioctl(awaited->fd, SIOCINQ, &bytes), 0);
	return bytes == awaited->value;
}

static bool has_sent(void *context)
{
	const struct awaited *awaited = context;
	int bytes = 0;
	assert_int_equal(ioctl(awaited->fd, SIOCOUTQ, &bytes), 0);
	return bytes == awaited->value;
}

void tcp_await_state(int fd, int state)
{
	struct awaited awaited = {fd, state};
	await(has_state, &awaited, "a TCP state");
}

void tcp_await_unread(int fd, int bytes)
{
	struct awaited awaited = {fd, bytes};
	await(has_unread, &awaited, "unread bytes");
}

void tcp_await_sent(int fd)
{
	struct awaited awaited = {fd, 0};
	await(has_sent, &awaited, "an acknowledgement");
}

void tcp_narrow(const struct tcp_pair *pair)
{
	const int bytes = 1 << 16; /* on the loopback one segment; less, and it goes by the timer */
	assert_int_equal(setsockopt(pair->client, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	assert_int_equal(setsockopt(pair->server, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
}

void tcp_record(int fd, uint32_t flags, uint32_t site)
{
	struct sl_fd_opening opening = {
		.kind = SL_KIND_TCP,
		.flags = flags,
		.site = site,
		.opened_at_ms = sl_clock_ms(),
	};
	sl_fdtable_prepare();
	assert_true(sl_fdtable_open(fd, &opening));
}

void tcp_close_recorded(int fd)
{
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	assert_int_equal(forgotten.fd, fd);
	assert_int_equal(close(fd), 0);
	sl_fdtable_commit(&forgotten);
}
