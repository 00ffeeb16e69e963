/* asker - what a program sees of one descriptor: it makes any one call that there is, when told to.
 *
 * It prints "ready" and obeys the commands of the table at the end of this file and of commands.h. SIGPIPE is as the
 * program found it.
 */
#include "commands.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

extern int __dprintf_chk(int fd, int flag, const char *format, ...);
extern ssize_t __write(int fd, const void *bytes, size_t n);
extern ssize_t __send(int fd, const void *bytes, size_t n, int flags);

static char buf[4096];
static struct iovec iov[2] = {{buf, 100}, {buf + 100, 100}};
static struct sockaddr_in place; /* where connect() goes: a port that is open */

static struct mmsghdr *one_message(void)
{
	static struct mmsghdr message;
	memset(&message, 0, sizeof(message));
	message.msg_hdr.msg_iov = iov;
	message.msg_hdr.msg_iovlen = 2;
	return &message;
}

/* The end of file is a message of no bytes. */
static long by_recvmmsg(int fd)
{
	struct mmsghdr *message = one_message();
	int n = recvmmsg(fd, message, 1, 0, NULL);
	return n < 0 ? -1 : (long)message->msg_len;
}

static long by_sendfile(int fd, bool is_large)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (file < 0)
		die("open");
	long result = is_large ? sendfile64(fd, file, NULL, 100) : sendfile(fd, file, NULL, 100);
	int error = errno;
	close(file);
	errno = error;
	return result;
}

static long by_splice(int fd)
{
	int ends[2];
	if (pipe(ends) != 0 || write(ends[1], buf, 100) != 100)
		die("pipe");
	long result = splice(ends[0], NULL, fd, NULL, 100, 0);
	int error = errno;
	close(ends[0]);
	close(ends[1]);
	errno = error;
	return result;
}

static long by_poll(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};
	return poll(&wait, 1, 0) < 0 ? -1 : wait.revents;
}

static long by_select(int fd)
{
	fd_set in, out;
	struct timeval at_once = {0, 0};
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	return select(fd + 1, &in, &out, NULL, &at_once);
}

static long by_ioctl(int fd)
{
	int unread = -1;
	return ioctl(fd, FIONREAD, &unread) < 0 ? -1 : unread;
}

static long by_name(int fd, bool of_peer)
{
	struct sockaddr_storage name;
	socklen_t n = sizeof(name);
	return of_peer ? getpeername(fd, (struct sockaddr *)&name, &n)
	               : getsockname(fd, (struct sockaddr *)&name, &n);
}

static long get_option(int fd, int level, int option)
{
	int value = 0;
	socklen_t n = sizeof(value);
	return getsockopt(fd, level, option, &value, &n) < 0 ? -1 : value;
}

static long set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static long connect_to(int fd, sa_family_t family)
{
	struct sockaddr_in to = place;
	to.sin_family = family;
	return connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static long bind_to_any(int fd)
{
	struct sockaddr_storage any = {0};
	socklen_t n = sizeof(any);
	if (getsockname(fd, (struct sockaddr *)&any, &n) != 0)
		return -1;
	sa_family_t family = any.ss_family;
	memset(&any, 0, sizeof(any));
	any.ss_family = family;
	return bind(fd, (struct sockaddr *)&any, n);
}

static long by_fastopen(int fd)
{
	return sendto(fd, buf, 100, MSG_FASTOPEN, (struct sockaddr *)&place, sizeof(place));
}

/* call NAME FD. The names are those of the calls; where one is made in two ways, the way stands behind a dash. */
static void do_call(const struct words *w)
{
	int fd = number(w, 2, -1);
	long result;
#define CALL(name, expression)               \
	if (strcmp(text(w, 1), name) == 0) { \
		result = (expression);       \
		answer(result);              \
		return;                      \
	}
	CALL("read", read(fd, buf, 100))
	CALL("readv", readv(fd, iov, 2))
	CALL("recv", recv(fd, buf, 100, 0))
	CALL("recvfrom", recvfrom(fd, buf, 100, 0, NULL, NULL))
	CALL("recvmsg", recvmsg(fd, &one_message()->msg_hdr, 0))
	CALL("recvmmsg", by_recvmmsg(fd))
	CALL("write", write(fd, buf, 100))
	CALL("__write", __write(fd, buf, 100))
	CALL("writev", writev(fd, iov, 2))
	CALL("send", send(fd, buf, 100, 0))
	CALL("__send", __send(fd, buf, 100, 0))
	CALL("sendto", sendto(fd, buf, 100, 0, NULL, 0))
	CALL("sendmsg", sendmsg(fd, &one_message()->msg_hdr, 0))
	CALL("sendmmsg", sendmmsg(fd, one_message(), 1, 0))
	CALL("sendfile", by_sendfile(fd, false))
	CALL("sendfile64", by_sendfile(fd, true))
	CALL("splice", by_splice(fd))
	CALL("dprintf", dprintf(fd, "%s\n", "late"))
	CALL("__dprintf_chk", __dprintf_chk(fd, 1, "%s\n", "late"))
	CALL("fastopen", by_fastopen(fd))
	CALL("poll", by_poll(fd))
	CALL("select", by_select(fd))
	CALL("ioctl", by_ioctl(fd))
	CALL("getpeername", by_name(fd, true))
	CALL("getsockname", by_name(fd, false))
	CALL("connect", connect_to(fd, AF_INET))
	CALL("connect-unspec", connect_to(fd, AF_UNSPEC))
	CALL("bind", bind_to_any(fd))
	CALL("listen", listen(fd, 5))
	CALL("accept", accept(fd, NULL, NULL))
	CALL("shutdown", shutdown(fd, SHUT_RDWR))
	CALL("set-nodelay", set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1))
	CALL("set-keepalive", set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1))
	CALL("set-rcvbuf", set_option(fd, SOL_SOCKET, SO_RCVBUF, 65536))
	CALL("get-domain", get_option(fd, SOL_SOCKET, SO_DOMAIN))
	CALL("get-type", get_option(fd, SOL_SOCKET, SO_TYPE))
	CALL("get-keepalive", get_option(fd, SOL_SOCKET, SO_KEEPALIVE))
	CALL("get-keepidle", get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE))
	CALL("get-keepintvl", get_option(fd, IPPROTO_TCP, TCP_KEEPINTVL))
	CALL("get-keepcnt", get_option(fd, IPPROTO_TCP, TCP_KEEPCNT))
	CALL("get-error", get_option(fd, SOL_SOCKET, SO_ERROR))
	CALL("get-acceptconn", get_option(fd, SOL_SOCKET, SO_ACCEPTCONN))
	CALL("dup", dup(fd))
	CALL("F_DUPFD", fcntl(fd, F_DUPFD, 100))
	CALL("fdatasync", fdatasync(fd))
