/* hooks_epoll.c - epoll_ctl() beside an action of the worker on the same number. */
#include "doors.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "racers.h"
#include "reclaim/act.h"
#include "tcp.h"
#include "watch/kernel.h"

#define GUARDED SL_MARK_GUARDED

static uint64_t inode_of(int fd)
{
	struct stat file;
	assert_int_equal(fstat(fd, &file), 0);
	return file.st_ino;
}

static int count_events(int set)
{
	struct epoll_event events[8];
	return epoll_wait(set, events, 8, 0);
}

/* A connection in CLOSE_WAIT, guarded. */
static void open_guarded(struct tcp_pair *pair)
{
	tcp_open(pair);
	assert_int_equal(SL_SYS2(SYS_shutdown, pair->server, SHUT_WR), 0);
	tcp_await_state(pair->client, TCP_CLOSE_WAIT);
	assert_true(sl_fdtable_guard(pair->client, record_of(pair->client).generation));
}

static struct sl_target target_of(int fd, int set)
{
	struct sl_fd_record record = record_of(fd);
	struct sl_kernel_tcp tcp;
	assert_int_equal(sl_kernel_tcp(fd, &tcp), 0);
	struct sl_target target = {
		.cookie = sl_kernel_cookie(fd),
		.bytes_sent = tcp.bytes_sent,
		.count = 1,
		.numbers = {{fd, record.generation, record.last_io}},
	};
	if (set >= 0) {
		target.registrations = 1;
		target.in[0] = (struct sl_registration){set, fd};
	}
	return target;
}

/* ---- one action, step by step ---- */

struct changer {
	int set, operation, fd;
	_Atomic bool has_begun, is_over;
	int result, error;
};

static void *change(void *context)
{
	struct changer *changer = context;
	struct epoll_event event = {.events = EPOLLIN, .data.fd = changer->fd};
	atomic_store(&changer->has_begun, true);
	changer->result = epoll_ctl(changer->set, changer->operation, changer->fd, &event);
	changer->error = errno;
	atomic_store(&changer->is_over, true);
	return NULL;
}

static bool has_begun(void *context)
{
	return atomic_load(&((struct changer *)context)->has_begun);
}

/* While the number is held the call waits; then it meets a dead socket, and says what it says of one. */
static void check_waits(int operation)
{
	struct tcp_pair pair;
	struct epoll_event event = {.events = EPOLLIN};
	struct changer changer = {.set = epoll_create1(0), .operation = operation};
	pthread_t thread;
	open_guarded(&pair);
	changer.fd = pair.client;
	if (operation != EPOLL_CTL_ADD)
		assert_int_equal(epoll_ctl(changer.set, EPOLL_CTL_ADD, pair.client, &event), 0);
	struct sl_fd_record record = record_of(pair.client);
	sl_fdtable_met(pair.client, record.generation); /* by a sweep */
	assert_int_equal(sl_fdtable_hold(pair.client, record.generation, record.last_io), 0);
	assert_int_equal(pthread_create(&thread, NULL, change, &changer), 0);
	await(has_begun, &changer, "a thread to start");
	give_way();
	assert_false(atomic_load(&changer.is_over));
	int dead = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(SL_SYS2(SYS_shutdown, dead, SHUT_RDWR), -ENOTCONN);
	assert_int_equal(SL_SYS3(SYS_dup3, dead, pair.client, 0), pair.client);
	assert_true(sl_fdtable_mark_held(pair.client, record.generation,
	                                 GUARDED | SL_MARK_ENDED | SL_MARK_DEAD));
	sl_fdtable_release(pair.client, record.generation);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(changer.result, 0);
	/* Of its own, or not at all: the shared one would stay in the set for ever. */
	assert_int_equal(count_events(changer.set), operation == EPOLL_CTL_DEL ? 0 : 1);
	assert_int_equal(inode_of(pair.client) == inode_of(dead), operation == EPOLL_CTL_DEL);
	tcp_close(&pair);
	assert_int_equal(count_events(changer.set), 0);
	assert_int_equal(close(changer.set) + sl_sys_close(dead), 0);
}

static void a_change_waits_for_an_action(void **state)
{
	(void)state;
	check_waits(EPOLL_CTL_ADD);
	check_waits(EPOLL_CTL_MOD);
	check_waits(EPOLL_CTL_DEL);
}

/* What was registered since the sets were read: nothing is done about it. */
static void a_change_since_it_was_looked_at_is_seen(void **state)
{
	(void)state;
	struct tcp_pair pair;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int set = epoll_create1(0);
	const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
	open_guarded(&pair);
	for (int i = 0; i < 3; i++) {
		struct sl_target target = target_of(pair.client, -1);
		assert_int_equal(UNTOUCHED(epoll_ctl(set, operations[i], pair.client, &event)), 0);
		assert_int_equal(sl_act_shutdown(&target), -EBUSY);
		assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
		sl_fdtable_met(pair.client, record_of(pair.client).generation); /* by a sweep */
	}
	tcp_close(&pair);
	assert_int_equal(close(set), 0);
}

