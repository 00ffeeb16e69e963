/* test_signal.c - the report signal, and a program that must not notice it. Each test is a process of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/process.h"
#include "captured.h"
#include "child.h"
#include "control/signal.h"
#include "watch/worker.h"

#define NAMED (SIGRTMIN + 5)
#define STEPPED_ASIDE                                                                            \
	"sockleak: the program uses SIGUSR1 itself: no reports by signal; signal=RTMIN+5 names " \
	"another\n"
#define PUT_OFF                                                                           \
	"sockleak: all sockets of this process were opened in signal handlers, where no " \
	"thread of ours can be started: no report\n"
#define NOTHING_YET "sockleak: no TCP socket was opened in this process yet: nothing to report\n"

static void start(int64_t number)
{
	sl_options_defaults(&sl_options);
	sl_options.signal = number;
	sl_process_start(sl_signal_forked);
	sl_signal_start(sigaction);
}

/* What the kernel has. */
static struct sigaction real_disposition(int number)
{
	struct sigaction action;
	CHECK(sigaction(number, NULL, &action) == 0);
	return action;
}

/* What the program is told. */
static struct sigaction told(int number)
{
	struct sigaction action;
	memset(&action, 0x55, sizeof(action));
	CHECK(sl_signal_act(number, NULL, &action) == 0);
	return action;
}

static _Atomic int handled;

static void handle(int number)
{
	(void)number;
	handled++;
}

static int act(int number, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	return sl_signal_act(number, &action, NULL);
}

/* ---- a worker that counts what is asked of it ---- */

static _Atomic unsigned turns_by_signal;

static void no_duty(void)
{
}

static uint64_t count_turn(unsigned wanted, const struct sl_pressure *pressure)
{
	(void)pressure;
	if (wanted & SL_WANTED_BY_SIGNAL)
		turns_by_signal++;
	return 1000;
}

static bool nothing_to_end(void)
{
	return true;
}

static unsigned no_threads(void)
{
	return 0;
}

static void start_worker(void)
{
	static const struct sl_worker_duties duties = {
		.start = no_duty, .turn = count_turn, .end = nothing_to_end, .threads = no_threads};
	struct sl_guard g;
	sl_worker_prepare(&duties);
	CHECK(sl_guard_enter(&g));
	sl_worker_ensure(&g);
	sl_guard_leave(&g);
	CHECK(sl_worker_is_running());
}

static void await_turns(unsigned least)
{
	uint64_t until_ms = sl_clock_ms() + 5000;
	while (atomic_load(&turns_by_signal) < least && sl_clock_ms() < until_ms)
		usleep(500);
	CHECK(atomic_load(&turns_by_signal) >= least);
}

/* ---- signal=auto ---- */

static void taken_while_default_child(void)
{
	start(SL_AUTO);
	CHECK(sl_signal_is_held(SIGUSR1));
	CHECK(!sl_signal_is_held(SIGUSR2));
	CHECK(!sl_signal_is_held(0));
	CHECK(!sl_signal_is_held(-1));
	CHECK(real_disposition(SIGUSR1).sa_handler != SIG_DFL);
	CHECK(told(SIGUSR1).sa_handler == SIG_DFL);
	/* The default again, as many programs say at start: nothing changes. */
	CHECK(act(SIGUSR1, SIG_DFL, 0) == 0);
	CHECK(sl_signal_is_held(SIGUSR1));
	CHECK(real_disposition(SIGUSR1).sa_handler != SIG_DFL);
	start_worker();
	errno = 4711;
	raise(SIGUSR1);
	CHECK(errno == 4711);
	await_turns(1);
}

static void taken_while_default(void **state)
{
	(void)state;
	in_child(taken_while_default_child);
}

static void says_that_there_is_nothing_child(void)
{
	capture_stderr();
	start(SL_AUTO);
	errno = 4711;
	raise(SIGUSR1);
	int error = errno;
	const char *said = captured_stderr();
	CHECK(error == 4711);
	CHECK(strcmp(said, NOTHING_YET) == 0);
}

static void says_that_there_is_nothing(void **state)
{
	(void)state;
	in_child(says_that_there_is_nothing_child);
}

static bool is_no_place(void)
{
	return true;
}

static void says_that_it_is_put_off_child(void)
{
	static const struct sl_worker_duties duties = {.is_amidst = is_no_place};
	struct sl_guard g;
	capture_stderr();
	start(SL_AUTO);
	sl_worker_prepare(&duties);
	CHECK(sl_guard_enter(&g));
	sl_worker_ensure(&g);
	sl_guard_leave(&g);
	raise(SIGUSR1);
	CHECK(strcmp(captured_stderr(), PUT_OFF) == 0);
}

