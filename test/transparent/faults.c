/* faults - broken connections, bad addresses, and what the program dies of: the same death as without. */
#include "cases.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static int ends[2];
static char stack_bytes[65536];
static volatile int counted;

static void count(int number)
{
	counted += number == SIGPIPE;
}

/* ---- broken connections ---- */

enum { BY_WRITE, BY_SEND, BY_WRITEV, BY_SENDMSG, BY_SENDFILE, BY_DPRINTF, QUIETLY, WAYS };

static long write_by(int way, int fd)
{
	struct iovec one = {.iov_base = "x", .iov_len = 1};
	struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
	int file;
	switch (way) {
	case BY_WRITE:
		return write(fd, "x", 1);
	case BY_SEND:
		return send(fd, "x", 1, 0);
	case BY_WRITEV:
		return writev(fd, &one, 1);
	case BY_SENDMSG:
		return sendmsg(fd, &message, 0);
	case BY_SENDFILE:
		file = (int)MUST(open(cases_output, O_RDONLY));
		return sendfile(fd, file, NULL, 1);
	case BY_DPRINTF:
		return dprintf(fd, "x");
	default:
		return send(fd, "x", 1, MSG_NOSIGNAL);
	}
}

static void break_it(void)
{
	char byte;
	tcp_pair(ends);
	MUST(write(ends[0], "x", 1));
	MUST(close(ends[1])); /* with a byte unread: RST */
	while (read(ends[0], &byte, 1) > 0)
		;
}

static void written_to_when_broken(void)
{
	for (int way = 0; way < WAYS; way++) {
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			break_it();
			CALL(write_by(way, ends[0]));
			_exit(0);
		}
		tell_end_of("default", child);
	}
	break_it();
	CALL(signal(SIGPIPE, count) != SIG_ERR);
	for (int way = 0; way < WAYS; way++)
		CALL(write_by(way, ends[0]));
	tell("called: %d", counted);
	CALL(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	for (int way = 0; way < WAYS; way++)
		CALL(write_by(way, ends[0]));
	CALL(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	CALL(write_by(QUIETLY, ends[0]));
	write_by(BY_WRITE, ends[0]); /* dies here */
}

/* ---- faults ---- */

static sigjmp_buf recovery;

static void recover(int number)
{
	siglongjmp(recovery, number);
}

static void recovered_from_faults(void)
{
	stack_t stack = {.ss_sp = stack_bytes, .ss_size = sizeof(stack_bytes)};
	struct sigaction action = {.sa_handler = recover, .sa_flags = SA_ONSTACK};
	volatile int faults = 0;
	void *guarded = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(sigaltstack(&stack, NULL));
	CALL(sigaction(SIGSEGV, &action, NULL));
	CALL(sigaction(SIGUSR1, &action, NULL));
	for (volatile int i = 0; i < 100; i++) {
		if (sigsetjmp(recovery, 1) == 0) {
			tcp_pair(ends);
			if (i % 2)
				raise(SIGUSR1);
			*(volatile char *)guarded = 1;
		}
		faults++;
		MUST(close(ends[0]));
		MUST(close(ends[1]));
	}
	tell("faults: %d", faults);
	sigset_t mask;
	MUST(sigprocmask(SIG_SETMASK, NULL, &mask));
	tell("blocked: %d, %d", sigismember(&mask, SIGSEGV), sigismember(&mask, SIGUSR1));
	CALL(read(MUST(socket(AF_INET, SOCK_STREAM, 0)), guarded, 1));
	tcp_pair(ends);
	CALL(write(ends[0], guarded, 1));
	MUST(write(ends[0], "x", 1));
	CALL(recv(ends[1], guarded, 1, 0));
}

static void deaths(void)
{
	static const int numbers[] = {SIGSEGV, SIGABRT, SIGBUS,  SIGQUIT,   SIGTRAP, SIGSYS,
	                              SIGUSR1, SIGUSR2, SIGTERM, SIGVTALRM, SIGXCPU};
	struct rlimit none = {0, 0};
	int status;
	MUST(setrlimit(RLIMIT_CORE, &none));
	tcp_pair(ends);
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			tcp_pair(ends);
			raise(numbers[i]);
			_exit(9);
		}
		MUST(waitpid(child, &status, 0));
		tell("signal %d, core %d", WTERMSIG(status), WCOREDUMP(status) != 0);
	}
	abort();
}

static const struct cases_case cases[] = {
	CASE(written_to_when_broken),
	CASE(recovered_from_faults),
	CASE(deaths),
};

CASES_MAIN(cases)
