/* signals - how they come: their information and masks, those that are waited for, those of sockets and timers. */
#include "cases.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <time.h>

static int ends[2];

static sigset_t set_of(int number)
{
	sigset_t set;
	MUST(sigemptyset(&set));
	MUST(sigaddset(&set, number));
	return set;
}

static void tell_mask(const char *when)
{
	sigset_t mask;
	uint64_t bits = 0;
	MUST(sigprocmask(SIG_SETMASK, NULL, &mask));
	memcpy(&bits, &mask, sizeof(bits));
	tell("%s: mask %llx", when, (unsigned long long)bits);
}

/* ---- what a handler is told ---- */

static void tell_info(const char *who, const siginfo_t *info)
{
	bool has_sender =
		info->si_code == SI_USER || info->si_code == SI_TKILL || info->si_code == SI_QUEUE;
	tell("%s: signal %d, code %d, errno %d, from here %d, value %d", who, info->si_signo,
	     info->si_code, info->si_errno, has_sender && info->si_pid == getpid(),
	     info->si_code == SI_QUEUE || info->si_code == SI_TIMER ? info->si_value.sival_int : 0);
}

static void handle_info(int number, siginfo_t *info, void *context)
{
	int before = errno;
	tell("%d, with a context %d", number, context != NULL);
	tell_info("handler", info);
	tell_mask("in the handler");
	errno = before;
}

static void catch_with(int number, int flags)
{
	struct sigaction action = {.sa_sigaction = handle_info, .sa_flags = SA_SIGINFO | flags};
	action.sa_mask = set_of(SIGWINCH);
	CALL(sigaction(number, &action, NULL));
}

static void *wait_for_end(void *at)
{
	MUST(sem_wait(at));
	return NULL;
}

static void send_in_all_ways(int number)
{
	union sigval value = {.sival_int = 4711};
	struct itimerspec soon = {.it_value.tv_nsec = 1};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
	timer_t timer;
	sigset_t before, all;
	CALL(raise(number));
	CALL(kill(getpid(), number));
	CALL(pthread_kill(pthread_self(), number));
	CALL(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number));
	CALL(sigqueue(getpid(), number, value));
	CALL(pthread_sigqueue(pthread_self(), number, value));
	event.sigev_value.sival_int = 17;
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
	MUST(sigfillset(&all));
	MUST(sigprocmask(SIG_SETMASK, &all, &before));
	MUST(timer_settime(timer, 0, &soon, NULL));
	MUST(sigdelset(&before, number));
	CALL(sigsuspend(&before));
	MUST(sigprocmask(SIG_SETMASK, &before, NULL));
	MUST(timer_delete(timer));
}

static void handlers_are_told_all(void)
{
	tcp_pair(ends);
	catch_with(SIGUSR1, 0);
	catch_with(SIGUSR2, SA_RESTART | SA_NODEFER);
	catch_with(SIGRTMIN + 3, SA_RESTART);
	send_in_all_ways(SIGUSR1);
	send_in_all_ways(SIGUSR2);
	send_in_all_ways(SIGRTMIN + 3);
	errno = E2BIG;
	raise(SIGUSR1);
	tell("errno is as it was: %d", errno == E2BIG);
}

static void handlers_of_a_thread(void)
{
	pthread_t thread;
	sem_t end;
	tcp_pair(ends);
	catch_with(SIGUSR1, SA_RESTART);
	sigset_t one = set_of(SIGUSR1);
	MUST(sem_init(&end, 0, 0));
	MUST(-pthread_create(&thread, NULL, wait_for_end, &end));
	MUST(-pthread_sigmask(SIG_BLOCK, &one, NULL));
	MUST(-pthread_kill(thread, SIGUSR1));
	MUST(sem_post(&end));
	pthread_join(thread, NULL);
	CALL(kill(getpid(), SIGUSR1)); /* nobody takes it but this thread, later */
	tell_mask("before");
	MUST(-pthread_sigmask(SIG_UNBLOCK, &one, NULL));
	tell_mask("after");
}

static volatile int depth, calls; /* raise() is said not to come back here */

static void nest(int number)
{
	tell("depth %d", depth);
	tell_mask("in the handler");
	depth++;
	if (calls++ < 2)
		raise(number);
	depth--;
	tell("depth %d again", depth);
}

static void nested_handlers(void)
{
	tcp_pair(ends);
	for (int number = SIGUSR1; number <= SIGUSR2; number += SIGUSR2 - SIGUSR1)
		for (int round = 0; round < 2; round++) {
			struct sigaction action = {.sa_handler = nest,
			                           .sa_flags = round ? SA_NODEFER : 0};
			depth = calls = 0;
			CALL(sigaction(number, &action, NULL));
			CALL(raise(number));
		}
}

static char stack_bytes[65536];

static void tell_stack(int number)
{
	char here;
	stack_t stack;
	MUST(sigaltstack(NULL, &stack));
	tell("%d on the other stack: %d, flags %d", number,
	     &here >= stack_bytes && &here < stack_bytes + sizeof(stack_bytes), stack.ss_flags);
}

static void handlers_on_another_stack(void)
{
	stack_t stack = {.ss_sp = stack_bytes, .ss_size = sizeof(stack_bytes)};
	tcp_pair(ends);
	CALL(sigaltstack(&stack, NULL));
	for (int flags = 0; flags <= SA_ONSTACK; flags += SA_ONSTACK) {
		struct sigaction action = {.sa_handler = tell_stack, .sa_flags = flags};
		CALL(sigaction(SIGUSR1, &action, NULL));
		CALL(sigaction(SIGUSR2, &action, NULL));
		CALL(raise(SIGUSR1));
		CALL(raise(SIGUSR2));
	}
}