static void says_that_it_is_put_off(void **state)
{
	(void)state;
	in_child(says_that_it_is_put_off_child);
}

static void left_alone_child(void)
{
	struct sigaction mine = {.sa_handler = handle}, now;
	CHECK(signal(SIGUSR1, SIG_IGN) == SIG_DFL);
	start(SL_AUTO);
	CHECK(!sl_signal_is_held(SIGUSR1));
	CHECK(real_disposition(SIGUSR1).sa_handler == SIG_IGN);
	CHECK(sigaction(SIGUSR1, &mine, NULL) == 0);
	start(SL_AUTO);
	CHECK(!sl_signal_is_held(SIGUSR1));
	now = real_disposition(SIGUSR1);
	CHECK(now.sa_handler == handle);
	start(SL_OFF);
	CHECK(!sl_signal_is_held(SIGUSR1));
}

static void left_alone_where_in_use(void **state)
{
	(void)state;
	in_child(left_alone_child);
}

static void steps_aside_child(void)
{
	struct sigaction mine = {.sa_handler = handle, .sa_flags = SA_RESTART}, old, now;
	sigaddset(&mine.sa_mask, SIGWINCH);
	capture_stderr();
	start(SL_AUTO);
	int result = sl_signal_act(SIGUSR1, &mine, &old);
	raise(SIGUSR1);
	now = real_disposition(SIGUSR1);
	int again = sl_signal_act(SIGUSR1, &mine, NULL);
	sl_signal_say();
	sl_signal_say(); /* once */
	const char *said = captured_stderr();
	CHECK(result == 0 && again == 0);
	CHECK(old.sa_handler == SIG_DFL);
	CHECK(!sl_signal_is_held(SIGUSR1));
	CHECK(now.sa_handler == handle);
	CHECK((now.sa_flags & SA_RESTART) && sigismember(&now.sa_mask, SIGWINCH) == 1);
	CHECK(handled == 1);
	CHECK(strcmp(said, STEPPED_ASIDE) == 0);
	/* For good: the default does not bring us back. */
	CHECK(act(SIGUSR1, SIG_DFL, 0) == 0);
	CHECK(real_disposition(SIGUSR1).sa_handler == SIG_DFL);
	CHECK(told(SIGUSR1).sa_handler == SIG_DFL);
}

static void steps_aside_for_a_handler(void **state)
{
	(void)state;
	in_child(steps_aside_child);
}

static void steps_aside_ignored_child(void)
{
	capture_stderr();
	start(SL_AUTO);
	int result = act(SIGUSR1, SIG_IGN, 0);
	raise(SIGUSR1);
	sl_signal_say();
	sl_signal_say(); /* once */
	const char *said = captured_stderr();
	CHECK(result == 0);
	CHECK(!sl_signal_is_held(SIGUSR1));
	/* Ignored for real: a program that we exec inherits it. */
	CHECK(real_disposition(SIGUSR1).sa_handler == SIG_IGN);
	CHECK(strcmp(said, STEPPED_ASIDE) == 0);
}

static void steps_aside_for_ignoring(void **state)
{
	(void)state;
	in_child(steps_aside_ignored_child);
}

/* Asked for, then changed to the default, the flags still as they were: that is no handler. */
static void default_with_flags_child(void)
{
	start(SL_AUTO);
	CHECK(act(SIGUSR1, SIG_DFL, (int)(SA_SIGINFO | SA_RESETHAND)) == 0);
	CHECK(sl_signal_is_held(SIGUSR1));
	CHECK(told(SIGUSR1).sa_handler == SIG_DFL);
	CHECK(told(SIGUSR1).sa_flags & SA_SIGINFO);
	start_worker();
	raise(SIGUSR1);
	await_turns(1);
}

static void default_with_flags(void **state)
{
	(void)state;
	in_child(default_with_flags_child);
}

/* ---- a named signal ---- */

static siginfo_t last_info;
static sigset_t last_mask;

static void handle_info(int number, siginfo_t *info, void *context)
{
	CHECK(number == NAMED);
	CHECK(context != NULL);
	last_info = *info;
	sigprocmask(SIG_BLOCK, NULL, &last_mask);
	handled++;
}

