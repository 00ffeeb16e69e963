/* dispositions - all ways to install a handler, for the report signal and others, and what a program is told of its own. */
#include "cases.h"

#include <pthread.h>
#include <signal.h>

typedef void handler_fn(int number);
extern handler_fn *bsd_signal(int number, handler_fn *handler);
extern handler_fn *__sysv_signal(int number, handler_fn *handler);

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static volatile int handled, handled_info;

static void handle(int number)
{
	handled += number > 0;
}

static void handle_info(int number, siginfo_t *info, void *context)
{
	handled_info += number == info->si_signo && context;
}

static const char *name_of(handler_fn *handler)
{
	return handler == SIG_DFL               ? "default"
	       : handler == SIG_IGN             ? "ignored"
	       : handler == SIG_ERR             ? "an error"
	       : handler == SIG_HOLD            ? "held"
	       : handler == handle              ? "own"
	       : (void *)handler == handle_info ? "own with info"
	                                        : "foreign";
}

static void tell_action(int number)
{
	struct sigaction action;
	uint64_t mask = 0;
	memset(&action, 0x55, sizeof(action));
	errno = ELNRNG;
	int result = sigaction(number, NULL, &action);
	memcpy(&mask, &action.sa_mask, sizeof(mask));
	tell("%d is %s, flags %x, mask %llx, restorer %d: %d, errno %d", number,
	     name_of(action.sa_handler), (unsigned)action.sa_flags, (unsigned long long)mask,
	     action.sa_restorer != NULL, result, errno == ELNRNG);
}

static void tell_count(const char *what)
{
	tell("%s: %d and %d", what, handled, handled_info);
}

/* ---- one way each: installed, called, taken back, ignored ---- */

typedef handler_fn *install_fn(int number, handler_fn *handler);

static handler_fn *by_sigaction(int number, handler_fn *handler)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
	MUST(sigaddset(&action.sa_mask, SIGWINCH));
	return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

static handler_fn *by_sigignore(int number, handler_fn *handler)
{
	if (handler == SIG_IGN)
		return sigignore(number) == 0 ? SIG_DFL : SIG_ERR;
	return signal(number, handler);
}

static handler_fn *after_siginterrupt(int number, handler_fn *handler)
{
	CALL(siginterrupt(number, handler != SIG_IGN));
	tell_action(number);
	return signal(number, handler);
}

static void tell_install(install_fn *install, int number, handler_fn *handler)
{
	errno = ELNRNG;
	handler_fn *before = install(number, handler);
	tell("%s after %s: errno %s", name_of(handler), name_of(before),
	     errno == ELNRNG ? "as it was" : strerrorname_np(errno));
	tell_action(number);
}

static void try_way(install_fn *install, int number)
{
	tell_action(number);
	tell_install(install, number, SIG_DFL);
	tell_install(install, number, handle);
	CALL(raise(number));
	tell_count("raised");
	tell_action(number); /* some are called once */
	tell_install(install, number, handle);
	tell_install(install, number, handle);
	CALL(kill(getpid(), number));
	tell_count("killed");
	tell_install(install, number, SIG_IGN);
	CALL(raise(number));
	tell_count("ignored");
	tell_install(install, number, SIG_DFL);
	tell_install(install, number, SIG_IGN);
	tell_install(install, number, SIG_ERR);
	tell_install(install, number, handle);
	CALL(raise(number));
	tell_count("at last");
}

static void try_way_on_all(install_fn *install)
{
	int ends[2];
	tcp_pair(ends);
	try_way(install, SIGUSR1);
	try_way(install, SIGUSR2);
	try_way(install, SIGRTMIN + 5);
	tell_install(install, 0, handle);
	tell_install(install, 65, handle);
	tell_install(install, SIGKILL, handle);
	tell_install(install, SIGSTOP, SIG_IGN);
	tell_install(install, 33, SIG_DFL); /* libc's own */
}

