/* test_worker.c - the thread that looks and reports: started once, asked from anywhere, gone after fork. Each test is a
 * process of its own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "child.h"
#include "watch/worker.h"

#define PATIENCE_MS 5000
#define LONG_MS 3600000u

static _Atomic unsigned threads_refused; /* pthread_create() says no so often */
static _Atomic int refusal;

/* Stands before libc's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *),
                   void *argument)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	if (atomic_load(&threads_refused) > 0) {
		atomic_fetch_sub(&threads_refused, 1);
		return atomic_load(&refusal);
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attributes, routine, argument);
}

/* ---- duties ---- */

static _Atomic unsigned starts, turns, wanted_seen, busy_ms, start_ms;
static _Atomic uint64_t sleep_ms = LONG_MS;
static _Atomic bool was_started_before_turn, was_guarded, may_start = true, may_end = true,
							  is_in_turn;
static _Atomic int worker_tid, ready_tid, error_seen;
static _Atomic bool was_ready_before_start;
static _Atomic uint32_t dest_seen;

static void pause_ms(unsigned ms)
{
	struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
	nanosleep(&time, NULL);
}

/* In the thread that makes the worker, while there is none. */
static void on_ready(void)
{
	ready_tid = (int)syscall(SYS_gettid);
	was_ready_before_start = starts == 0;
}

static void on_start(void)
{
	pause_ms(atomic_load(&start_ms));
	while (!atomic_load(&may_start))
		pause_ms(1);
	worker_tid = (int)syscall(SYS_gettid);
	starts++;
}

static uint64_t on_turn(unsigned wanted, const struct sl_pressure *pressure)
{
	was_started_before_turn = starts == 1;
	was_guarded = sl_guard_is_held();
	is_in_turn = true;
	while (!atomic_load(&may_end))
		pause_ms(1);
	is_in_turn = false;
	pause_ms(atomic_load(&busy_ms));
	atomic_fetch_or(&wanted_seen, wanted);
	if (pressure->error) {
		error_seen = pressure->error;
		dest_seen = pressure->dest;
	}
	turns++;
	return atomic_load(&sleep_ms);
}

static _Atomic bool is_amidst;

static bool is_no_place(void)
{
	return atomic_load(&is_amidst);
}

static bool nothing_to_end(void)
{
	return true;
}

static unsigned no_threads(void)
{
	return 0;
}

static void prepare(void)
{
	static const struct sl_worker_duties duties = {.ready = on_ready,
	                                               .is_amidst = is_no_place,
	                                               .start = on_start,
	                                               .turn = on_turn,
	                                               .end = nothing_to_end,
	                                               .threads = no_threads};
	sl_worker_prepare(&duties);
}

static void ensure(void)
{
	struct sl_guard g;
	CHECK(sl_guard_enter(&g));
	sl_worker_ensure(&g);
	sl_guard_leave(&g);
}

static void await_turns(unsigned least)
{
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	while (turns < least && sl_clock_ms() < until_ms)
		pause_ms(1);
	CHECK(turns >= least);
}

/* The value of a line of /proc/self/task/TID/status. */
static const char *status_of(int tid, const char *key)
{
	static char line[256];
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	FILE *status = fopen(path, "re");
	CHECK(status != NULL);
	while (fgets(line, sizeof(line), status))
		if (strncmp(line, key, strlen(key)) == 0)
			break;
	fclose(status);
	line[strcspn(line, "\n")] = '\0';
	return line + strlen(key) + 2; /* ":\t" */
}

/* ---- starting ---- */

static void started_once_child(void)
{
	prepare();
	CHECK(!sl_worker_is_running());
	errno = 4711;
	for (int i = 0; i < 5; i++)
		ensure();
	CHECK(errno == 4711);
	CHECK(sl_worker_is_running());
	await_turns(1);
	CHECK(starts == 1 && was_started_before_turn && was_guarded);
	CHECK(was_ready_before_start && ready_tid == (int)syscall(SYS_gettid));
	CHECK(strcmp(status_of(worker_tid, "Name"), "sockleak") == 0);
}