#undef CALL
	say_error(ENOSYS, text(w, 1));
}

/* place PORT: where "connect" and "fastopen" go. */
static void do_place(const struct words *w)
{
	place = address4("127.0.0.1", (unsigned)number(w, 1, 0));
	say("ok");
}

/* cookie FD: who the kernel says it is. */
static void do_cookie(const struct words *w)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);
	if (getsockopt(number(w, 1, -1), SOL_SOCKET, SO_COOKIE, &cookie, &n) != 0)
		say_error(errno, "");
	else
		say("ok %llu", (unsigned long long)cookie);
}

/* epoll create; epoll add|mod|del SET FD EVENTS DATA; epoll wait SET MS: how many, then DATA:EVENTS of each. */
static void do_epoll(const struct words *w)
{
	const char *verb = text(w, 1);
	struct epoll_event event = {.events = (uint32_t)strtoul(text(w, 4), NULL, 0),
	                            .data.u32 = (uint32_t)number(w, 5, 0)};
	if (strcmp(verb, "create") == 0) {
		answer(epoll_create1(EPOLL_CLOEXEC));
	} else if (strcmp(verb, "wait") == 0) {
		struct epoll_event got[16];
		char line[16 * 24] = "";
		int n = epoll_wait(number(w, 2, -1), got, 16, number(w, 3, 0));
		for (int i = 0; i < n; i++)
			snprintf(line + strlen(line), 24, " %u:%x", got[i].data.u32, got[i].events);
		if (n < 0)
			say_error(errno, "");
		else
			say("ok %d%s", n, line);
	} else {
		int operation = verb[0] == 'a'   ? EPOLL_CTL_ADD
		                : verb[0] == 'm' ? EPOLL_CTL_MOD
		                                 : EPOLL_CTL_DEL;
		answer(epoll_ctl(number(w, 2, -1), operation, number(w, 3, -1), &event));
	}
}

static void do_open(const struct words *w)
{
	answer(open(text(w, 1), O_RDWR | O_CLOEXEC));
}

/* end HOW FD: each way there is to give a number up. */
static void do_end(const struct words *w)
{
	const char *how = text(w, 1);
	int fd = number(w, 2, -1);
	FILE *file;
	if (strcmp(how, "close") == 0)
		answer(close(fd));
	else if (strcmp(how, "close_range") == 0)
		answer(close_range((unsigned)fd, (unsigned)fd, 0));
	else if (strcmp(how, "syscall") == 0)
		answer(syscall(SYS_close, fd));
	else if (strcmp(how, "dup3") == 0)
		answer(dup3(1, fd, O_CLOEXEC) == fd ? close(fd) : -1);
	else if (strcmp(how, "fclose") == 0)
		answer((file = fdopen(fd, "r+")) ? fclose(file) : -1);
	else
		say_error(ENOSYS, how);
}

static const struct command commands[] = {
	{"connect", do_connect},   {"close", do_close},     {"dup", do_dup},
	{"dup2", do_dup2},         {"flags", do_flags},     {"setflags", do_setflags},
	{"call", do_call},         {"place", do_place},     {"cookie", do_cookie},
	{"epoll", do_epoll},       {"fin", do_fin},         {"end", do_end},
	{"rawclose", do_rawclose}, {"rawdup2", do_rawdup2}, {"open", do_open},
	{"nop", do_nop},
};

int main(void)
{
	obey_all(commands, sizeof(commands) / sizeof(commands[0]));
	return 0;
}
