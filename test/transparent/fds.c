/* fds - descriptors: what their numbers are, what copies them, what their flags say, what ends them. */
#include "cases.h"

static void lowest_numbers(void)
{
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	int copy = CALL(dup(fd));
	CALL(close(fd));
	CALL(socket(AF_INET6, SOCK_STREAM, 0));
	CALL(fcntl(copy, F_DUPFD, 100));
	CALL(fcntl(copy, F_DUPFD_CLOEXEC, 100));
	CALL(fcntl(101, F_GETFD));
	CALL(close(copy));
}

static void dup2_of_a_bad_one(void)
{
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(dup2(777, fd));
	CALL(fcntl(fd, F_GETFD));
	CALL(dup2(fd, fd));
	CALL(dup3(fd, fd, 0));
	CALL(dup3(fd, 20, 0xffff));
	CALL(dup2(fd, -1));
}

/* Does what is written at one number come out at the other? */
static void tell_joined(int in, int out)
{
	char byte = 0;
	CALL(write(in, "x", 1));
	CALL(recv(out, &byte, 1, MSG_WAITALL));
	tell("%d -> %d: %c", in, out, byte);
}

static void copies_are_one_connection(void)
{
	int ends[2];
	tcp_pair(ends);
	int copy = CALL(dup(ends[0]));
	CALL(dup2(ends[0], 30));
	CALL(dup3(ends[0], 31, O_CLOEXEC));
	CALL(close(ends[0]));
	tell_joined(copy, ends[1]);
	tell_joined(30, ends[1]);
	tell_joined(ends[1], 31);
	CALL(close(30));
	CALL(close(30));
	CALL(close(copy));
	tell_joined(31, ends[1]);
	CALL(shutdown(31, SHUT_WR));
	CALL(recv(ends[1], &copy, 1, 0));
	CALL(close(31));
}

static void flags_of_copies(void)
{
	int fd = CALL(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	int copy = CALL(dup(fd));
	CALL(fcntl(fd, F_GETFD));
	CALL(fcntl(copy, F_GETFD));
	CALL(fcntl(copy, F_SETFD, FD_CLOEXEC));
	CALL(fcntl(fd, F_SETFD, 0));
	CALL(fcntl(copy, F_GETFD));
	CALL(fcntl(fd, F_GETFD));
	CALL(fcntl(copy, F_GETFL) & O_NONBLOCK);
	CALL(fcntl(copy, F_SETFL, 0));
	CALL(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE));
	CALL(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC));
	CALL(fcntl(copy, F_GETFL) & (O_NONBLOCK | O_ASYNC));
	CALL(fcntl(fd, F_SETOWN, getpid()));
	CALL(fcntl(copy, F_GETOWN) == getpid());
	CALL(fcntl(fd, F_SETFL, 0));
	CALL(fcntl(fd, 12345, 0));
	CALL(fcntl(fd, F_DUPFD, -1));
	CALL(fcntl(fd, F_DUPFD, 1 << 30));
	CALL(fcntl(fd, F_GETLK, NULL));
	CALL(fcntl(777, F_DUPFD, 0));
	CALL(fcntl(777, F_GETFD));
	CALL(fcntl(-1, F_GETFL));
}

static void dup_of_bad_ones(void)
{
	CALL(dup(-1));
	CALL(dup(777));
	CALL(dup(1 << 30));
	CALL(dup2(-1, 10));
	CALL(dup2(777, 777));
	CALL(dup2(0, 1 << 30));
	CALL(dup3(777, 10, 0));
	CALL(dup3(0, 10, O_NONBLOCK));
	CALL(dup3(0, 0, O_CLOEXEC));
	CALL(close(-1));
	CALL(close(777));
	CALL(close(1 << 30));
	CALL(shutdown(777, SHUT_RDWR));
}

/* One socket over another: the first one's connection ends there. */
static void one_over_another(void)
{
	int first[2], second[2], pipes[2];
	char byte;
	tcp_pair(first);
	tcp_pair(second);
	CALL(dup2(second[0], first[0]));
	CALL(recv(first[1], &byte, 1, 0));
	tell_joined(first[0], second[1]);
	CALL(close(second[0]));
	tell_joined(second[1], first[0]);
	/* and what is no socket over a socket, and the other way round */
	MUST(pipe(pipes));
	CALL(dup2(pipes[0], first[0]));
	CALL(recv(second[1], &byte, 1, 0));
	CALL(send(first[0], "x", 1, 0));
	CALL(dup2(second[1], pipes[0]));
	CALL(dup2(second[1], pipes[1]));
	CALL(read(first[0], &byte, 1));
	CALL(getsockopt(pipes[0], SOL_SOCKET, SO_TYPE, &byte, &(socklen_t){1}));
}

/* The two steps in which a Java VM closes: a marker over the socket, then the close. */
static void marked_and_closed(void)
{
	int ends[2], marker[2];
	char byte;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, marker));
	MUST(shutdown(marker[0], SHUT_RDWR));
	for (int i = 0; i < 3; i++) {
		tcp_pair(ends);
		CALL(dup2(marker[0], ends[0]));
		CALL(recv(ends[1], &byte, 1, 0));
		CALL(recv(ends[0], &byte, 1, 0));
		CALL(send(ends[0], "x", 1, MSG_NOSIGNAL));
		CALL(close(ends[0]));
		CALL(close(ends[1]));
	}
}

/* The way of a daemon: 0, 1 and 2 are closed, and the next three opened must be they. */
static void standard_numbers_anew(void)
{
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	for (int i = 0; i < 3; i++)
		CALL(close(i));
	CALL(open("/dev/null", O_RDONLY));
	CALL(dup(0));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(close(2));
	CALL(dup(fd));
	CALL(close(2));
	CALL(dup(1));
}

/* A number is used over and over, by all that can be behind it. */
static void one_number_after_another(void)
{
	int pipes[2], failed = 0;
	for (int i = 0; i < 300; i++) {
		int fd = i % 3 ? socket(i % 2 ? AF_INET : AF_UNIX, SOCK_STREAM, 0)
		               : open("/dev/null", O_RDWR);
		failed += fd != 3;
		failed += pipe(pipes) != 0 || pipes[0] != 4 || pipes[1] != 5;
		failed += dup2(fd, 4) != 4;
		failed += close(3) + close(4) + close(5);
	}
	tell("failed: %d", failed);
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

/* An old object's name for it. */
int __dup2(int fd, int to);

static void dup2_by_its_other_name(void)
{
	int first[2], second[2];
	char byte;
	tcp_pair(first);
	tcp_pair(second);
	CALL(__dup2(777, first[0]));
	CALL(__dup2(first[0], first[0]));
	CALL(__dup2(first[0], -1));
	CALL(__dup2(first[0], second[0]));
	CALL(recv(second[1], &byte, 1, 0));
	tell_joined(second[0], first[1]);
	CALL(__dup2(0, second[0]));
	CALL(__dup2(first[1], 40));
	CALL(close(first[1]));
}

static const struct cases_case cases[] = {
	CASE(lowest_numbers),         CASE(dup2_of_a_bad_one),     CASE(copies_are_one_connection),
	CASE(flags_of_copies),        CASE(dup_of_bad_ones),       CASE(one_over_another),
	CASE(marked_and_closed),      CASE(standard_numbers_anew), CASE(one_number_after_another),
	CASE(dup2_by_its_other_name),
};

CASES_MAIN(cases)
