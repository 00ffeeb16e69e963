/* stdio - FILEs on sockets and on everything else: made, opened anew, closed; and the programs behind popen(). */
#include "cases.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>

/* A pointer or NULL, as a result. */
#define FILE_OF(call)                                           \
	({                                                      \
		errno = ELNRNG;                                 \
		FILE *cases_file = (call);                      \
		tell_result(#call, cases_file ? 0 : -1, errno); \
		cases_file;                                     \
	})

static int changed_by_isatty(void)
{
	return errno == ENOTTY ? 0 : errno;
}

static void talked_through_a_file(void)
{
	int ends[2];
	char line[64] = "";
	tcp_pair(ends);
	FILE *file = FILE_OF(fdopen(ends[0], "r+"));
	CALL(fileno(file));
	CALL(fprintf(file, "hello %d\n", 1));
	CALL(fflush(file));
	CALL(recv(ends[1], line, sizeof(line), 0));
	CALL(send(ends[1], "one\ntwo\n", 8, 0));
	tell("%s", fgets(line, sizeof(line), file));
	tell("%s", fgets(line, sizeof(line), file));
	CALL(shutdown(ends[1], SHUT_WR));
	errno = 0;
	tell("%d", fgets(line, sizeof(line), file) == NULL);
	tell("end %d, error %d, %d", !!feof(file), !!ferror(file), changed_by_isatty());
	CALL(fputs("unflushed", file));
	CALL(fclose(file));
	CALL(recv(ends[1], line, sizeof(line), MSG_WAITALL));
	CALL(fcntl(ends[0], F_GETFD));
	CALL(recv(ends[1], line, 1, 0));
}

static void made_of_bad_ones(void)
{
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	int pipes[2];
	MUST(pipe(pipes));
	FILE_OF(fdopen(fd, "q"));
	FILE_OF(fdopen(-1, "r"));
	FILE_OF(fdopen(777, "r"));
	FILE_OF(fdopen(pipes[0], "w"));
	FILE *file = FILE_OF(fdopen(pipes[0], "r"));
	CALL(close(pipes[0]));
	CALL(fclose(file));
	CALL(fcntl(fd, F_GETFD));
}

/* The number of a FILE is closed under it, and taken by somebody else. */
static void closed_under_its_file(void)
{
	int ends[2];
	tcp_pair(ends);
	FILE *file = FILE_OF(fdopen(ends[0], "r+"));
	CALL(close(ends[0]));
	CALL(socket(AF_INET6, SOCK_STREAM, 0));
	CALL(fclose(file)); /* closes that one */
	CALL(fcntl(ends[0], F_GETFD));
	file = FILE_OF(fdopen(ends[1], "r+"));
	CALL(close(ends[1]));
	CALL(fclose(file));
}

/* What was written and not flushed goes to nobody: the peer has reset the connection. */
static void closed_with_unflushed_data(void)
{
	int ends[2];
	struct linger at_once = {1, 0};
	for (int round = 0; round < 2; round++) {
		signal(SIGPIPE, SIG_IGN);
		tcp_pair(ends);
		FILE *file = FILE_OF(fdopen(ends[0], "r+"));
		CALL(fputs("never to arrive", file));
		MUST(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
		MUST(close(ends[1]));
		MUST(poll(&(struct pollfd){ends[0], POLLRDHUP, 0}, 1, -1));
		CALL(round ? fflush(file) : 0);
		CALL(fclose(file));
		CALL(fcntl(ends[0], F_GETFD));
	}
	tcp_pair(ends);
	FILE *file = FILE_OF(fdopen(ends[0], "r+"));
	CALL(fputs("never to arrive", file));
	CALL(shutdown(ends[0], SHUT_WR));
	signal(SIGPIPE, SIG_DFL);
	pid_t child = fork();
	if (child == 0)
		_exit(fclose(file) == EOF);
	tell_end_of("child", child);
	signal(SIGPIPE, SIG_IGN);
	CALL(fclose(file));
}

static void opened_anew(void)
{
	int ends[2], others[2];
	char byte;
	tcp_pair(ends);
	tcp_pair(others);
	FILE *file = FILE_OF(fdopen(ends[0], "r+"));
	FILE_OF(freopen("/dev/null", "w", file));
	CALL(fileno(file));
	CALL(recv(ends[1], &byte, 1, 0));
	CALL(fclose(file));
	file = FILE_OF(fdopen(others[0], "r+"));
	FILE_OF(freopen("/dev/null/nothing", "r", file));
	tell_fds("not opened anew");
	CALL(recv(others[1], &byte, 1, MSG_DONTWAIT));
	/* and without a path, which no socket has */
	file = FILE_OF(fdopen(others[1], "r+"));
	FILE_OF(freopen(NULL, "r", file));
	tell_fds("no other mode");
	file = FILE_OF(fopen("/dev/null", "r"));
	int number = fileno(file);
	FILE_OF(freopen64("/dev/zero", "r", file));
	CALL(fileno(file) == number);
	CALL(fgetc(file));
	CALL(fclose(file));
}

static void standard_output_is_a_socket(void)
{
	int ends[2];
	char text[64] = "";
	tcp_pair(ends);
	CALL(fflush(stdout));
	CALL(dup2(ends[0], STDOUT_FILENO));
	CALL(printf("to a socket\n"));
	CALL(fflush(stdout));
	CALL(recv(ends[1], text, sizeof(text), 0));
	CALL(dprintf(STDOUT_FILENO, "%s %d", "past the buffer", 7));
	CALL(recv(ends[1], text, sizeof(text), 0));
	CALL(fclose(stdout));
	CALL(close(ends[0]));
	CALL(recv(ends[1], text, sizeof(text), 0));
}

/* The compiler knows that pclose() is meant for what popen() gave. */
static __attribute__((noinline)) int close_any(FILE *file)
{
	return fclose(file);
}

static void programs_behind_pipes(void)
{
	int ends[2];
	char text[64] = "";
	tcp_pair(ends);
	FILE *in = FILE_OF(popen("echo hello; exit 3", "r"));
	FILE *out = FILE_OF(popen("cat >&2", "w"));
	CALL(fileno(in));
	CALL(fileno(out));
	CALL(fputs("said\n", out));
	tell("%s", fgets(text, sizeof(text), in));
	CALL(pclose(in));
	CALL(pclose(out));
	FILE_OF(popen("true", "q"));
	in = FILE_OF(popen("exec cat", "r+"));
	in = FILE_OF(popen("kill -9 $$", "r"));
	CALL(pclose(in));
	in = FILE_OF(popen("exit 5", "re"));
	CALL(close_any(in)); /* the same for such a FILE */
	FILE *plain = FILE_OF(fopen("/dev/null", "r"));
	CALL(fclose(plain));
	CALL(system("exit 7"));
	CALL(system(NULL) != 0);
	tell_fds("after all");
	CALL(send(ends[0], "x", 1, 0));
	CALL(recv(ends[1], text, 1, 0));
}

/* A child that closes what it inherited, and its FILEs, takes nothing from its parent. */
static void closed_in_a_child(void)
{
	int ends[2];
	char byte;
	tcp_pair(ends);
	FILE *file = FILE_OF(fdopen(ends[0], "r+"));
	CALL(fputs("pending", file));
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		close(ends[1]);
		_exit(fclose(file));
	}
	tell_end_of("child", child);
	CALL(recv(ends[1], &byte, 1, 0));
	tell("%c", byte);
	CALL(send(ends[0], "x", 1, 0));
	CALL(fflush(file));
}

/* They are flushed, and their numbers stay open (glibc's fcloseall()). */
static void all_files_at_once(void)
{
	int ends[2];
	char text[16] = "";
	tcp_pair(ends);
	FILE *file = FILE_OF(fdopen(ends[0], "r+"));
	FILE *plain = FILE_OF(fopen("/dev/null", "r"));
	CALL(fputs("pending", file));
	CALL(fcloseall());
	CALL(recv(ends[1], text, sizeof(text), 0));
	tell("%s", text);
	CALL(fcntl(ends[0], F_GETFD));
	CALL(fcntl(fileno(plain), F_GETFD));
	CALL(close(ends[0]));
	CALL(recv(ends[1], text, sizeof(text), 0));
}

static void files_without_a_name(void)
{
	char bytes[16] = "in memory";
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	FILE *file = FILE_OF(tmpfile());
	CALL(fileno(file));
	CALL(fputs("x", file));
	CALL(fclose(file));
	file = FILE_OF(fmemopen(bytes, sizeof(bytes), "r"));
	CALL(fileno(file));
	CALL(fgetc(file));
	CALL(fclose(file));
	char *grown = NULL;
	size_t n = 0;
	file = FILE_OF(open_memstream(&grown, &n));
	CALL(fputs("grown", file));
	CALL(fclose(file));
	tell("%s %zu", grown, n);
	free(grown);
	file = FILE_OF(fopencookie(&n, "r+", (cookie_io_functions_t){0}));
	CALL(fclose(file));
}

static const struct cases_case cases[] = {
	CASE(talked_through_a_file), CASE(made_of_bad_ones),
	CASE(closed_under_its_file), CASE(closed_with_unflushed_data),
	CASE(opened_anew),           CASE(standard_output_is_a_socket),
	CASE(programs_behind_pipes), CASE(closed_in_a_child),
	CASE(all_files_at_once),     CASE(files_without_a_name),
};

CASES_MAIN(cases)