#define WAY(name, install)                    \
	static void installed_by_##name(void) \
	{                                     \
		try_way_on_all(install);      \
	}
WAY(sigaction, by_sigaction)
WAY(signal, signal)
WAY(bsd_signal, bsd_signal)
WAY(ssignal, ssignal)
WAY(sysv_signal, sysv_signal)
WAY(other_sysv_signal, __sysv_signal)
WAY(sigset, sigset)
WAY(sigignore, by_sigignore)
WAY(siginterrupt, after_siginterrupt)

/* Before there is any socket, and another way each time. */
static void installed_before_sockets(void)
{
	int ends[2];
	try_way(sigset, SIGUSR1);
	tcp_pair(ends);
	try_way(sysv_signal, SIGUSR1);
	try_way(by_sigaction, SIGUSR1);
	try_way(after_siginterrupt, SIGUSR1);
}

/* ---- what is told of flags and masks ---- */

static void tell_set(int number, handler_fn *handler, unsigned flags, uint64_t mask)
{
	struct sigaction action, old;
	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	action.sa_flags = (int)flags;
	memcpy(&action.sa_mask, &mask, sizeof(mask));
	memset(&old, 0x55, sizeof(old));
	CALL(sigaction(number, &action, &old));
	uint64_t before = 0;
	memcpy(&before, &old.sa_mask, sizeof(before));
	tell("was %s, flags %x, mask %llx, restorer %d", name_of(old.sa_handler),
	     (unsigned)old.sa_flags, (unsigned long long)before, old.sa_restorer != NULL);
	tell_action(number);
}

static void tell_flags_of(int number)
{
	static const unsigned flags[] = {0,
	                                 SA_RESTART,
	                                 SA_SIGINFO,
	                                 SA_RESETHAND,
	                                 SA_NODEFER,
	                                 SA_ONSTACK,
	                                 SA_NOCLDSTOP | SA_NOCLDWAIT,
	                                 0x20000000 /* SA_INTERRUPT */,
	                                 0x400 /* SA_UNSUPPORTED */,
	                                 0x800 /* SA_EXPOSE_TAGBITS */,
	                                 0xffffffff};
	/* The default first: there a report signal is not given up. */
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		tell_set(number, SIG_DFL, flags[i], 1ull << i | 1ull << (63 - i));
	tell_set(number, SIG_DFL, 0, ~0ull);
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		tell_set(number, handle, flags[i], 1ull << i | 1ull << (63 - i));
	tell_set(number, SIG_IGN, SA_RESTART, ~0ull);
	tell_set(number, SIG_DFL, 0, 0);
}

static void flags_and_masks(void)
{
	int ends[2];
	tell_flags_of(SIGUSR2);
	tcp_pair(ends);
	tell_flags_of(SIGUSR1);
	tell_flags_of(SIGRTMIN + 5);
	tell_flags_of(SIGHUP);
}

static void called_once(void)
{
	int ends[2];
	tcp_pair(ends);
	for (int number = SIGUSR1; number <= SIGUSR2; number += SIGUSR2 - SIGUSR1) {
		tell_set(number, handle, SA_RESETHAND | SA_RESTART, 1);
		CALL(raise(number));
		tell_action(number);
		struct sigaction info = {.sa_sigaction = handle_info,
		                         .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER)};
		CALL(sigaction(number, &info, NULL));
		CALL(raise(number));
		tell_action(number);
	}
	tell_count("called");
}

/* ---- processes, threads, other signals ---- */

static void forked_children_have_their_own(void)
{
	int ends[2];
	tcp_pair(ends);
	tell_set(SIGUSR1, SIG_DFL, SA_RESTART, 2);
	for (int round = 0; round < 2; round++) {
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			tell_action(SIGUSR1);
			tell_action(SIGUSR2);
			tell_set(SIGUSR1, handle, SA_RESTART, 4);
			CALL(raise(SIGUSR1));
			tell_count("child");
			tell_set(SIGUSR1, SIG_DFL, 0, 0);
			raise(SIGUSR1);
			_exit(9);
		}
		tell_end_of("child", child);
		tell_action(SIGUSR1);
		tell_count("parent");
		CALL(signal(SIGUSR2, handle) != SIG_ERR);
	}
}