static void chained_child(void)
{
	struct sigaction mine = {.sa_sigaction = handle_info, .sa_flags = SA_SIGINFO}, old;
	sigaddset(&mine.sa_mask, SIGWINCH);
	start(NAMED);
	start_worker();
	CHECK(sl_signal_is_held(NAMED) && !sl_signal_is_held(SIGUSR1));
	CHECK(real_disposition(SIGUSR1).sa_handler == SIG_DFL);
	CHECK(told(NAMED).sa_handler == SIG_DFL);
	/* Without a handler of the program's: only a report. */
	raise(NAMED);
	await_turns(1);
	CHECK(sl_signal_act(NAMED, &mine, &old) == 0);
	CHECK(old.sa_handler == SIG_DFL);
	CHECK(sl_signal_is_held(NAMED));
	CHECK(told(NAMED).sa_sigaction == handle_info);
	/* Word for word what the kernel would say: libc's restorer is among the flags. */
	struct sigaction plain;
	CHECK(sigaction(SIGUSR2, &mine, NULL) == 0 && sigaction(SIGUSR2, NULL, &plain) == 0);
	CHECK(told(NAMED).sa_flags == plain.sa_flags);
	CHECK(told(NAMED).sa_restorer == plain.sa_restorer);
	union sigval value = {.sival_int = 4711};
	CHECK(sigqueue(getpid(), NAMED, value) == 0);
	CHECK(handled == 1);
	CHECK(last_info.si_pid == getpid() && last_info.si_value.sival_int == 4711);
	CHECK(sigismember(&last_mask, SIGWINCH) == 1 && sigismember(&last_mask, NAMED) == 1);
	CHECK(sigismember(&last_mask, SIGUSR1) == 0);
	await_turns(2);
	/* Ignored by the program: a report all the same. */
	CHECK(act(NAMED, SIG_IGN, 0) == 0);
	CHECK(told(NAMED).sa_handler == SIG_IGN);
	raise(NAMED);
	await_turns(3);
	CHECK(handled == 1);
}

static void named_is_chained(void **state)
{
	(void)state;
	in_child(chained_child);
}

static void installed_before_child(void)
{
	struct sigaction mine = {.sa_handler = handle, .sa_flags = SA_NODEFER};
	sigaddset(&mine.sa_mask, SIGWINCH);
	CHECK(sigaction(SIGUSR1, &mine, NULL) == 0);
	start(SIGUSR1);
	CHECK(sl_signal_is_held(SIGUSR1));
	CHECK(told(SIGUSR1).sa_handler == handle);
	CHECK(told(SIGUSR1).sa_flags & SA_NODEFER);
	struct sigaction now = real_disposition(SIGUSR1);
	CHECK(sigismember(&now.sa_mask, SIGWINCH) == 1);
	start_worker();
	raise(SIGUSR1);
	CHECK(handled == 1);
	await_turns(1);
}

static void named_and_installed_before(void **state)
{
	(void)state;
	in_child(installed_before_child);
}

static void reset_hand_child(void)
{
	start(NAMED);
	start_worker();
	CHECK(act(NAMED, handle, (int)SA_RESETHAND) == 0);
	raise(NAMED);
	CHECK(handled == 1);
	CHECK(told(NAMED).sa_handler == SIG_DFL);
	CHECK(told(NAMED).sa_flags & (int)SA_RESETHAND); /* only the handler goes */
	await_turns(1);
	raise(NAMED);
	CHECK(handled == 1);
	await_turns(2);
	/* It may be installed again. */
	CHECK(act(NAMED, handle, (int)SA_RESETHAND) == 0);
	raise(NAMED);
	CHECK(handled == 2);
}

static void reset_hand(void **state)
{
	(void)state;
	in_child(reset_hand_child);
}

static void same_memory_child(void)
{
	struct sigaction both = {.sa_handler = handle};
	start(NAMED);
	CHECK(sl_signal_act(NAMED, &both, &both) == 0);
	CHECK(both.sa_handler == SIG_DFL);
	CHECK(told(NAMED).sa_handler == handle);
	/* errno and the thread's mask are as they were. */
	sigset_t before, after;
	sigprocmask(SIG_BLOCK, NULL, &before);
	errno = 4711;
	CHECK(sl_signal_act(NAMED, NULL, &both) == 0);
	CHECK(errno == 4711);
	sigprocmask(SIG_BLOCK, NULL, &after);
	CHECK(memcmp(&before, &after, 8) == 0);
	CHECK(both.sa_handler == handle);
}

