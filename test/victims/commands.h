/* commands.h - for victims that obey a table of commands: the words of a line, and what several of them do.
 *
 * Numbers that commands take and give are descriptors, ports or counts.
 */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "victim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

struct words {
	unsigned count;
	char *word[8];
};

struct command {
	const char *verb;
	void (*obey)(const struct words *w);
};

static inline int number(const struct words *w, unsigned i, int otherwise)
{
	return i < w->count ? atoi(w->word[i]) : otherwise;
}

static inline const char *text(const struct words *w, unsigned i)
{
	return i < w->count ? w->word[i] : "";
}

static inline void answer(long result)
{
	if (result < 0)
		say_error(errno, "");
	else
		say("ok %ld", result);
}

/* connect HOST PORT [COUNT], IPv4 or IPv6: the last descriptor; on failure how many were opened before. */
static inline void do_connect(const struct words *w)
{
	bool is_v6 = strchr(text(w, 1), ':') != NULL;
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	struct sockaddr_in to4 = {0};
	if (!is_v6)
		to4 = address4(text(w, 1), (unsigned)number(w, 2, 0));
	else if (inet_pton(AF_INET6, text(w, 1), &to6.sin6_addr) != 1)
		die(text(w, 1));
	to6.sin6_port = htons((uint16_t)number(w, 2, 0));
	const struct sockaddr *to = is_v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4;
	int fd = -1, count = number(w, 3, 1);
	for (int i = 0; i < count; i++) {
		fd = socket(to->sa_family, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, to, is_v6 ? sizeof(to6) : sizeof(to4)) != 0) {
			char more[32];
			snprintf(more, sizeof(more), "opened %d", i);
			int error = errno;
			if (fd >= 0)
				close(fd);
			say_error(error, more);
			return;
		}
	}
	say("ok %d", fd);
}

static inline void do_close(const struct words *w)
{
	answer(close(number(w, 1, -1)));
}

static inline void do_dup(const struct words *w)
{
	answer(dup(number(w, 1, -1)));
}

static inline void do_dup2(const struct words *w)
{
	answer(dup2(number(w, 1, -1), number(w, 2, -1)));
}

/* A system call that passes every library. -errno on failure. */
static inline long raw(long nr, long a, long b, long c)
{
#if defined(__x86_64__)
	long result;
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(nr), "D"(a), "S"(b), "d"(c)
	                 : "rcx", "r11", "memory");
	return result;
#else
	long result = syscall(nr, a, b, c);
	return result < 0 ? -errno : result;
#endif
}

static inline void do_rawclose(const struct words *w)
{
	long result = raw(SYS_close, number(w, 1, -1), 0, 0);
	if (result < 0)
		say_error((int)-result, "");
	else
		say("ok 0");
}

static inline void do_rawdup2(const struct words *w)
{
	long result = raw(SYS_dup3, number(w, 1, -1), number(w, 2, -1), 0);
	if (result < 0)
		say_error((int)-result, "");
	else
		say("ok %ld", result);
}

/* fin FD: waits for the peer's, and leaves it unread. */
static inline void do_fin(const struct words *w)
{
	struct pollfd wait = {.fd = number(w, 1, -1), .events = POLLRDHUP};
	answer(poll(&wait, 1, -1) == 1 && wait.revents & POLLRDHUP ? 0 : -1);
}

/* flags FD: whether it is close-on-exec, whether it does not block. */
static inline void do_flags(const struct words *w)
{
	int of_fd = fcntl(number(w, 1, -1), F_GETFD), of_file = fcntl(number(w, 1, -1), F_GETFL);
	if (of_fd < 0 || of_file < 0)
		say_error(errno, "");
	else
		say("ok %d %d", (of_fd & FD_CLOEXEC) != 0, (of_file & O_NONBLOCK) != 0);
}

/* setflags FD CLOEXEC NONBLOCK */
static inline void do_setflags(const struct words *w)
{
	int fd = number(w, 1, -1);
	int result = fcntl(fd, F_SETFD, number(w, 2, 0) ? FD_CLOEXEC : 0);
	if (result == 0)
		result = fcntl(fd, F_SETFL, O_RDWR | (number(w, 3, 0) ? O_NONBLOCK : 0));
	answer(result);
}

static inline void do_nop(const struct words *w)
{
	(void)w;
	say("ok");
}

static inline void obey_one(const struct command *commands, size_t count, char *line)
{
	struct words w = {0, {NULL}};
	for (char *at, *word = strtok_r(line, " ", &at); word && w.count < 8;
	     word = strtok_r(NULL, " ", &at))
		w.word[w.count++] = word;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text(&w, 0), commands[i].verb) == 0) {
			commands[i].obey(&w);
			return;
		}
	}
	say_error(ENOSYS, text(&w, 0));
}

/* Until the end of input. */
static inline void obey_all(const struct command *commands, size_t count)
{
	char line[256];
	say("ready");
	while (next_command(line, sizeof(line)))
		obey_one(commands, count, line);
}

#endif
