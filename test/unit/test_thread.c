/* test_thread.c - threads of ours: named, guarded, detached, and deaf to every signal. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/guard.h"
#include "base/sys.h"
#include "base/thread.h"
#include "child.h"

#define ERRNO_BEFORE 4321
#define SIGNAL_SETXID 33 /* nptl(7) */

static _Atomic int tid;
static _Atomic bool may_end;
static bool was_guarded, was_detached;
static char name[32];

static void pause_a_moment(void)
{
	const struct timespec a_moment = {0, 500000};
	(void)SL_SYS2(SYS_nanosleep, &a_moment, NULL);
}

static void work(void)
{
	pthread_attr_t attributes;
	int detached = -1;
	was_guarded = sl_guard_is_held();
	if (pthread_getattr_np(pthread_self(), &attributes) == 0)
		(void)pthread_attr_getdetachstate(&attributes, &detached);
	(void)pthread_attr_destroy(&attributes);
	was_detached = detached == PTHREAD_CREATE_DETACHED;
	(void)SL_SYS2(SYS_prctl, PR_GET_NAME, name);
	atomic_store(&tid, sl_sys_gettid());
	while (!atomic_load(&may_end))
		pause_a_moment();
}

static void await_work(void)
{
	for (int i = 0; i < 10000 && !atomic_load(&tid); i++)
		pause_a_moment();
	CHECK(atomic_load(&tid) != 0);
}

/* A set of signals in /proc/self/task/TID/status. */
static uint64_t signals_of(int thread, const char *key)
{
	char path[64], line[256];
	unsigned long long set = 0;
	bool is_found = false;
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/status", thread);
	FILE *status = fopen(path, "re");
	CHECK(status != NULL);
	while (!is_found && fgets(line, sizeof(line), status))
		is_found = strncmp(line, key, strlen(key)) == 0 &&
		           sscanf(line + strlen(key), ":\t%llx", &set) == 1;
	(void)fclose(status);
	CHECK(is_found);
	return set;
}

static uint64_t bit(int signal)
{
	return 1ULL << (signal - 1);
}

static void begin_child(void)
{
	sigset_t before, after;
	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
	errno = ERRNO_BEFORE;
	CHECK(sl_thread_start("fifteen-letters", work));
	CHECK(errno == ERRNO_BEFORE);
	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
	CHECK(!sl_guard_is_held());
	await_work();
	CHECK(tid != sl_sys_gettid());
	CHECK(strcmp(name, "fifteen-letters") == 0);
	CHECK(was_guarded && was_detached);
	/* All but the two that nobody can block, and libc's own for setuid(), which would else hang. */
	CHECK(signals_of(tid, "SigBlk") == ~(bit(SIGKILL) | bit(SIGSTOP) | bit(SIGNAL_SETXID)));
	CHECK(setuid(getuid()) == 0);
}

static void named_guarded_and_deaf(void **state)
{
	(void)state;
	in_child(begin_child);
}

static _Atomic int handled_by;

static void on_signal(int number)
{
	(void)number;
	atomic_store(&handled_by, sl_sys_gettid());
}

/* Every other thread blocks it: it stays pending, rather than go to ours. SIGSEGV as well, when somebody sends it. */
static void pending_child(void)
{
	const int sent[] = {SIGUSR1, SIGTERM, SIGSEGV};
	sigset_t all, pending;
	struct sigaction action = {.sa_handler = on_signal};
	CHECK(sl_thread_start("deaf", work));
	await_work();
	(void)sigfillset(&all);
	CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(sigaction(sent[i], &action, NULL) == 0);
		CHECK(kill(getpid(), sent[i]) == 0);
	}
	/* The thread ran on meanwhile, and would have handled them on its way. */
	may_end = true;
	for (int i = 0; i < 10000; i++) {
		if (SL_SYS3(SYS_tgkill, sl_sys_getpid(), tid, 0) < 0)
			break;
		pause_a_moment();
	}
	CHECK(SL_SYS3(SYS_tgkill, sl_sys_getpid(), tid, 0) == -ESRCH);
	CHECK(handled_by == 0);
	CHECK(sigpending(&pending) == 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK(sigismember(&pending, sent[i]));
	(void)sigdelset(&all, SIGUSR1);
	CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	CHECK(handled_by == sl_sys_gettid());
}

static void signals_of_the_process_pass_it_by(void **state)
{
	(void)state;
	in_child(pending_child);
}

static void work_1(void)
{
	pause_a_moment();
}

static void work_2(void)
{
	pause_a_moment();
}

static void work_3(void)
{
	pause_a_moment();
}

static void work_4(void)
{
	pause_a_moment();
}

/* There are places for four kinds of work; one kind may start again, as after fork. */
static void places_child(void)
{
	sl_thread_fn *const kinds[] = {work_1, work_2, work_3, work_4};
	for (int round = 0; round < 3; round++)
		for (unsigned i = 0; i < 4; i++)
			CHECK(sl_thread_start("kind", kinds[i]));
	CHECK(!sl_thread_start("one too many", work));
	CHECK(tid == 0);
}

static void places_are_kept_by_kind(void **state)
{
	(void)state;
	in_child(places_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(named_guarded_and_deaf),
		cmocka_unit_test(signals_of_the_process_pass_it_by),
		cmocka_unit_test(places_are_kept_by_kind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