static void action_and_old_are_the_same_memory(void **state)
{
	(void)state;
	in_child(same_memory_child);
}

static char *alternate;

static void note_stack(int number)
{
	const char *here = __builtin_frame_address(0);
	handled += number && here >= alternate && here < alternate + 65536 ? 100 : 1;
}

static void alternate_stack_child(void)
{
	alternate = malloc(65536);
	stack_t stack = {.ss_sp = alternate, .ss_size = 65536};
	CHECK(sigaltstack(&stack, NULL) == 0);
	start(NAMED);
	CHECK(act(NAMED, note_stack, SA_ONSTACK) == 0);
	raise(NAMED);
	CHECK(handled == 100);
	CHECK(act(NAMED, note_stack, 0) == 0);
	raise(NAMED);
	CHECK(handled == 101);
	/* Ours alone runs there where there is one: stacks of threads may be tiny. */
	CHECK(act(NAMED, SIG_DFL, 0) == 0);
	CHECK(real_disposition(NAMED).sa_flags & SA_ONSTACK);
	CHECK(real_disposition(NAMED).sa_flags & SA_RESTART);
}

static void the_stack_that_the_program_chose(void **state)
{
	(void)state;
	in_child(alternate_stack_child);
}

/* Without SA_RESTART the program wants its calls to end. */
static void restart_child(void)
{
	start(NAMED);
	CHECK(act(NAMED, handle, 0) == 0);
	CHECK(!(real_disposition(NAMED).sa_flags & SA_RESTART));
	CHECK(act(NAMED, handle, SA_RESTART) == 0);
	CHECK(real_disposition(NAMED).sa_flags & SA_RESTART);
}

static void restart_as_the_program_chose(void **state)
{
	(void)state;
	in_child(restart_child);
}

/* ---- children ---- */

