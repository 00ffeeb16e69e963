/* storm - eight threads that open and close sockets as fast as they can, with signals of their
 * own.
 *
 * It listens on a port of its own; each thread connects to it, accepts one connection, copies
 * a descriptor or two, and closes everything. SIGALRM comes from a timer; SIGUSR2 from the test,
 * and its handler answers each with the line "u", so that a lost one is seen. Commands: `stop`
 * (joins the threads, closes the listener; answers rounds, failures, SIGALRMs, SIGUSR2s), `nop`.
 */
#include "victim.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

#define THREADS 8

static int listener;
static struct sockaddr_in own_address;
static atomic_bool is_over;
static atomic_uint rounds, failures, alarms, user_signals;

static void on_signal(int signo)
{
	int saved = errno;
	if (signo == SIGALRM) {
		atomic_fetch_add(&alarms, 1);
	} else {
		atomic_fetch_add(&user_signals, 1);
		if (write(1, "u\n", 2) != 2)
			_exit(4);
	}
	errno = saved;
}

static bool one_round(unsigned n)
{
	/* An RST at the end leaves no TIME_WAIT: the ports must last. */
	const struct linger abort_at_once = {.l_onoff = 1, .l_linger = 0};
	int pair[2];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_at_once, sizeof(abort_at_once));
	if (connect(fd, (struct sockaddr *)&own_address, sizeof(own_address)) != 0)
		return false;
	int other = accept(listener, NULL, NULL);
	if (other < 0)
		return false;
	if (n % 3 == 0) {
		int copy = dup(fd);
		close(fd);
		fd = copy;
	}
	if (n % 5 == 0) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || dup2(fd, pair[0]) != pair[0])
			return false;
		close(pair[0]);
		close(pair[1]);
	}
	return close(fd) == 0 && close(other) == 0;
}

static void *run(void *unused)
{
	(void)unused;
	for (unsigned n = 0; !atomic_load(&is_over); n++)
		atomic_fetch_add(one_round(n) ? &rounds : &failures, 1);
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	unsigned port;
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 2000}, {0, 2000}};
	struct itimerval never = {{0, 0}, {0, 0}};

	listener = listen_on("127.0.0.1", 1024, &port);
	own_address = address4("127.0.0.1", port);
	if (sigaction(SIGALRM, &action, NULL) != 0 || sigaction(SIGUSR2, &action, NULL) != 0)
		die("sigaction");
	if (setitimer(ITIMER_REAL, &often, NULL) != 0)
		die("setitimer");
	for (unsigned i = 0; i < THREADS; i++) {
		if ((errno = pthread_create(&threads[i], NULL, run, NULL)) != 0)
			die("pthread_create");
	}
	say("ready");

	char line[64];
	while (next_command(line, sizeof(line))) {
		if (strcmp(line, "stop") != 0) {
			say("ok");
			continue;
		}
		atomic_store(&is_over, true);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		setitimer(ITIMER_REAL, &never, NULL);
		close(listener);
		say("ok %u %u %u %u", rounds, failures, alarms, user_signals);
	}
	return 0;
}
