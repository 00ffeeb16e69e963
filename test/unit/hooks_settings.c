/* hooks_settings.c - setsockopt: what the program sets arrives, and its own keepalive stands. */
#include "doors.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/options.h"
#include "base/sys.h"
#include "reclaim/keepalive.h"
#include "racers.h"
#include "tcp.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define OURS_S 130 /* keepalive= */

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	return fd;
}

static int value_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
	return value;
}

static const struct {
	int level, name, value;
	bool is_keepalive;
} rows[] = {
	{SOL_SOCKET, SO_KEEPALIVE, 1, true},   {SOL_SOCKET, SO_KEEPALIVE, 0, true},
	{IPPROTO_TCP, TCP_KEEPIDLE, 77, true}, {IPPROTO_TCP, TCP_KEEPINTVL, 7, true},
	{IPPROTO_TCP, TCP_KEEPCNT, 3, true},   {SOL_SOCKET, SO_REUSEADDR, 1, false},
	{IPPROTO_TCP, TCP_NODELAY, 1, false},  {IPPROTO_TCP, TCP_USER_TIMEOUT, 9000, false},
	{IPPROTO_IP, IP_TTL, 9, false},        {IPPROTO_IP, IP_PKTINFO, 1, false},
	{IPPROTO_IP, IP_RECVOPTS, 1, false}, /* the number of TCP_KEEPCNT */
};

static void check_row(size_t i)
{
	int fd = tcp_socket();
	int value = rows[i].value;
	assert_int_equal(
		UNTOUCHED(setsockopt(fd, rows[i].level, rows[i].name, &value, sizeof(value))), 0);
	assert_int_equal(value_of(fd, rows[i].level, rows[i].name), value);
	assert_int_equal(record_of(fd).flags, rows[i].is_keepalive ? SL_FD_OWN_KEEPALIVE : 0);
	assert_int_equal(close(fd), 0);
}

/* Untracked, or no TCP: it passes, and nothing is noted. */
static void check_others(void)
{
	int pair[2], plain, value = 1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(UNTOUCHED(setsockopt(pair[0], SOL_SOCKET, SO_KEEPALIVE, &value, 4)), 0);
	assert_int_equal(value_of(pair[0], SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(record_of(pair[0]).flags, 0);
	plain = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(UNTOUCHED(setsockopt(plain, SOL_SOCKET, SO_KEEPALIVE, &value, 4)), 0);
	assert_int_equal(value_of(plain, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_false(is_seen(plain));
	(void)sl_sys_close(plain);
	assert_int_equal(close(pair[0]) + close(pair[1]), 0);
}

static void test_hook_setsockopt(void **state)
{
	(void)state;
	int value = 1, too_much = 100000;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		check_row(i);
	check_others();
	int fd = tcp_socket();
	FAILS_AS(SL_SYS5(SYS_setsockopt, fd, IPPROTO_TCP, TCP_KEEPIDLE, &too_much, 4),
	         setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &too_much, 4));
	FAILS_AS(SL_SYS5(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1),
	         setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1));
	FAILS_AS(SL_SYS5(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, NULL, 4),
	         setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, 4));
	FAILS_AS(SL_SYS5(SYS_setsockopt, -1, SOL_SOCKET, SO_KEEPALIVE, &value, 4),
	         setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &value, 4));
	FAILS_AS(SL_SYS5(SYS_setsockopt, fd, 12345, 1, &value, 4),
	         setsockopt(fd, 12345, 1, &value, 4));
	assert_int_equal(close(fd), 0);
}

/* As the worker does after a sweep; it sleeps meanwhile. */
static int with_ours(void)
{
	int fd = tcp_socket();
	sl_options.keepalive_s = OURS_S;
	/* Should it not sleep after all, both are at the same desk: again then. */
	for (int i = 0; i < 100 && !(record_of(fd).flags & SL_FD_KEEPALIVE); i++)
		sl_keepalive_turn();
	sl_options.keepalive_s = SL_OFF;
	assert_int_equal(record_of(fd).flags, SL_FD_KEEPALIVE);
	assert_int_equal(value_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(value_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), OURS_S);
	return fd;
}