static void started_once(void **state)
{
	(void)state;
	in_child(started_once_child);
}

/* Then the first socket has its stack too. */
static void the_first_waits_child(void)
{
	prepare();
	start_ms = 15;
	ensure();
	CHECK(starts == 1);
}

static void the_first_waits_for_the_start(void **state)
{
	(void)state;
	in_child(the_first_waits_child);
}

/* The caller may hold what the start waits for: the loader's lock. It waits for a moment, once. */
static void no_deadlock_child(void)
{
	may_start = false;
	prepare();
	uint64_t before_ms = sl_clock_ms();
	ensure();
	uint64_t first_ms = sl_clock_ms() - before_ms;
	before_ms = sl_clock_ms();
	for (int i = 0; i < 100; i++)
		ensure();
	uint64_t rest_ms = sl_clock_ms() - before_ms;
	CHECK(starts == 0);
	CHECK(first_ms >= 40 && first_ms < 2000);
	CHECK(rest_ms < 2000); /* 100 times as long, if each waited */
	may_start = true;
	await_turns(1);
}

static void no_deadlock_with_the_start(void **state)
{
	(void)state;
	in_child(no_deadlock_child);
}

/* In a handler that has come into malloc(): later, from elsewhere. */
static void put_off_child(void)
{
	prepare();
	CHECK(!sl_worker_is_put_off());
	is_amidst = true;
	ensure();
	ensure();
	CHECK(sl_worker_is_put_off() && !sl_worker_is_running());
	is_amidst = false;
	ensure();
	CHECK(!sl_worker_is_put_off() && sl_worker_is_running());
	await_turns(1);
	CHECK(starts == 1);
}

static void put_off_where_it_cannot_be_started(void **state)
{
	(void)state;
	in_child(put_off_child);
}

/* Who forks then leaves nothing to be made up for in a child that only closes what it inherited. */
static void put_off_and_forked_child(void)
{
	prepare();
	is_amidst = true;
	ensure();
	sl_worker_forked();
	CHECK(!sl_worker_is_put_off());
}

static void not_put_off_in_a_child(void **state)
{
	(void)state;
	in_child(put_off_and_forked_child);
}

static void *ensure_in_thread(void *unused)
{
	ensure();
	return unused;
}

