/* victim.h - what the test programs share: commands in, answers out, and loud failure.
 *
 * A victim prints one line that begins with "ready", then reads commands from stdin, one a
 * line, and answers each with one line: "ok ..." or "error ERRNO-NAME ...". End of input ends it
 * with status 0. It knows nothing of the library it is tested with.
 */
#ifndef VICTIM_H
#define VICTIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "victim: %s: %s\n", what, strerror(errno));
	exit(3);
}

/* One line to the test, at once. */
static inline __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	if (fflush(stdout) != 0)
		die("stdout");
}

/* "error EMFILE opened 3": the name of errno, and how far it got. */
static inline void say_error(int error, const char *more)
{
	say("error %s%s%s", strerrorname_np(error), *more ? " " : "", more);
}

/* Next command without its newline, or NULL at the end of input. */
static inline char *next_command(char *line, size_t size)
{
	while (!fgets(line, (int)size, stdin)) {
		if (!ferror(stdin) || errno != EINTR)
			return NULL;
		clearerr(stdin); /* a handler without SA_RESTART ran */
	}
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* Seconds on a clock that nobody sets. */
static inline double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline struct sockaddr_in address4(const char *host, unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		die(host);
	return a;
}

/* host as ::ffff:host. */
static inline struct sockaddr_in6 address_mapped(const char *host, unsigned port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	char text[64];
	snprintf(text, sizeof(text), "::ffff:%s", host);
	if (inet_pton(AF_INET6, text, &a.sin6_addr) != 1)
		die(host);
	return a;
}

/* A listener on host, port chosen by the kernel. */
static inline int listen_on(const char *host, int backlog, unsigned *port)
{
	struct sockaddr_in a = address4(host, 0);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) != 0 || listen(fd, backlog) != 0)
		die("listen");
	if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		die("getsockname");
	*port = ntohs(a.sin_port);
	return fd;
}

#endif