static void untouched_children_have_nothing_set(void)
{
	int ends[2];
	tcp_pair(ends);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		for (int number = 1; number < 32; number++)
			tell_action(number);
		raise(SIGUSR1);
		_exit(9);
	}
	tell_end_of("child", child);
}

static void tell_all(const char *when)
{
	sigset_t mask;
	stack_t stack;
	tell("%s", when);
	for (int number = 1; number < 65; number++)
		tell_action(number);
	MUST(-pthread_sigmask(SIG_SETMASK, NULL, &mask));
	for (int number = 1; number < 65; number++)
		if (sigismember(&mask, number) == 1)
			tell("%d is blocked", number);
	MUST(sigaltstack(NULL, &stack));
	tell("stack: flags %x, %d bytes", (unsigned)stack.ss_flags, (int)stack.ss_size);
}

static void *tell_of_thread(void *unused)
{
	int ends[2];
	sigset_t some;
	tell_all("thread");
	tcp_pair(ends);
	MUST(sigemptyset(&some));
	MUST(sigaddset(&some, SIGUSR1));
	MUST(-pthread_sigmask(SIG_BLOCK, &some, NULL));
	tell_all("thread with sockets");
	return unused;
}

static void all_signals_and_threads(void)
{
	int ends[2];
	pthread_t thread;
	sigset_t some;
	tell_all("at first");
	MUST(sigemptyset(&some));
	MUST(sigaddset(&some, SIGTERM));
	MUST(sigaddset(&some, SIGSEGV));
	MUST(sigprocmask(SIG_BLOCK, &some, NULL));
	tcp_pair(ends);
	tell_all("with sockets");
	MUST(-pthread_create(&thread, NULL, tell_of_thread, NULL));
	pthread_join(thread, NULL);
	tell_all("after a thread");
}

static void end_child(int status)
{
	if (MUST(fork()) == 0)
		_exit(socket(AF_INET, SOCK_STREAM, 0) >= 0 ? status : 99);
}

/* Children that leave nothing to wait for. */
static void children_that_are_not_waited_for(void)
{
	int ends[2], status;
	tcp_pair(ends);
	tell_set(SIGCHLD, SIG_DFL, SA_NOCLDWAIT, 0);
	end_child(1);
	CALL(wait(&status));
	tell_set(SIGCHLD, SIG_IGN, 0, 0);
	end_child(2);
	CALL(wait(&status));
	tell_set(SIGCHLD, handle, SA_NOCLDWAIT | SA_RESTART, 0);
	end_child(3);
	CALL(wait(&status));
	tell_count("called");
	tell_set(SIGCHLD, handle, SA_RESTART, 0);
	end_child(4);
	CALL(wait(&status) > 0);
	tell("status %d", WEXITSTATUS(status));
	tell_count("called");
}

static const struct cases_case cases[] = {
	CASE(installed_by_sigaction),
	CASE(installed_by_signal),
	CASE(installed_by_bsd_signal),
	CASE(installed_by_ssignal),
	CASE(installed_by_sysv_signal),
	CASE(installed_by_other_sysv_signal),
	CASE(installed_by_sigset),
	CASE(installed_by_sigignore),
	CASE(installed_by_siginterrupt),
	CASE(installed_before_sockets),
	CASE(flags_and_masks),
	CASE(called_once),
	CASE(forked_children_have_their_own),
	CASE(untouched_children_have_nothing_set),
	CASE(all_signals_and_threads),
	CASE(children_that_are_not_waited_for),
};

CASES_MAIN(cases)