/* ---- waiting for them: the program takes what is pending before any handler ---- */

static void waited_for(void)
{
	struct timespec none = {0, 0};
	siginfo_t info = {0};
	int number = 0;
	sigset_t pending, one = set_of(SIGUSR1);
	CALL(sigprocmask(SIG_BLOCK, &one, NULL));
	tcp_pair(ends);
	for (int round = 0; round < 2; round++) {
		CALL(sigtimedwait(&one, &info, &none));
		CALL(raise(SIGUSR1));
		MUST(sigpending(&pending));
		tell("pending: %d", sigismember(&pending, SIGUSR1));
		CALL(sigwait(&one, &number));
		CALL(kill(getpid(), SIGUSR1));
		CALL(sigwaitinfo(&one, &info));
		tell_info("waited", &info);
		CALL(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 3}));
		CALL(sigtimedwait(&one, &info, &none));
		tell_info("waited", &info);
		/* ... and with a handler that is never called. */
		catch_with(SIGUSR1, SA_RESTART);
	}
}

static void read_by_descriptor(void)
{
	struct signalfd_siginfo info;
	sigset_t one = set_of(SIGUSR1);
	CALL(sigprocmask(SIG_BLOCK, &one, NULL));
	tcp_pair(ends);
	int fd = CALL(signalfd(-1, &one, SFD_NONBLOCK | SFD_CLOEXEC));
	int set = CALL(epoll_create1(0));
	struct epoll_event event = {.events = EPOLLIN}, found;
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	CALL(epoll_wait(set, &found, 1, 0));
	CALL(read(fd, &info, sizeof(info)));
	CALL(raise(SIGUSR1));
	CALL(epoll_wait(set, &found, 1, 0));
	CALL(read(fd, &info, sizeof(info)) == sizeof(info));
	tell("signal %u, code %d, from here %d", info.ssi_signo, info.ssi_code,
	     info.ssi_pid == (uint32_t)getpid());
	CALL(read(fd, &info, sizeof(info)));
}

/* The mask is let down for the time of one call. */
static void let_in_for_one_call(void)
{
	struct timespec none = {0, 0};
	sigset_t one = set_of(SIGUSR1), empty;
	struct epoll_event event;
	tcp_pair(ends);
	struct pollfd file = {.fd = ends[0], .events = POLLIN};
	int set = (int)MUST(epoll_create1(0));
	catch_with(SIGUSR1, SA_RESTART);
	MUST(sigemptyset(&empty));
	MUST(sigprocmask(SIG_BLOCK, &one, NULL));
	CALL(raise(SIGUSR1));
	CALL(sigsuspend(&empty));
	CALL(raise(SIGUSR1));
	CALL(ppoll(&file, 1, &none, &empty));
	CALL(raise(SIGUSR1));
	CALL(ppoll(&file, 1, NULL, &empty));
	CALL(raise(SIGUSR1));
	CALL(pselect(0, NULL, NULL, NULL, NULL, &empty));
	CALL(raise(SIGUSR1));
	CALL(epoll_pwait(set, &event, 1, -1, &empty));
	tell_mask("at last");
}

/* ---- of sockets themselves ---- */

static void signals_of_sockets(void)
{
	tcp_pair(ends);
	catch_with(SIGIO, SA_RESTART);
	catch_with(SIGURG, SA_RESTART);
	CALL(fcntl(ends[0], F_SETOWN, getpid()));
	sigset_t urgent = set_of(SIGURG), before, io = set_of(SIGIO);
	MUST(sigprocmask(SIG_BLOCK, &urgent, &before));
	CALL(send(ends[1], "!", 1, MSG_OOB));
	CALL(sigsuspend(&before));
	MUST(sigprocmask(SIG_BLOCK, &io, NULL));
	CALL(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK));
	CALL(fcntl(ends[0], F_GETOWN) == getpid());
	CALL(send(ends[1], "x", 1, 0));
	CALL(sigsuspend(&before));
}

static volatile int alarms;

static void count_alarm(int number)
{
	alarms += number == SIGALRM;
}

static void timers_while_sockets_are_opened(void)
{
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}}, found;
	struct sigaction action = {.sa_handler = count_alarm, .sa_flags = SA_RESTART};
	int wrong = 0;
	CALL(sigaction(SIGALRM, &action, NULL));
	CALL(setitimer(ITIMER_REAL, &often, NULL));
	for (int i = 0; i < 300 || alarms < 20; i++) {
		char byte;
		tcp_pair(ends);
		wrong += write(ends[0], "x", 1) != 1 || read(ends[1], &byte, 1) != 1;
		wrong += close(ends[0]) != 0 || close(ends[1]) != 0;
	}
	MUST(setitimer(ITIMER_REAL, &never, &found));
	tell("wrong: %d, interval %ld", wrong, (long)found.it_interval.tv_usec);
	tcp_pair(ends);
}

static const struct cases_case cases[] = {
	CASE(handlers_are_told_all),
	CASE(handlers_of_a_thread),
	CASE(nested_handlers),
	CASE(handlers_on_another_stack),
	CASE(waited_for),
	CASE(read_by_descriptor),
	CASE(let_in_for_one_call),
	CASE(signals_of_sockets),
	CASE(timers_while_sockets_are_opened),
};

CASES_MAIN(cases)
