/* fds - descriptors: what their numbers are, what copies them, what ends them, and what the calls say. */
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

static const struct cases_case cases[] = {
	CASE(lowest_numbers),
	CASE(dup2_of_a_bad_one),
};

CASES_MAIN(cases)