static void many_at_once_child(void)
{
	pthread_t threads[8];
	prepare();
	for (int i = 0; i < 8; i++)
		CHECK(pthread_create(&threads[i], NULL, ensure_in_thread, NULL) == 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	await_turns(1);
	CHECK(starts == 1);
}

static void many_threads_at_once(void **state)
{
	(void)state;
	in_child(many_at_once_child);
}

static void no_thread_child(void)
{
	prepare();
	refusal = EAGAIN;
	threads_refused = 1;
	errno = 4711;
	ensure();
	CHECK(errno == 4711);
	CHECK(!sl_worker_is_running());
	CHECK(starts == 0);
	sl_worker_want(SL_WANTED_BY_SIGNAL); /* for nobody */
	ensure();
	CHECK(sl_worker_is_running());
	await_turns(1);
	CHECK(starts == 1);
}

static void no_thread_at_first(void **state)
{
	(void)state;
	in_child(no_thread_child);
}

/* The program's thread-local data alone is larger than the stack that we ask for. */
static void large_stack_child(void)
{
	prepare();
	refusal = EINVAL;
	threads_refused = 1;
	ensure();
	await_turns(1);
	CHECK(starts == 1);
}

static void a_larger_stack_where_ours_is_too_small(void **state)
{
	(void)state;
	in_child(large_stack_child);
}

/* ---- signals ---- */

static _Atomic int caught_by;

static void catch (int number)
{
	(void)number;
	caught_by = (int)syscall(SYS_gettid);
}

/* None of the program's is ever delivered to it, and the program's mask is as it was. */
static void signals_child(void)
{
	sigset_t before, after, usr2;
	sigprocmask(SIG_BLOCK, NULL, &before);
	prepare();
	ensure();
	sigprocmask(SIG_BLOCK, NULL, &after);
	CHECK(memcmp(&before, &after, 8) == 0);
	await_turns(1);
	uint64_t blocked = strtoull(status_of(worker_tid, "SigBlk"), NULL, 16);
	for (int number = 1; number <= 64; number++) {
		/* Not those that nothing can block, that an instruction raises, and that libc keeps for itself. */
		if (number == SIGKILL || number == SIGSTOP || number == SIGSEGV ||
		    number == SIGBUS || number == SIGILL || number == SIGFPE || number == SIGTRAP ||
		    number == 32 || number == 33)
			continue;
		CHECK(blocked >> (number - 1) & 1);
	}
	/* With the main thread deaf there is nobody to take it. */
	signal(SIGUSR2, catch);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	sigprocmask(SIG_BLOCK, &usr2, NULL);
	for (int i = 0; i < 100; i++)
		kill(getpid(), SIGUSR2);
	sl_worker_want(SL_WANTED_BY_EXIT);
	await_turns(2);
	CHECK(caught_by == 0);
	sigprocmask(SIG_UNBLOCK, &usr2, NULL);
	CHECK(caught_by == getpid());
}

static void signals_are_the_programs(void **state)
{
	(void)state;
	in_child(signals_child);
}

/* setuid() makes every thread do the same by a signal of libc's, and waits for each: ours answers. */
static void setuid_child(void)
{
	prepare();
	ensure();
	await_turns(1);
	CHECK(setresuid(getuid(), getuid(), getuid()) == 0);
	CHECK(setresgid(getgid(), getgid(), getgid()) == 0);
}

static void setuid_does_not_hang(void **state)
{
	(void)state;
	in_child(setuid_child);
}

/* ---- asking ---- */

static void wanting_child(void)
{
	prepare();
	ensure();
	await_turns(1);
	CHECK(wanted_seen == 0);
	errno = 4711;
	sl_worker_want(SL_WANTED_BY_SIGNAL);
	sl_worker_wait(SL_WANTED_BY_SIGNAL, PATIENCE_MS);
	CHECK(errno == 4711);
	CHECK(wanted_seen == SL_WANTED_BY_SIGNAL);
	sl_worker_want(SL_WANTED_BY_EXIT);
	sl_worker_wait(SL_WANTED_BY_EXIT, PATIENCE_MS);
	CHECK(wanted_seen == (SL_WANTED_BY_SIGNAL | SL_WANTED_BY_EXIT));
	/* What was answered is not waited for. */
	uint64_t before_ms = sl_clock_ms();
	sl_worker_wait(SL_WANTED_BY_SIGNAL, PATIENCE_MS);
	CHECK(sl_clock_ms() - before_ms < PATIENCE_MS / 2);
}

static void wanting_wakes_it(void **state)
{
	(void)state;
	in_child(wanting_child);
}

/* While a turn lasts, a thousand wishes become one more turn. */
static void merged_child(void)
{
	prepare();
	ensure();
	await_turns(1);
	busy_ms = 50;
	sl_worker_want(SL_WANTED_BY_SIGNAL);
	for (int i = 0; i < 1000; i++)
		sl_worker_want(SL_WANTED_BY_SIGNAL);
	await_turns(2);
	sl_worker_wait(SL_WANTED_BY_SIGNAL, PATIENCE_MS);
	sl_worker_want(SL_WANTED_BY_EXIT);
	sl_worker_wait(SL_WANTED_BY_EXIT, PATIENCE_MS);
	CHECK(turns <= 12);
}

static void wishes_are_merged(void **state)
{
	(void)state;
	in_child(merged_child);
}

static void bounded_child(void)
{
	/* Nobody to wait for. */
	uint64_t before_ms = sl_clock_ms();
	prepare();
	sl_worker_want(SL_WANTED_BY_EXIT);
	sl_worker_wait(SL_WANTED_BY_EXIT, PATIENCE_MS);
	CHECK(sl_clock_ms() - before_ms < PATIENCE_MS / 2);
	ensure();
	await_turns(1);
	busy_ms = 1500;
	before_ms = sl_clock_ms();
	sl_worker_want(SL_WANTED_BY_EXIT);
	sl_worker_wait(SL_WANTED_BY_EXIT, 100);
	CHECK(sl_clock_ms() - before_ms >= 100 && sl_clock_ms() - before_ms < 1400);
}

static void waiting_is_bounded(void **state)
{
	(void)state;
	in_child(bounded_child);
}

/* Who asks gets a turn that began after it: one that is under way does not do. */
static void asked_child(void)
{
	prepare();
	uint64_t before_ms = sl_clock_ms();
	CHECK(!sl_worker_ask(PATIENCE_MS)); /* of nobody */
	CHECK(sl_clock_ms() - before_ms < PATIENCE_MS / 2);
	ensure();
	await_turns(1);
	errno = 4711;
	for (int i = 0; i < 100; i++) {
		unsigned turns_before = turns;
		CHECK(sl_worker_ask(PATIENCE_MS));
		CHECK(turns > turns_before);
	}
	CHECK(errno == 4711);
	CHECK(wanted_seen == SL_WANTED_BY_PROGRAM);
	CHECK(!sl_worker_ask(0));
	await_turns(turns + 1);
	may_end = false;
	sl_worker_want(SL_WANTED_BY_PROGRAM);
	while (!is_in_turn)
		pause_ms(1);
	before_ms = sl_clock_ms();
	CHECK(!sl_worker_ask(50));
	CHECK(sl_clock_ms() - before_ms >= 50);
	unsigned turns_before = turns;
	may_end = true;
	CHECK(sl_worker_ask(PATIENCE_MS));
	CHECK(turns >= turns_before + 2);
}

static void a_program_asks(void **state)
{
	(void)state;
	in_child(asked_child);
}

static void *ask_often(void *unused)
{
	for (int i = 0; i < 200; i++)
		CHECK(sl_worker_ask(PATIENCE_MS));
	return unused;
}

static void many_ask_child(void)
{
	pthread_t threads[8];
	prepare();
	ensure();
	for (int i = 0; i < 8; i++)
		CHECK(pthread_create(&threads[i], NULL, ask_often, NULL) == 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

static void many_threads_ask(void **state)
{
	(void)state;
	in_child(many_ask_child);
}

/* Sleeps as long as the turn said: short ones follow each other, and none is for ever. */
static void sleeps_child(void)
{
	sleep_ms = 5;
	prepare();
	ensure();
	await_turns(10);
	atomic_store(&sleep_ms, 0);
	await_turns(turns + 20);
	atomic_store(&sleep_ms, LONG_MS);
	sl_worker_want(SL_WANTED_BY_SIGNAL);
	sl_worker_wait(SL_WANTED_BY_SIGNAL, PATIENCE_MS);
	unsigned before = turns;
	pause_ms(50);
	CHECK(turns <= before + 1);
}

static void sleeps_as_told(void **state)
{
	(void)state;
	in_child(sleeps_child);
}

/* Noted in the program's failing call, without a system call; seen when the next socket is opened. */
static void pressure_child(void)
{
	prepare();
	ensure();
	await_turns(1);
	sl_worker_note_pressure(EADDRNOTAVAIL, 17);
	sl_worker_note_pressure(EMFILE, 0); /* the first counts */
	pause_ms(30);
	CHECK(turns == 1);
	ensure();
	await_turns(2);
	CHECK(wanted_seen == SL_WANTED_BY_PRESSURE);
	CHECK(error_seen == EADDRNOTAVAIL && dest_seen == 17);
	sl_worker_note_pressure(EMFILE, 0);
	sl_worker_want(SL_WANTED_BY_SIGNAL);
	sl_worker_wait(SL_WANTED_BY_SIGNAL, PATIENCE_MS);
	CHECK(error_seen == EMFILE && dest_seen == 0);
}

static void pressure_is_noted(void **state)
{
	(void)state;
	in_child(pressure_child);
}

/* ---- fork ---- */

static void forked_child(void)
{
	int status;
	prepare();
	ensure();
	await_turns(1);
	sl_worker_note_pressure(EMFILE, 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		sl_worker_forked();
		CHECK(!sl_worker_is_running());
		starts = turns = 0;
		sl_worker_wait(SL_WANTED_BY_SIGNAL, PATIENCE_MS);
		ensure();
		await_turns(1);
		CHECK(starts == 1);
		CHECK(error_seen == 0); /* its parent's trouble */
		sl_worker_want(SL_WANTED_BY_SIGNAL);
		sl_worker_wait(SL_WANTED_BY_SIGNAL, PATIENCE_MS);
		CHECK(wanted_seen == SL_WANTED_BY_SIGNAL);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(status == 0);
	CHECK(sl_worker_is_running());
	sl_worker_want(SL_WANTED_BY_EXIT);
	sl_worker_wait(SL_WANTED_BY_EXIT, PATIENCE_MS);
	CHECK(wanted_seen & SL_WANTED_BY_EXIT);
}

static void a_child_has_its_own(void **state)
{
	(void)state;
	in_child(forked_child);
}

/* ---- rest ---- */

static bool is_alone(void)
{
	return syscall(SYS_unshare, CLONE_THREAD) == 0;
}

static void resting(void)
{
	prepare();
	CHECK(!sl_worker_rest());
	CHECK(is_alone());
	ensure(); /* not meanwhile */
	CHECK(!sl_worker_is_running());
	sl_worker_resume(false);
	CHECK(!sl_worker_is_running());
	ensure();
	await_turns(1);
	CHECK(!is_alone());
	int first = worker_tid;
	sl_worker_want(SL_WANTED_BY_SIGNAL);
	CHECK(sl_worker_rest());
	CHECK(is_alone());
	ensure();
	CHECK(is_alone());
	CHECK(sl_worker_rest() == false); /* a second one: nothing is left to end */
	sl_worker_resume(true);
	CHECK(is_alone()); /* the first one is not done */
	sl_worker_resume(true);
	CHECK(sl_worker_is_running());
	sl_worker_wait(SL_WANTED_BY_SIGNAL, PATIENCE_MS);
	CHECK(wanted_seen & SL_WANTED_BY_SIGNAL);
	CHECK(starts == 2);
	CHECK(worker_tid != first);
}

static void it_rests_and_comes_back(void **state)
{
	(void)state;
	in_child(resting);
}

static void busy_resting(void)
{
	prepare();
	ensure();
	await_turns(1);
	atomic_store(&may_end, false);
	sl_worker_want(0);
	while (!is_in_turn)
		pause_ms(1);
	CHECK(!sl_worker_rest());
	CHECK(is_in_turn);
	sl_worker_resume(false);
	unsigned before = turns;
	atomic_store(&may_end, true);
	await_turns(before + 1);
	sl_worker_want(0);
	await_turns(before + 2);
}

static void a_long_turn_is_not_awaited_for_ever(void **state)
{
	(void)state;
	in_child(busy_resting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(started_once),
		cmocka_unit_test(the_first_waits_for_the_start),
		cmocka_unit_test(no_deadlock_with_the_start),
		cmocka_unit_test(many_threads_at_once),
		cmocka_unit_test(put_off_where_it_cannot_be_started),
		cmocka_unit_test(not_put_off_in_a_child),
		cmocka_unit_test(no_thread_at_first),
		cmocka_unit_test(a_larger_stack_where_ours_is_too_small),
		cmocka_unit_test(signals_are_the_programs),
		cmocka_unit_test(setuid_does_not_hang),
		cmocka_unit_test(wanting_wakes_it),
		cmocka_unit_test(wishes_are_merged),
		cmocka_unit_test(waiting_is_bounded),
		cmocka_unit_test(a_program_asks),
		cmocka_unit_test(many_threads_ask),
		cmocka_unit_test(sleeps_as_told),
		cmocka_unit_test(pressure_is_noted),
		cmocka_unit_test(a_child_has_its_own),
		cmocka_unit_test(it_rests_and_comes_back),
		cmocka_unit_test(a_long_turn_is_not_awaited_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
