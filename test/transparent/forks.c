/* forks - at hard moments: among threads, in handlers of signals and of fork itself, and exec after all of it. */
#include "cases.h"

#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

/* A connection through a listener of its own, closed again. Says nothing. */
static bool can_connect(void)
{
	int ends[2];
	char byte;
	tcp_pair(ends);
	return write(ends[0], "x", 1) == 1 && read(ends[1], &byte, 1) == 1 && close(ends[0]) == 0 &&
	       close(ends[1]) == 0;
}

static bool can_ask(void)
{
	struct sigaction old;
	return sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL;
}

/* ---- among threads ---- */

#define THREADS 3
static atomic_bool is_over;
static atomic_uint wrong;

static void *connect_all_the_time(void *unused)
{
	while (!is_over)
		wrong += !can_connect();
	return unused;
}

static void *ask_all_the_time(void *unused)
{
	while (!is_over)
		wrong += !can_ask();
	return unused;
}

static void *nothing(void *unused)
{
	return unused;
}

static void *make_threads_all_the_time(void *unused)
{
	while (!is_over) {
		pthread_t thread;
		MUST(-pthread_create(&thread, NULL, nothing, NULL));
		MUST(-pthread_join(thread, NULL));
	}
	return unused;
}

static int look_at_object(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size, (void)unused;
	return info->dlpi_phdr == NULL;
}

/* The lock of its list is the loader's own. */
static void *list_objects_all_the_time(void *unused)
{
	while (!is_over)
		wrong += dl_iterate_phdr(look_at_object, NULL) != 0;
	return unused;
}

/* Forks from a thread of its own, so that in the children the first thread is not main()'s. */
struct storm {
	pid_t (*make)(void);
	bool (*check)(void);
	void (*leave)(int status);
	int children, fine;
};

static void *fork_all_the_time(void *context)
{
	struct storm *storm = context;
	int status;
	for (int i = 0; i < storm->children; i++) {
		pid_t child = (pid_t)MUST(storm->make());
		if (child == 0) {
			alarm(20); /* one that hangs is seen, and ends */
			storm->leave(storm->check() ? 0 : 1);
		}
		MUST(waitpid(child, &status, 0));
		storm->fine += status == 0;
	}
	return NULL;
}

static void storm_among(void *(*work)(void *), struct storm storm)
{
	pthread_t threads[THREADS], forker;
	int ends[2];
	tcp_pair(ends);
	for (int i = 0; i < THREADS; i++)
		MUST(-pthread_create(&threads[i], NULL, work, NULL));
	MUST(-pthread_create(&forker, NULL, fork_all_the_time, &storm));
	pthread_join(forker, NULL);
	is_over = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	tell("fine: %d of %d, wrong: %u", storm.fine, storm.children, wrong);
}

static void forks_while_threads_connect(void)
{
	storm_among(connect_all_the_time, (struct storm){fork, can_connect, _exit, 60, 0});
}

static void children_that_exit_while_threads_connect(void)
{
	storm_among(connect_all_the_time, (struct storm){fork, can_connect, exit, 20, 0});
}

static void forks_while_threads_ask(void)
{
	storm_among(ask_all_the_time, (struct storm){fork, can_ask, _exit, 60, 0});
}

static void plain_forks_while_threads_ask(void)
{
	storm_among(ask_all_the_time, (struct storm){_Fork, can_ask, _exit, 200, 0});
}

/* After _Fork() only what is async-signal-safe may be called: socket() is, whatever another thread held. */
static void plain_forks_while_threads_connect(void)
{
	storm_among(connect_all_the_time, (struct storm){_Fork, can_connect, _exit, 100, 0});
}

static void plain_forks_while_threads_are_made(void)
{
	storm_among(make_threads_all_the_time, (struct storm){_Fork, can_connect, _exit, 300, 0});
}

static void forks_while_threads_are_made(void)
{
	storm_among(make_threads_all_the_time, (struct storm){fork, can_connect, _exit, 60, 0});
}

static void forks_while_threads_list_objects(void)
{
	storm_among(list_objects_all_the_time, (struct storm){fork, can_connect, _exit, 30, 0});
}

static void plain_forks_while_threads_list_objects(void)
{
	storm_among(list_objects_all_the_time, (struct storm){_Fork, can_connect, _exit, 100, 0});
}

/* ---- in handlers of fork: some are registered before any library is initialised, some late ---- */

static bool is_watched
	[2]; /* in the process that forks; in its child: never both, for they run at the same time */
static unsigned depth;

static void look(const char *who, bool is_child)
{
	struct sigaction old;
	if (!is_watched[is_child])
		return;
	tell("%s, depth %u", who, depth);
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(sigaction(SIGUSR1, NULL, &old));
	tell("default: %d", old.sa_handler == SIG_DFL);
	CALL(sigaction(SIGUSR1, &old, NULL));
	CALL(close(fd));
}

