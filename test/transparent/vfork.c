/* vfork - the child runs in its parent's memory, with numbers of its own: what it does with them leaves the parent's picture as it
 * was. */
#include "scene.h"

typedef void act_fn(void);

static void with_vforked(act_fn *act)
{
	set_scene();
	pid_t child = (pid_t)MUST(vfork());
	if (child == 0) {
		act();
		_exit(5);
	}
	tell_end_of("child", child);
	look_around();
}

static void close_all(void)
{
	CALL(close(NEAR));
	CALL(close(FAR));
	CALL(close(FAR));
	CALL(close_range(LISTENER, LISTENER, 0));
	tell_fds("child");
}

static void vforked_closes(void)
{
	with_vforked(close_all);
}

static void close_from(void)
{
	closefrom(3);
	tell_fds("child");
}

static void vforked_closes_from(void)
{
	with_vforked(close_from);
}

/* Others are at the numbers of its parent, and come to ends of their own. */
static void replace_all(void)
{
	int fd = CALL(socket(AF_INET6, SOCK_STREAM, 0));
	CALL(dup2(fd, NEAR));
	CALL(listen(NEAR, 1));
	CALL(dup3(LISTENER, FAR, O_CLOEXEC));
	CALL(close(LISTENER));
	CALL(fcntl(FAR, F_DUPFD, LISTENER));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	tell_fds("child");
}

static void vforked_replaces(void)
{
	with_vforked(replace_all);
}

static void connect_in_place(void)
{
	CALL(close(NEAR));
	CALL(dup2(MUST(socket(AF_INET, SOCK_STREAM, 0)), NEAR));
	CALL(connect(NEAR, (struct sockaddr *)&address, sizeof(address)));
	CALL(shutdown(NEAR, SHUT_RDWR));
	CALL(close(LISTENER));
	CALL(dup2(NEAR, LISTENER));
	CALL(shutdown(LISTENER, SHUT_WR));
	tell_fds("child");
}

static void vforked_connects_in_their_place(void)
{
	set_scene();
	pid_t child = (pid_t)MUST(vfork());
	if (child == 0) {
		connect_in_place();
		_exit(5);
	}
	tell_end_of("child", child);
	CALL(close(MUST(accept(LISTENER, NULL, NULL))));
	look_around();
}

/* Numbers at which the library may have something are as free as all others. */
static void use_high_numbers(void)
{
	for (int fd = OWN_FIRST; fd <= OWN_LAST; fd++)
		CALL(dup2(NEAR, fd));
	for (int fd = OWN_FIRST; fd <= OWN_LAST; fd += 2)
		CALL(close(fd));
	CALL(close(OWN_FIRST));
	CALL(write(OWN_FIRST + 1, "x", 1));
	CALL(close_range(OWN_FIRST + 1, OWN_FIRST + 3, 0));
	closefrom(OWN_FIRST + 5);
	CALL(write(OWN_FIRST + 3, "x", 1));
	CALL(write(OWN_FIRST + 7, "x", 1));
}

static void vforked_uses_high_numbers(void)
{
	char byte;
	set_scene();
	for (int round = 0; round < 2; round++) {
		pid_t child = (pid_t)MUST(vfork());
		if (child == 0) {
			use_high_numbers();
			_exit(5);
		}
		tell_end_of("child", child);
		CALL(read(FAR, &byte, 1));
	}
	for (int fd = OWN_FIRST; fd <= OWN_LAST; fd++)
		CALL(close(fd));
	look_around();
}

static void change_signals(void)
{
	struct sigaction old;
	CALL(sigaction(SIGUSR1, NULL, &old));
	tell("default: %d, flags %x", old.sa_handler == SIG_DFL, old.sa_flags);
	CALL(signal(SIGUSR1, SIG_IGN) == SIG_DFL);
	CALL(signal(SIGUSR1, SIG_IGN) == SIG_IGN);
	CALL(raise(SIGUSR1));
	CALL(signal(SIGUSR2, SIG_IGN) == SIG_DFL);
}

static void vforked_changes_signals(void)
{
	struct sigaction old;
	with_vforked(change_signals);
	CALL(sigaction(SIGUSR1, NULL, &old));
	tell("default: %d, flags %x", old.sa_handler == SIG_DFL, old.sa_flags);
}

static void die(void)
{
	raise(SIGUSR1);
}

static void vforked_dies_of_a_signal(void)
{
	with_vforked(die);
}

static void run_observer(void)
{
	MUST(close(FAR));
	become("observer");
}

static void vforked_execs(void)
{
	with_vforked(run_observer);
}

static const struct cases_case cases[] = {
	CASE(vforked_closes),
	CASE(vforked_closes_from),
	CASE(vforked_replaces),
	CASE(vforked_connects_in_their_place),
	CASE(vforked_uses_high_numbers),
	CASE(vforked_changes_signals),
	CASE(vforked_dies_of_a_signal),
	CASE(vforked_execs),
	CASE(observer),
};

CASES_MAIN(cases)