static void forked_auto_child(void)
{
	start(SL_AUTO);
	CHECK(sl_signal_is_held(SIGUSR1));
	/* As the fork handler does. */
	int status = child_status(sl_process_forked);
	CHECK(status == 0);
	pid_t child = fork();
	if (child == 0) {
		sl_process_forked();
		CHECK(!sl_signal_is_held(SIGUSR1));
		CHECK(real_disposition(SIGUSR1).sa_handler == SIG_DFL);
		CHECK(real_disposition(SIGUSR1).sa_flags == 0); /* nobody has set it */
		raise(SIGUSR1);
		_exit(98);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
	CHECK(sl_signal_is_held(SIGUSR1));
	CHECK(real_disposition(SIGUSR1).sa_handler != SIG_DFL);
}

static void forked_under_auto(void **state)
{
	(void)state;
	in_child(forked_auto_child);
}

/* _Fork() and clone() run no handlers: the signal itself finds out, and does what it would have done. */
static void forked_unawares_child(void)
{
	int status;
	start(SL_AUTO);
	pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		syscall(SYS_kill, syscall(SYS_getpid), SIGUSR1);
		syscall(SYS_exit_group, 98);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
	CHECK(sl_signal_is_held(SIGUSR1));
}

static void forked_unawares(void **state)
{
	(void)state;
	in_child(forked_unawares_child);
}

static void forked_named_child(void)
{
	start(NAMED);
	CHECK(act(NAMED, handle, 0) == 0);
	int status;
	pid_t child = fork();
	if (child == 0) {
		sl_process_forked();
		CHECK(sl_signal_is_held(NAMED));
		CHECK(told(NAMED).sa_handler == handle);
		raise(NAMED);
		CHECK(handled == 1);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(status == 0);
}

static void forked_under_a_name(void **state)
{
	(void)state;
	in_child(forked_named_child);
}

/* A child that shares our memory, as vfork()'s does, on a stack of its own. */
static int in_shared_memory(int (*fn)(void *))
{
	int status;
	char *stack =
		mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(stack != MAP_FAILED);
	pid_t child = clone(fn, stack + (1 << 18), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	CHECK(child > 0);
	CHECK(waitpid(child, &status, 0) == child);
	munmap(stack, 1 << 18);
	return status;
}

static int raise_there(void *unused)
{
	(void)unused;
	syscall(SYS_kill, syscall(SYS_getpid), SIGUSR1);
	return 98;
}

static int change_there(void *unused)
{
	struct sigaction action = {.sa_handler = SIG_IGN}, old;
	(void)unused;
	if (sl_signal_act(SIGUSR1, NULL, &old) != 0 || old.sa_handler != SIG_DFL)
		return 1;
	if (sl_signal_act(SIGUSR1, &action, &old) != 0 || old.sa_handler != SIG_DFL)
		return 2;
	if (sl_signal_act(SIGUSR1, NULL, &old) != 0 || old.sa_handler != SIG_IGN)
		return 3;
	syscall(SYS_kill, syscall(SYS_getpid), SIGUSR1); /* ignored */
	return 0;
}

static void vforked_child(void)
{
	capture_stderr();
	start(SL_AUTO);
	start_worker();
	int raised = in_shared_memory(raise_there);
	int changed = in_shared_memory(change_there);
	const char *said = captured_stderr();
	CHECK(WIFSIGNALED(raised) && WTERMSIG(raised) == SIGUSR1);
	CHECK(changed == 0);
	CHECK(strcmp(said, "") == 0);
	/* Its parent holds the signal as before, and nobody reported. */
	CHECK(sl_signal_is_held(SIGUSR1));
	CHECK(told(SIGUSR1).sa_handler == SIG_DFL);
	CHECK(turns_by_signal == 0);
	raise(SIGUSR1);
	await_turns(1);
}

static void vforked(void **state)
{
	(void)state;
	in_child(vforked_child);
}

static int reset_there(void *unused)
{
	(void)unused;
	syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), NAMED);
	return handled == 1 && real_disposition(NAMED).sa_handler == SIG_DFL ? 0 : 1;
}

/* A handler that is called once, called in a child that shares our memory: ours is still to be called. */
static void reset_while_vforked_child(void)
{
	start(NAMED);
	CHECK(act(NAMED, handle, (int)SA_RESETHAND) == 0);
	CHECK(in_shared_memory(reset_there) == 0);
	CHECK(told(NAMED).sa_handler == handle);
	raise(NAMED);
	CHECK(handled == 2);
	CHECK(told(NAMED).sa_handler == SIG_DFL);
}

static void reset_while_vforked(void **state)
{
	(void)state;
	in_child(reset_while_vforked_child);
}

/* ---- threads ---- */

static _Atomic bool is_over;
static _Atomic unsigned plain_calls, info_calls, wrong_calls;

static void handle_plain(int number)
{
	plain_calls++;
	wrong_calls += number != NAMED;
}

static void handle_with_info(int number, siginfo_t *info, void *context)
{
	info_calls++;
	wrong_calls += number != NAMED || !info || info->si_signo != NAMED || !context;
}

static void *change_all_the_time(void *unused)
{
	const struct sigaction plain = {.sa_handler = handle_plain};
	const struct sigaction info = {.sa_sigaction = handle_with_info, .sa_flags = SA_SIGINFO};
	struct sigaction old;
	while (!atomic_load(&is_over)) {
		CHECK(sl_signal_act(NAMED, &plain, &old) == 0);
		CHECK(sl_signal_act(NAMED, &info, &old) == 0);
		CHECK(old.sa_handler == handle_plain || old.sa_sigaction == handle_with_info);
	}
	return unused;
}

/* The handler sees one of the dispositions that there were, never half of two. */
static void storm_child(void)
{
	pthread_t threads[2];
	start(NAMED);
	CHECK(act(NAMED, handle_plain, 0) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, change_all_the_time, NULL) == 0);
	uint64_t until_ms = sl_clock_ms() + 400;
	unsigned raised = 0;
	while (sl_clock_ms() < until_ms || (plain_calls == 0 || info_calls == 0)) {
		CHECK(sl_clock_ms() < until_ms + 5000);
		raise(NAMED);
		raised++;
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK(wrong_calls == 0);
	CHECK(plain_calls + info_calls == raised);
}

static void a_storm(void **state)
{
	(void)state;
	in_child(storm_child);
}

static void *raise_all_the_time(void *unused)
{
	while (!atomic_load(&is_over)) {
		raise(NAMED);
		sched_yield();
	}
	return unused;
}

/* A handler that is called once is, however many threads get the signal at once; and what is set meanwhile stays set. */
static void reset_storm_child(void)
{
	pthread_t threads[2];
	start(NAMED);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, raise_all_the_time, NULL) == 0);
	uint64_t until_ms = sl_clock_ms() + 400;
	for (int round = 1; sl_clock_ms() < until_ms || round < 200; round++) {
		CHECK(sl_clock_ms() < until_ms + 5000);
		CHECK(act(NAMED, handle, (int)SA_RESETHAND) == 0);
		while (handled < round)
			sched_yield();
		CHECK(told(NAMED).sa_handler == SIG_DFL);
		CHECK(act(NAMED, SIG_IGN, 0) == 0);
		CHECK(told(NAMED).sa_handler == SIG_IGN);
		CHECK(handled == round);
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static void a_storm_and_a_reset(void **state)
{
	(void)state;
	in_child(reset_storm_child);
}

static _Atomic unsigned interruptions;

static void change_from_a_handler(int number)
{
	(void)number;
	CHECK(act(NAMED, handle, 0) == 0);
	interruptions++;
}

static void *interrupt_all_the_time(void *target)
{
	while (!atomic_load(&is_over)) {
		pthread_kill(*(pthread_t *)target, SIGUSR2);
		sched_yield();
	}
	return NULL;
}

/* sigaction() is async-signal-safe: a handler that calls it may interrupt it. */
static void from_a_handler_child(void)
{
	pthread_t self = pthread_self(), thread;
	struct sigaction interrupt = {.sa_handler = change_from_a_handler};
	start(NAMED);
	CHECK(sigaction(SIGUSR2, &interrupt, NULL) == 0);
	CHECK(pthread_create(&thread, NULL, interrupt_all_the_time, &self) == 0);
	uint64_t until_ms = sl_clock_ms() + 300;
	while (sl_clock_ms() < until_ms || interruptions < 100) {
		CHECK(sl_clock_ms() < until_ms + 5000);
		CHECK(act(NAMED, handle, 0) == 0);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
}

static void changed_from_a_handler(void **state)
{
	(void)state;
	in_child(from_a_handler_child);
}

/* ---- given back, and taken again ---- */

static void released_under_auto_child(void)
{
	start(SL_AUTO);
	sl_signal_release();
	CHECK(!sl_signal_is_held(SIGUSR1));
	CHECK(real_disposition(SIGUSR1).sa_handler == SIG_DFL);
	sl_signal_release();
	sl_signal_resume();
	CHECK(sl_signal_is_held(SIGUSR1));
	CHECK(told(SIGUSR1).sa_handler == SIG_DFL);
	sl_signal_release();
	signal(SIGUSR1,
	       handle); /* meanwhile: the program's own, as far as we are concerned for good */
	sl_signal_resume();
	CHECK(!sl_signal_is_held(SIGUSR1));
	raise(SIGUSR1);
	CHECK(handled == 1);
}

static void released_under_auto(void **state)
{
	(void)state;
	in_child(released_under_auto_child);
}

static void released_under_a_name_child(void)
{
	start(SIGUSR2);
	CHECK(act(SIGUSR2, handle, SA_NODEFER) == 0);
	sl_signal_release();
	CHECK(real_disposition(SIGUSR2).sa_handler == handle);
	CHECK(real_disposition(SIGUSR2).sa_flags & SA_NODEFER);
	raise(SIGUSR2);
	CHECK(handled == 1);
	start_worker();
	sl_signal_resume();
	CHECK(told(SIGUSR2).sa_handler == handle);
	CHECK(real_disposition(SIGUSR2).sa_handler != handle);
	raise(SIGUSR2);
	CHECK(handled == 2);
	await_turns(1);
}

static void released_under_a_name(void **state)
{
	(void)state;
	in_child(released_under_a_name_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken_while_default),
		cmocka_unit_test(says_that_there_is_nothing),
		cmocka_unit_test(says_that_it_is_put_off),
		cmocka_unit_test(left_alone_where_in_use),
		cmocka_unit_test(steps_aside_for_a_handler),
		cmocka_unit_test(steps_aside_for_ignoring),
		cmocka_unit_test(default_with_flags),
		cmocka_unit_test(named_is_chained),
		cmocka_unit_test(named_and_installed_before),
		cmocka_unit_test(reset_hand),
		cmocka_unit_test(action_and_old_are_the_same_memory),
		cmocka_unit_test(the_stack_that_the_program_chose),
		cmocka_unit_test(restart_as_the_program_chose),
		cmocka_unit_test(forked_under_auto),
		cmocka_unit_test(forked_unawares),
		cmocka_unit_test(forked_under_a_name),
		cmocka_unit_test(vforked),
		cmocka_unit_test(reset_while_vforked),
		cmocka_unit_test(a_storm),
		cmocka_unit_test(a_storm_and_a_reset),
		cmocka_unit_test(changed_from_a_handler),
		cmocka_unit_test(released_under_auto),
		cmocka_unit_test(released_under_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
