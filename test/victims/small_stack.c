/* small_stack - opens a socket in a signal handler on an alternate stack of the size that the
 * system names for one (sysconf(_SC_SIGSTKSZ)), with a page below it that nobody may touch.
 *
 * `small_stack first|later`: whether it is the first socket of the process. Says "ok SIZE FD".
 */
#include "victim.h"

#include <signal.h>
#include <sys/mman.h>

static volatile sig_atomic_t fd_seen = -1;

static void on_signal(int signo)
{
	(void)signo;
	int saved = errno;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	fd_seen = fd;
	if (fd < 0 || close(fd) != 0)
		_exit(4);
	errno = saved;
}

static void use_alternate_stack(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t whole = (size + page - 1) / page * page + page;
	char *memory =
		mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0)
		die("memory");
	stack_t stack = {.ss_sp = memory + page, .ss_size = size};
	if (sigaltstack(&stack, NULL) != 0)
		die("sigaltstack");
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	size_t size = (size_t)sysconf(_SC_SIGSTKSZ);
	if (argc != 2)
		return 2;
	if (strcmp(argv[1], "later") == 0 && close(socket(AF_INET, SOCK_STREAM, 0)) != 0)
		die("socket");
	use_alternate_stack(size);
	if (sigaction(SIGUSR2, &action, NULL) != 0)
		die("sigaction");
	for (int i = 0; i < 10; i++) {
		if (raise(SIGUSR2) != 0)
			die("raise");
	}
	say("ok %zu %d", size, fd_seen);
	return 0;
}
