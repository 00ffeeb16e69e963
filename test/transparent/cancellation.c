/* cancellation - threads that are cancelled: in a call that blocks, before it, and with what they clean up. */
#include "blocking.h"

struct cancelled {
	const struct blocking *blocking;
	struct place place;
	int tid;
	int type;
	int cleaned_up;
	int returned;
};

static void clean_up(void *context)
{
	struct cancelled *cancelled = (struct cancelled *)context;
	set(&cancelled->cleaned_up, get(&cancelled->cleaned_up) + 1);
}

static void *block(void *context)
{
	struct cancelled *cancelled = (struct cancelled *)context;
	pthread_setcanceltype(cancelled->type, NULL);
	pthread_cleanup_push(clean_up, cancelled);
	set(&cancelled->tid, own_tid());
	cancelled->blocking->call(&cancelled->place);
	pthread_cleanup_pop(0);
	set(&cancelled->returned, 1);
	return NULL;
}

static void cancel_each(int type)
{
	for (size_t i = 0; i < BLOCKINGS; i++) {
		struct cancelled cancelled = {.blocking = &blockings[i], .type = type};
		place_open(&cancelled.place);
		pthread_t thread = begin(block, &cancelled);
		await_blocked(&cancelled.tid, &blockings[i]);
		MUST(pthread_cancel(thread));
		void *value = end_of(thread);
		tell("%s: %s, cleaned up %d, returned %d", blockings[i].name,
		     value == PTHREAD_CANCELED ? "cancelled" : "ended", get(&cancelled.cleaned_up),
		     get(&cancelled.returned));
		tell_use(&cancelled.place, blockings[i].name);
		place_close(&cancelled.place);
	}
}

static void deferred(void)
{
	cancel_each(PTHREAD_CANCEL_DEFERRED);
}

static void asynchronous(void)
{
	cancel_each(PTHREAD_CANCEL_ASYNCHRONOUS);
}

/* ---- cancelled before the call ---- */

static void *cancel_and_call(void *context)
{
	struct cancelled *cancelled = (struct cancelled *)context;
	pthread_cleanup_push(clean_up, cancelled);
	pthread_cancel(pthread_self());
	cancelled->blocking->call(&cancelled->place);
	pthread_cleanup_pop(0);
	set(&cancelled->returned, 1);
	return NULL;
}

/* Each could go on at once: there is something to read, room to write, somebody to accept. Nothing of it may have happened. */
static void pending(void)
{
	for (size_t i = 0; i < BLOCKINGS; i++) {
		struct cancelled cancelled = {.blocking = &blockings[i]};
		struct place *place = &cancelled.place;
		char bytes[8] = "";
		place_open(place);
		drain(place->pair[1]);
		MUST(write(place->pair[1], "z", 1));
		int client = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
		MUST(connect(client, (struct sockaddr *)&place->address, sizeof(place->address)));
		MUST(close((int)MUST(accept(place->held[0], NULL, NULL))));
		void *value = end_of(begin(cancel_and_call, &cancelled));
		tell("%s: %s, cleaned up %d, returned %d", blockings[i].name,
		     value == PTHREAD_CANCELED ? "cancelled" : "ended", get(&cancelled.cleaned_up),
		     get(&cancelled.returned));
		CALL(recv(place->pair[0], bytes, sizeof(bytes), MSG_DONTWAIT));
		CALL(recv(place->pair[1], bytes, sizeof(bytes), MSG_DONTWAIT));
		struct pollfd queue = {.fd = place->at, .events = POLLIN};
		CALL(poll(&queue, 1, 0));
		struct sockaddr_in peer;
		socklen_t length = sizeof(peer);
		CALL(getpeername(place->fresh, (struct sockaddr *)&peer, &length));
		MUST(close(client));
		place_close(place);
	}
}

static int closed_fd;

static void *close_when_cancelled(void *unused)
{
	(void)unused;
	pthread_cancel(pthread_self());
	close(closed_fd);
	return NULL;
}

/* close() is a cancellation point: who ends in it has closed nothing. */
static void pending_close(void)
{
	int pair[2], made[2];
	tcp_pair(pair);
	MUST(pipe(made));
	int fds[] = {pair[0], made[0]};
	for (size_t i = 0; i < 2; i++) {
		closed_fd = fds[i];
		void *value = end_of(begin(close_when_cancelled, NULL));
		tell("close: %s", value == PTHREAD_CANCELED ? "cancelled" : "ended");
		CALL(fcntl(fds[i], F_GETFD));
		CALL(close(fds[i]));
		CALL(fcntl(fds[i], F_GETFD));
	}
	MUST(close(pair[1]));
	MUST(close(made[1]));
}

/* ---- no cancellation points, or none for now ---- */