/* It stood in two sets, and asked the one of them for more: the other has lost it as well, and does not say so. */
static void a_second_set_is_left_as_ever(void **state)
{
	(void)state;
	struct epoll_event event = {.events = EPOLLIN};
	int sets[] = {epoll_create1(0), epoll_create1(0)};
	for (int with_events = 0; with_events < 2; with_events++) {
		struct tcp_pair pair;
		open_guarded(&pair);
		int fd = pair.client;
		event.events = EPOLLIN;
		for (int i = 0; i < 2; i++)
			assert_int_equal(epoll_ctl(sets[i], EPOLL_CTL_ADD, fd, &event), 0);
		sl_fdtable_met(fd, record_of(fd).generation);
		struct sl_target target = target_of(fd, sets[0]);
		assert_int_equal(sl_act_shutdown(&target), 0);
		tcp_await_state(fd, TCP_CLOSE);
		assert_int_equal(sl_act_neutralize(&target, true, true), 0);
		assert_int_equal(UNTOUCHED(epoll_ctl(sets[0], EPOLL_CTL_MOD, fd, &event)), 0);
		assert_int_equal(count_events(sets[0]), 1);
		event.events = with_events ? EPOLLIN : 0;
		assert_int_equal(UNTOUCHED(epoll_ctl(sets[1], EPOLL_CTL_MOD, fd, &event)), 0);
		assert_int_equal(count_events(sets[1]), with_events);
		for (int i = 0; i < 2; i++)
			assert_int_equal(UNTOUCHED(epoll_ctl(sets[i], EPOLL_CTL_DEL, fd, NULL)), 0);
		assert_int_equal(count_events(sets[0]) + count_events(sets[1]), 0);
		tcp_close(&pair);
	}
	assert_int_equal(close(sets[0]) + close(sets[1]), 0);
}

/* ---- a loop that our shutdown wakes, level-triggered ---- */

#define ROUNDS 200

struct loop {
	int set, fd;
	unsigned wrong; /* calls that failed */
	_Atomic bool is_waiting, is_over;
};

/* It reads the end, asks for something else, and leaves: as event loops do. */
static void *run_loop(void *context)
{
	struct loop *loop = context;
	struct epoll_event event;
	char bytes[8];
	atomic_store(&loop->is_waiting, true);
	/* Where it comes late, what would have woken it is gone. */
	while (epoll_wait(loop->set, &event, 1, 1) == 0 && !atomic_load(&loop->is_over))
		;
	for (int i = 0; i < 8; i++) {
		loop->wrong += read(loop->fd, bytes, sizeof(bytes)) != 0;
		event = (struct epoll_event){.events = 0, .data.fd = loop->fd};
		loop->wrong += epoll_ctl(loop->set, EPOLL_CTL_MOD, loop->fd, &event) != 0;
	}
	loop->wrong += epoll_ctl(loop->set, EPOLL_CTL_DEL, loop->fd, NULL) != 0;
	return NULL;
}

static bool is_waiting(void *context)
{
	return atomic_load(&((struct loop *)context)->is_waiting);
}

static void a_woken_loop_meets_all_of_it(void **state)
{
	(void)state;
	for (unsigned round = 0; round < RACE_ROUNDS(ROUNDS); round++) {
		struct tcp_pair pair;
		struct loop loop = {.set = epoll_create1(0)};
		/* Not EPOLLIN: the end of file would wake it before us. */
		struct epoll_event event = {.events = EPOLLPRI};
		pthread_t thread;
		bool is_dead;
		open_guarded(&pair);
		loop.fd = pair.client;
		assert_int_equal(epoll_ctl(loop.set, EPOLL_CTL_ADD, loop.fd, &event), 0);
		sl_fdtable_met(loop.fd, record_of(loop.fd).generation);
		struct sl_target target = target_of(loop.fd, loop.set);
		assert_int_equal(pthread_create(&thread, NULL, run_loop, &loop), 0);
		await(is_waiting, &loop, "a loop");
		assert_int_equal(sl_act_end(&target, &is_dead), 0);
		atomic_store(&loop.is_over, true);
		assert_true(is_dead);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(loop.wrong, 0);
		assert_int_equal(count_events(loop.set), 0);
		tcp_check_fin(pair.server);
		tcp_close(&pair);
		assert_int_equal(close(loop.set), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_waits_for_an_action),
		cmocka_unit_test(a_change_since_it_was_looked_at_is_seen),
		cmocka_unit_test(a_second_set_is_left_as_ever),
		cmocka_unit_test(a_woken_loop_meets_all_of_it),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
