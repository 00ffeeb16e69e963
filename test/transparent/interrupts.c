/* interrupts - signals that come while a thread blocks in a call: EINTR, and calls that go on (signal(7)). */
#include "blocking.h"

struct interrupted {
	const struct blocking *blocking;
	struct place place;
	int tid;
	long result;
	int error;
};

static int handled;

static void handle(int number)
{
	(void)number;
	set(&handled, get(&handled) + 1);
}

static void *block(void *context)
{
	struct interrupted *interrupted = (struct interrupted *)context;
	set(&interrupted->tid, own_tid());
	errno = ELNRNG;
	interrupted->result = interrupted->blocking->call(&interrupted->place);
	interrupted->error = errno;
	return NULL;
}

static void handle_with(int flags)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
	MUST(sigaction(SIGUSR2, &action, NULL));
}

static void tell_rest(struct interrupted *interrupted)
{
	struct place *place = &interrupted->place;
	tell_result(interrupted->blocking->name, interrupted->result, interrupted->error);
	if (interrupted->blocking->release == BY_PEER && interrupted->result >= 0)
		MUST(close((int)interrupted->result));
	drain(place->pair[1]);
	CALL(write(place->pair[0], "x", 1));
	place_close(place);
}

static void without_restart(void)
{
	handle_with(0);
	for (size_t i = 0; i < BLOCKINGS; i++) {
		struct interrupted interrupted = {.blocking = &blockings[i]};
		place_open(&interrupted.place);
		set(&handled, 0);
		pthread_t thread = begin(block, &interrupted);
		await_blocked(&interrupted.tid, &blockings[i]);
		MUST(pthread_kill(thread, SIGUSR2));
		end_of(thread);
		tell("handled %d", get(&handled));
		tell_rest(&interrupted);
	}
}

/* poll() and its kin do not go on, whatever is asked. */
static bool goes_on(const struct blocking *blocking)
{
	return blocking->number != SYS_poll && blocking->number != SYS_select &&
	       blocking->number != SYS_epoll_wait;
}

static void with_restart(void)
{
	handle_with(SA_RESTART);
	for (size_t i = 0; i < BLOCKINGS; i++) {
		struct interrupted interrupted = {.blocking = &blockings[i]};
		place_open(&interrupted.place);
		set(&handled, 0);
		pthread_t thread = begin(block, &interrupted);
		for (int times = 1; times <= 3 && (times == 1 || goes_on(&blockings[i])); times++) {
			await_blocked(&interrupted.tid, &blockings[i]);
			MUST(pthread_kill(thread, SIGUSR2));
			AWAIT(get(&handled) == times);
		}
		if (goes_on(&blockings[i])) {
			await_blocked(&interrupted.tid, &blockings[i]);
			let_go(&interrupted.place, blockings[i].release);
		}
		end_of(thread);
		tell("handled %d", get(&handled));
		tell_rest(&interrupted);
	}
}

/* With a timeout set, a call does not go on either. */
static void with_timeouts(void)
{
	struct timeval timeout = {100, 0};
	handle_with(SA_RESTART);
	for (size_t i = 0; i < BLOCKINGS; i++) {
		struct interrupted interrupted = {.blocking = &blockings[i]};
		struct place *place = &interrupted.place;
		place_open(place);
		int fds[] = {place->pair[0], place->at, place->fresh};
		for (int at = 0; at < 3; at++) {
			MUST(setsockopt(fds[at], SOL_SOCKET, SO_RCVTIMEO, &timeout,
			                sizeof(timeout)));
			MUST(setsockopt(fds[at], SOL_SOCKET, SO_SNDTIMEO, &timeout,
			                sizeof(timeout)));
		}
		pthread_t thread = begin(block, &interrupted);
		await_blocked(&interrupted.tid, &blockings[i]);
		MUST(pthread_kill(thread, SIGUSR2));
		end_of(thread);
		tell_rest(&interrupted);
	}
}

/* Half of it was sent: that is what the call says. */
static void *send_much(void *context)
{
	static char bytes[1 << 20];
	struct interrupted *interrupted = (struct interrupted *)context;
	set(&interrupted->tid, own_tid());
	errno = ELNRNG;
	interrupted->result = send(interrupted->place.pair[0], bytes, sizeof(bytes), 0);
	interrupted->error = errno;
	return NULL;
}

static void half_sent(void)
{
	struct interrupted interrupted = {.blocking = &blockings[0]};
	handle_with(0);
	place_open(&interrupted.place);
	drain(interrupted.place.pair[1]);
	pthread_t thread = begin(send_much, &interrupted);
	await_call(&interrupted.tid, SYS_sendto);
	MUST(pthread_kill(thread, SIGUSR2));
	end_of(thread);
	tell("%s", interrupted.result > 0 && interrupted.result < 1 << 20 ? "part" : "not a part");
	place_close(&interrupted.place);
}

/* The handler itself opens, uses and closes sockets, while its thread is in a call. */
static void use_sockets(int number)
{
	int pair[2], saved = errno;
	char byte = 0;
	(void)number;
	tcp_pair(pair);
	if (write(pair[0], "h", 1) == 1 && read(pair[1], &byte, 1) == 1 && byte == 'h' &&
	    close(pair[0]) == 0 && close(pair[1]) == 0)
		set(&handled, get(&handled) + 1);
	errno = saved;
}

static void handlers_use_sockets(void)
{
	struct sigaction action = {.sa_handler = use_sockets};
	MUST(sigaction(SIGUSR2, &action, NULL));
	for (size_t i = 0; i < BLOCKINGS; i++) {
		struct interrupted interrupted = {.blocking = &blockings[i]};
		place_open(&interrupted.place);
		set(&handled, 0);
		pthread_t thread = begin(block, &interrupted);
		await_blocked(&interrupted.tid, &blockings[i]);
		MUST(pthread_kill(thread, SIGUSR2));
		end_of(thread);
		tell("handled %d", get(&handled));
		tell_rest(&interrupted);
	}
}

static const struct cases_case cases[] = {
	CASE(without_restart), CASE(with_restart),         CASE(with_timeouts),
	CASE(half_sent),       CASE(handlers_use_sockets),
};

CASES_MAIN(cases)