static void call_what_is_no_point(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	struct epoll_event event = {.events = EPOLLIN};
	int fds[2], one = 1;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = (int)CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	CALL(listen(fd, 1));
	CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	CALL(getsockname(fd, (struct sockaddr *)&address, &length));
	int copy = (int)CALL(dup(fd));
	CALL(dup2(fd, copy));
	CALL(dup3(fd, copy, O_CLOEXEC));
	int other = (int)CALL(fcntl(fd, F_DUPFD, 50));
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	CALL(pipe2(fds, O_CLOEXEC));
	int set_of_fds = (int)CALL(epoll_create1(0));
	CALL(epoll_ctl(set_of_fds, EPOLL_CTL_ADD, fd, &event));
	CALL(shutdown(fd, SHUT_RDWR));
	CALL(syscall(SYS_close, copy));
	CALL(close_range((unsigned)other, (unsigned)other, 0));
	CALL(close_range((unsigned)set_of_fds, (unsigned)set_of_fds, 0));
}

static void *call_while_pending(void *unused)
{
	(void)unused;
	pthread_cancel(pthread_self());
	call_what_is_no_point();
	tell("still here");
	pthread_testcancel();
	tell("too far");
	return NULL;
}

static void no_points(void)
{
	void *value = end_of(begin(call_while_pending, NULL));
	tell("%s", value == PTHREAD_CANCELED ? "cancelled" : "ended");
}

static void *call_while_disabled(void *context)
{
	struct place *place = (struct place *)context;
	set(&place->is_released, 1);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cancel(pthread_self());
	call_what_is_no_point();
	for (size_t i = 0; i < BLOCKINGS; i++) {
		drain(place->pair[1]);
		if (blockings[i].release == BY_PEER)
			continue;
		if (blockings[i].release == BY_BYTE)
			MUST(write(place->pair[1], "y", 1));
		else if (blockings[i].release == BY_ROOM)
			MUST(close((int)MUST(accept(place->held[0], NULL, NULL))));
		CALL_AS(blockings[i].name, blockings[i].call(place));
		drain(place->pair[0]);
	}
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	CALL(close(fd));
	tell("still here");
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	pthread_testcancel();
	tell("too far");
	return NULL;
}

static void disabled(void)
{
	struct place place;
	place_open(&place);
	void *value = end_of(begin(call_while_disabled, &place));
	tell("%s", value == PTHREAD_CANCELED ? "cancelled" : "ended");
	place_close(&place);
}

/* ---- cleaning up ---- */

struct cleaner {
	int pair[2];
	int tid;
	int opened;
};

static void close_and_open(void *context)
{
	struct cleaner *cleaner = (struct cleaner *)context;
	CALL(shutdown(cleaner->pair[0], SHUT_RDWR));
	CALL(close(cleaner->pair[0]));
	cleaner->opened = (int)CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void *block_and_clean(void *context)
{
	struct cleaner *cleaner = (struct cleaner *)context;
	char byte;
	pthread_cleanup_push(close_and_open, cleaner);
	pthread_cleanup_push(close_and_open, cleaner + 1);
	set(&cleaner->tid, own_tid());
	(void)!read(cleaner->pair[0], &byte, 1);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void handlers_close_sockets(void)
{
	struct cleaner cleaners[2] = {};
	char byte;
	tcp_pair(cleaners[0].pair);
	tcp_pair(cleaners[1].pair);
	pthread_t thread = begin(block_and_clean, cleaners);
	await_call(&cleaners[0].tid, SYS_read);
	MUST(pthread_cancel(thread));
	tell("%s", end_of(thread) == PTHREAD_CANCELED ? "cancelled" : "ended");
	for (int i = 0; i < 2; i++) {
		CALL(read(cleaners[i].pair[1], &byte, 1));
		CALL(fcntl(cleaners[i].opened, F_GETFD));
	}
}

/* Many at once, over and over: the process is none the worse. */
static void many(void)
{
	for (int round = 0; round < 3; round++) {
		struct cancelled cancelled[16] = {};
		pthread_t threads[16];
		int gone = 0;
		for (int i = 0; i < 16; i++) {
			cancelled[i].blocking = &blockings[(round + i) % (int)BLOCKINGS];
			cancelled[i].type =
				i % 2 ? PTHREAD_CANCEL_DEFERRED : PTHREAD_CANCEL_ASYNCHRONOUS;
			place_open(&cancelled[i].place);
		}
		for (int i = 0; i < 16; i++)
			threads[i] = begin(block, &cancelled[i]);
		for (int i = 0; i < 16; i++)
			await_blocked(&cancelled[i].tid, cancelled[i].blocking);
		for (int i = 0; i < 16; i++)
			MUST(pthread_cancel(threads[i]));
		for (int i = 0; i < 16; i++)
			gone += end_of(threads[i]) == PTHREAD_CANCELED;
		for (int i = 0; i < 16; i++)
			place_close(&cancelled[i].place);
		tell("cancelled %d", gone);
	}
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static const struct cases_case cases[] = {
	CASE(deferred),
	CASE(asynchronous),
	CASE(pending),
	CASE(pending_close),
	CASE(no_points),
	CASE(disabled),
	CASE(handlers_close_sockets),
	CASE(many),
};

CASES_MAIN(cases)