/* A handler that forks itself, once. */
static void fork_inside(const char *who, bool is_child)
{
	if (!is_watched[is_child] || depth > 0)
		return;
	depth++;
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(can_connect() ? 3 : 4);
	tell_end_of(who, child);
	depth--;
}

#define FORK_HANDLERS(when)                                                  \
	static void when##_prepare(void)                                     \
	{                                                                    \
		look(#when " prepare", false);                               \
		fork_inside(#when " prepare", false);                        \
	}                                                                    \
	static void when##_parent(void)                                      \
	{                                                                    \
		look(#when " parent", false);                                \
		fork_inside(#when " parent", false);                         \
	}                                                                    \
	static void when##_child(void)                                       \
	{                                                                    \
		look(#when " child", true);                                  \
		fork_inside(#when " child", true);                           \
	}                                                                    \
	static void when##_register(void)                                    \
	{                                                                    \
		pthread_atfork(when##_prepare, when##_parent, when##_child); \
	}
FORK_HANDLERS(early)
FORK_HANDLERS(late)

/* Run before the constructors of all libraries. */
__attribute__((section(".preinit_array"),
               used)) static void (*const register_early)(void) = early_register;

static void fork_with_handlers(void)
{
	sigset_t before, after;
	MUST(-pthread_sigmask(SIG_SETMASK, NULL, &before));
	pid_t child = (pid_t)MUST(fork());
	is_watched[false] = is_watched[true] = false;
	MUST(-pthread_sigmask(SIG_SETMASK, NULL, &after));
	if (child == 0)
		_exit(memcmp(&before, &after, 8) == 0 && can_connect() ? 0 : 1);
	tell_end_of("child", child);
	tell("same mask: %d, can connect: %d", memcmp(&before, &after, 8) == 0, can_connect());
}

static void fork_twice(void)
{
	int ends[2];
	tcp_pair(ends);
	is_watched[false] = true;
	fork_with_handlers();
	is_watched[true] = true;
	fork_with_handlers();
}

static void early_handlers_of_fork(void)
{
	fork_twice();
}

static void late_handlers_of_fork(void)
{
	late_register();
	fork_twice();
}

/* ---- in handlers of signals ---- */

static void fork_here(int number)
{
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		tell("child of signal %d: %d", number == SIGUSR1, can_connect());
		_exit(6);
	}
	tell_end_of("child", child);
}

static void forks_in_handlers(void)
{
	int ends[2];
	CALL(signal(SIGUSR2, fork_here) == SIG_DFL);
	CALL(raise(SIGUSR2));
	tcp_pair(ends);
	CALL(raise(SIGUSR2));
	CALL(signal(SIGUSR1, fork_here) == SIG_DFL);
	CALL(raise(SIGUSR1));
	CALL(raise(SIGUSR2));
}

static atomic_uint handled;

static void fork_silently(int number)
{
	(void)number;
	pid_t child = fork();
	if (child == 0)
		_exit(can_connect() && can_ask() ? 0 : 1);
	int status = 1;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	wrong += status != 0;
	handled++;
}

static void *interrupt_all_the_time(void *target)
{
	for (unsigned i = 0; i < 100; i++) {
		pthread_kill(*(pthread_t *)target, SIGUSR2);
		while (handled <= i)
			sched_yield();
	}
	is_over = true;
	return NULL;
}

/* Wherever it is in a call of ours. */
static void forks_in_handlers_at_any_moment(void)
{
	pthread_t self = pthread_self(), thread;
	int ends[2];
	tcp_pair(ends);
	CALL(signal(SIGUSR2, fork_silently) == SIG_DFL);
	MUST(-pthread_create(&thread, NULL, interrupt_all_the_time, &self));
	while (!is_over)
		wrong += !can_connect() || !can_ask();
	pthread_join(thread, NULL);
	tell("handled: %u, wrong: %u", handled, wrong);
}

static const struct cases_case cases[] = {
	CASE(forks_while_threads_connect),
	CASE(children_that_exit_while_threads_connect),
	CASE(forks_while_threads_ask),
	CASE(plain_forks_while_threads_ask),
	CASE(plain_forks_while_threads_connect),
	CASE(plain_forks_while_threads_are_made),
	CASE(forks_while_threads_are_made),
	CASE(forks_while_threads_list_objects),
	CASE(plain_forks_while_threads_list_objects),
	CASE(early_handlers_of_fork),
	CASE(late_handlers_of_fork),
	CASE(forks_in_handlers),
	CASE(forks_in_handlers_at_any_moment),
};

CASES_MAIN(cases)