/* Nothing of ours stays beside it: the program reads what it would have read without us. */
static void the_programs_own_keepalive_takes_ours_back(void **state)
{
	(void)state;
	static const int names[] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};
	int plain = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0); /* of which nobody knows */
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int fd = with_ours(), value = rows[i].value;
		assert_int_equal(UNTOUCHED(setsockopt(fd, rows[i].level, rows[i].name, &value, 4)),
		                 0);
		assert_int_equal(value_of(fd, rows[i].level, rows[i].name), value);
		if (!rows[i].is_keepalive) {
			assert_int_equal(record_of(fd).flags, SL_FD_KEEPALIVE);
			assert_int_equal(value_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), OURS_S);
			assert_int_equal(close(fd), 0);
			continue;
		}
		assert_int_equal(record_of(fd).flags, SL_FD_OWN_KEEPALIVE);
		for (size_t k = 0; k < COUNT_OF(names); k++)
			if (names[k] != rows[i].name || rows[i].level != IPPROTO_TCP)
				assert_int_equal(value_of(fd, IPPROTO_TCP, names[k]),
				                 value_of(plain, IPPROTO_TCP, names[k]));
		if (rows[i].name != SO_KEEPALIVE)
			assert_int_equal(value_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
		sl_options.keepalive_s = OURS_S; /* and it is never set again */
		sl_keepalive_turn();
		sl_options.keepalive_s = SL_OFF;
		assert_int_equal(record_of(fd).flags, SL_FD_OWN_KEEPALIVE);
		assert_int_equal(close(fd), 0);
	}
	(void)sl_sys_close(plain);
}

struct setting {
	int fd;
	_Atomic int tid;
	_Atomic bool is_done;
};

static void *set_idle(void *context)
{
	struct setting *setting = context;
	int value = 55;
	atomic_store(&setting->tid, sl_sys_gettid());
	(void)setsockopt(setting->fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof(value));
	atomic_store(&setting->is_done, true);
	return NULL;
}

static bool is_marked(void *context)
{
	return record_of(((struct setting *)context)->fd).flags & SL_FD_OWN_KEEPALIVE;
}

/* The worker is about to set ours: the program's comes after it, whole. */
static void it_waits_while_the_worker_sets_ours(void **state)
{
	(void)state;
	struct setting setting = {.fd = tcp_socket()};
	pthread_t thread;
	uint32_t generation = record_of(setting.fd).generation;
	int idle_s = OURS_S;
	assert_int_equal(sl_fdtable_hold(setting.fd, generation, SL_IO_ANY), 0);
	assert_int_equal(pthread_create(&thread, NULL, set_idle, &setting), 0);
	await(is_marked, &setting, "the door to note it");
	give_way();
	assert_false(atomic_load(&setting.is_done));
	assert_int_equal(SL_SYS5(SYS_setsockopt, setting.fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, 4),
	                 0);
	sl_fdtable_mark(setting.fd, generation, SL_FD_KEEPALIVE, 0);
	sl_fdtable_release(setting.fd, generation);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(record_of(setting.fd).flags, SL_FD_OWN_KEEPALIVE);
	assert_int_equal(value_of(setting.fd, IPPROTO_TCP, TCP_KEEPIDLE), 55);
	assert_int_equal(close(setting.fd), 0);
}

static int set_in_vfork(void *context)
{
	int value = 1;
	return setsockopt(*(int *)context, SOL_SOCKET, SO_KEEPALIVE, &value, 4);
}

static void a_vfork_childs_setting_notes_nothing(void **state)
{
	(void)state;
	int fd = tcp_socket();
	assert_int_equal(in_vfork(set_in_vfork, &fd), 0);
	assert_int_equal(record_of(fd).flags, 0);
	assert_int_equal(value_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1); /* it is the same socket */
	assert_int_equal(close(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_setsockopt),
		cmocka_unit_test(the_programs_own_keepalive_takes_ours_back),
		cmocka_unit_test(it_waits_while_the_worker_sets_ours),
		cmocka_unit_test(a_vfork_childs_setting_notes_nothing),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
