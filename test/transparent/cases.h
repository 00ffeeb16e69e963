/* cases.h - programs that tell everything they observe, so that two runs can be compared word by word.
 *
 * A program is a table of cases: CASE(name) for each, and cases_main(). `PROGRAM name OUTPUT` runs one. What it observes
 * (return values, errno, descriptors, bytes, signals) it tells with tell() and its kin: lines in the file OUTPUT, which is
 * mapped and shared, so that a case may close every descriptor, fork, exec itself (become()) or die, and what was told
 * is there. Nothing told may differ between two runs that are both right: no pids, ports, addresses or times.
 *
 * When a case returns, the descriptors that are open under 1,024 are told too, and which of them are TCP sockets:
 * test_transparent.py holds that against the library's own picture.
 *
 * Order: lines of several threads or processes come as they are told; a case that has them waits for each in turn.
 */
#ifndef CASES_H
#define CASES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASES_BYTES (1u << 20)
#define CASES_OBSERVED 1024

struct cases_case {
	const char *name;
	void (*run)(void);
};

#define CASE(name)          \
	{                   \
#name, name \
	}

/* The file: how much is used, then the lines. */
struct cases_told {
	uint32_t used; /* atomic */
	char text[CASES_BYTES - sizeof(uint32_t)];
};

static struct cases_told *cases_told;
static const char *cases_self;   /* this program */
static const char *cases_output; /* and its file */

static inline __attribute__((noreturn)) void cases_die(const char *what)
{
	static const char head[] = "case: ";
	const char *why = strerrorname_np(errno);
	(void)!write(2, head, sizeof(head) - 1);
	(void)!write(2, what, strlen(what));
	(void)!write(2, " ", 1);
	(void)!write(2, why ? why : "?", strlen(why ? why : "?"));
	(void)!write(2, "\n", 1);
	_exit(3);
}

/* One line. Context: any process and thread, signal handlers where the format has only %d and %s. */
static inline __attribute__((format(printf, 1, 2))) void tell(const char *format, ...)
{
	char line[2048];
	va_list args;
	int saved = errno;
	va_start(args, format);
	int n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(line) - 1)
		cases_die("a line is too long");
	line[n++] = '\n';
	uint32_t at = __atomic_fetch_add(&cases_told->used, (uint32_t)n, __ATOMIC_SEQ_CST);
	if (at + (uint32_t)n > sizeof(cases_told->text))
		cases_die("too much was told");
	memcpy(cases_told->text + at, line, (size_t)n);
	errno = saved;
}

/* What a call returned, and errno where it failed. errno is set to a strange value before each call by CALL(), so that a call
 * which succeeds and changes it is seen as well. */
static inline void tell_result(const char *what, long result, int error)
{
	if (result == -1)
		tell("%s = -1 %s", what, strerrorname_np(error) ? strerrorname_np(error) : "?");
	else
		tell("%s = %ld%s", what, result, error == ELNRNG ? "" : " and errno changed");
}

/* The value of a call, told under its own text. */
#define CALL(call) CALL_AS(#call, call)
#define CALL_AS(text, call)                               \
	({                                                \
		errno = ELNRNG;                           \
		long cases_result = (long)(call);         \
		tell_result((text), cases_result, errno); \
		cases_result;                             \
	})

/* The value of a call that the case needs and that is not what is observed: it must succeed. */
#define MUST(call)                                \
	({                                        \
		long cases_result = (long)(call); \
		if (cases_result == -1)           \
			cases_die(#call);         \
		cases_result;                     \
	})

/* How a child ended. Waits for it. */
static inline void tell_end_of(const char *who, pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) {
			tell("%s: wait %s", who, strerrorname_np(errno));
			return;
		}
	if (WIFSIGNALED(status))
		tell("%s: signal %d", who, WTERMSIG(status));
	else
		tell("%s: exit %d", who, WEXITSTATUS(status));
}

/* "tcp", "unix", ..., or NULL: no socket, or not open. Past libc. */
static inline const char *kind_of(int fd)
{
	int domain, type;
	socklen_t length = sizeof(int);
	if (syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 ||
	    syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
		return NULL;
	if (domain == AF_UNIX)
		return "unix";
	if (domain != AF_INET && domain != AF_INET6)
		return "other";
	return type == SOCK_STREAM ? "tcp" : "udp";
}

/* The first number at which the socket of fd lies. */
static inline int first_of(int fd)
{
	struct stat socket, other;
	int first = 0;
	if (fstat(fd, &socket) != 0)
		cases_die("fstat");
	while (fstat(first, &other) != 0 || other.st_ino != socket.st_ino ||
	       other.st_dev != socket.st_dev)
		first++;
	return first;
}

/* Which descriptors are open under 1,024, which are sockets, and which of these the same as one before: "7:tcp=3". */
static inline void tell_fds(const char *when)
{
	char text[CASES_OBSERVED];
	size_t n = 0;
	for (int fd = 0; fd < CASES_OBSERVED && n < sizeof(text) - 16; fd++) {
		const char *kind = kind_of(fd);
		if (syscall(SYS_fcntl, fd, F_GETFD) < 0)
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %d%s%s", fd, kind ? ":" : "",
		                      kind ? kind : "");
		if (kind && first_of(fd) != fd)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "=%d", first_of(fd));
	}
	text[n] = 0;
	tell("%s:%s", when, text);
}

/* Run this program again as another case, in this process: does not return. */
static inline __attribute__((noreturn)) void become(const char *name)
{
	execl(cases_self, cases_self, name, cases_output, (char *)NULL);
	cases_die("execl");
}

/* A listener on the loopback, port chosen by the kernel. */
static inline int listener(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(fd, (struct sockaddr *)address, length));
	MUST(listen(fd, 64));
	MUST(getsockname(fd, (struct sockaddr *)address, &length));
	return fd;
}

/* Both ends of a TCP connection: [0] connected, [1] accepted. The listener is closed again. */
static inline void tcp_pair(int ends[2])
{
	struct sockaddr_in address;
	int at = listener(&address);
	ends[0] = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(ends[0], (struct sockaddr *)&address, sizeof(address)));
	ends[1] = (int)MUST(accept(at, NULL, NULL));
	MUST(close(at));
}

static inline void cases_open(const char *path)
{
	int fd = (int)MUST(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(ftruncate(fd, CASES_BYTES));
	cases_told = (struct cases_told *)mmap(NULL, CASES_BYTES, PROT_READ | PROT_WRITE,
	                                       MAP_SHARED, fd, 0);
	if ((void *)cases_told == MAP_FAILED)
		cases_die(path);
	MUST(close(fd));
}

static inline int cases_main(int argc, char **argv, const struct cases_case *cases, size_t n)
{
	if (argc != 3) {
		fprintf(stderr, "usage: %s CASE OUTPUT\n", argv[0]);
		return 2;
	}
	cases_self = argv[0];
	cases_output = argv[2];
	cases_open(argv[2]);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(cases[i].name, argv[1]) != 0)
			continue;
		cases[i].run();
		tell_fds("open at the end");
		return 0;
	}
	fprintf(stderr, "%s: no case %s\n", argv[0], argv[1]);
	return 2;
}

#define CASES_MAIN(table)                                                                 \
	int main(int argc, char **argv)                                                   \
	{                                                                                 \
		return cases_main(argc, argv, table, sizeof(table) / sizeof((table)[0])); \
	}

#endif
