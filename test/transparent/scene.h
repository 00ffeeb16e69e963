/* scene.h - a parent's listener and connection, at numbers that its children know, and a look at all of it afterwards. */
#ifndef SCENE_H
#define SCENE_H

#include "cases.h"

#include <signal.h>
#include <sys/resource.h>

/* Numbers that children know. */
enum { NEAR = 7, FAR, LISTENER };           /* a shell takes one digit */
enum { OWN_FIRST = 1024, OWN_LAST = 1040 }; /* where the library has its own, if anywhere */

static struct sockaddr_in address; /* of the listener */

static inline void move(int fd, int to)
{
	MUST(dup2(fd, to));
	MUST(close(fd));
}

static inline void set_scene(void)
{
	struct rlimit files;
	int ends[2];
	MUST(getrlimit(RLIMIT_NOFILE, &files));
	files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
	MUST(setrlimit(RLIMIT_NOFILE, &files));
	tcp_pair(ends);
	move(ends[0], NEAR);
	move(ends[1], FAR);
	move(listener(&address), LISTENER);
}

static inline void tell_bytes(int fd)
{
	char bytes[64] = "";
	long n = CALL(read(fd, bytes, sizeof(bytes) - 1));
	tell("bytes: %.*s", (int)(n > 0 ? n : 0), bytes);
}

static inline void connect_there(void)
{
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	int far = CALL(accept(LISTENER, NULL, NULL));
	CALL(write(far, "hello", 5));
	tell_bytes(fd);
	CALL(close(far));
	CALL(close(fd));
}

/* All that the parent has works as before. */
static inline void look_around(void)
{
	tell_fds("parent");
	CALL(write(NEAR, "there", 5));
	tell_bytes(FAR);
	CALL(write(FAR, "and back", 8));
	tell_bytes(NEAR);
	connect_there();
}

/* A case that children exec: what did they get? */
static inline void observer(void)
{
	sigset_t mask;
	struct sigaction action;
	socklen_t length = sizeof(address);
	MUST(sigprocmask(SIG_SETMASK, NULL, &mask));
	for (int number = 1; number < 65; number++) {
		bool is_set = sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL;
		if (sigismember(&mask, number) == 1 || is_set)
			tell("%d: blocked %d, ignored %d", number, sigismember(&mask, number),
			     is_set && action.sa_handler == SIG_IGN);
	}
	tell("leads its group: %d, its session: %d", getpgrp() == getpid(), getsid(0) == getpid());
	tell_fds("got");
	if (getsockname(LISTENER, (struct sockaddr *)&address, &length) == 0)
		connect_there();
}

#endif
