/* test_keepalive.c - keepalive=: what is set, and that the program's own always wins. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/options.h"
#include "base/process.h"
#include "child.h"
#include "ledger/sites.h"
#include "racers.h"
#include "reclaim/keepalive.h"
#include "suspected.h"

struct times {
	int is_on, idle_s, interval_s, count;
};

static struct times standard;
static struct tcp_pair pair;

static struct times times_of(int fd)
{
	return (struct times){
		tcp_option(fd, SOL_SOCKET, SO_KEEPALIVE),
		tcp_option(fd, IPPROTO_TCP, TCP_KEEPIDLE),
		tcp_option(fd, IPPROTO_TCP, TCP_KEEPINTVL),
		tcp_option(fd, IPPROTO_TCP, TCP_KEEPCNT),
	};
}

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	standard = times_of(fd);
	close(fd);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	suspected_reset();
	alarm(60);
	sl_options.keepalive_s = 30;
	tcp_open(&pair);
	tcp_record(pair.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	return 0;
}

static void check(int fd, int is_on, int idle_s, int interval_s, int count)
{
	struct times now = times_of(fd), wanted = {is_on, idle_s, interval_s, count};
	if (memcmp(&now, &wanted, sizeof(now)) != 0)
		fail_msg("%d: %d s, %d s, %d times; wanted %d: %d s, %d s, %d times", now.is_on,
		         now.idle_s, now.interval_s, now.count, is_on, idle_s, interval_s, count);
}

static void check_standard(int fd, int is_on)
{
	check(fd, is_on, standard.idle_s, standard.interval_s, standard.count);
}

static uint32_t flags_of(int fd)
{
	return suspected_record(fd).flags & (SL_FD_KEEPALIVE | SL_FD_OWN_KEEPALIVE);
}

/* What the door of setsockopt() does. */
static void set_as_the_program(int fd, int level, int name, int value)
{
	struct sl_fd_record record = suspected_record(fd);
	sl_keepalive_yield(&record);
	tcp_set_option(fd, level, name, value);
}

static void off(void **state)
{
	(void)state;
	sl_options.keepalive_s = SL_OFF;
	sl_keepalive_turn();
	check_standard(pair.client, 0);
	assert_int_equal(flags_of(pair.client), 0);
}

static void the_values(void **state)
{
	(void)state;
	static const int rows[][2] = {{1, 1},  {4, 1},   {5, 1},       {9, 1},
	                              {10, 2}, {60, 12}, {7200, 1440}, {32767, 6553}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tcp_pair other;
		tcp_open(&other);
		tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
		sl_options.keepalive_s = rows[i][0];
		sl_keepalive_turn();
		check(other.client, 1, rows[i][0], rows[i][1], 5);
		assert_int_equal(flags_of(other.client), SL_FD_KEEPALIVE);
		tcp_close(&other);
	}
}

/* Every TCP socket that is recorded, connected or not; nothing else. */
static void which_sockets(void **state)
{
	(void)state;
	struct sl_fd_opening opening = {.kind = SL_KIND_UNIX};
	int fresh = socket(AF_INET, SOCK_STREAM, 0), v6 = socket(AF_INET6, SOCK_STREAM, 0);
	int other = socket(AF_UNIX, SOCK_STREAM, 0);
	tcp_record(fresh, 0, SL_SITE_NO_STACK);
	tcp_record(v6, 0, SL_SITE_NO_STACK);
	tcp_record(pair.listener, SL_FD_LISTENING, SL_SITE_NO_STACK);
	assert_true(sl_fdtable_open(other, &opening));
	sl_keepalive_turn();
	check(pair.client, 1, 30, 6, 5);
	check(fresh, 1, 30, 6, 5);
	check(v6, 1, 30, 6, 5);
	check_standard(pair.listener, 0);
	check_standard(pair.server, 0); /* nobody recorded it */
	assert_int_equal(tcp_option(other, SOL_SOCKET, SO_KEEPALIVE), 0);
	/* Met later. */
	tcp_record(pair.server, SUSPECTED_IN, SL_SITE_NO_STACK);
	sl_keepalive_turn();
	check(pair.server, 1, 30, 6, 5);
	assert_int_equal(flags_of(pair.server), SL_FD_KEEPALIVE);
}

/* Once: what is changed then, past all hooks, is not ours to change back. */
static void once(void **state)
{
	(void)state;
	sl_keepalive_turn();
	tcp_set_option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, 99);
	sl_keepalive_turn();
	check(pair.client, 1, 99, 6, 5);
}

/* What we ended, or let go of, or have under way. */
static void not_after_an_action(void **state)
{
	(void)state;
	const uint32_t marks[] = {SL_MARK_PROBED, SL_MARK_ENDED, SL_MARK_DEAD};
	for (int i = 0; i < 3; i++) {
		struct tcp_pair other;
		tcp_open(&other);
		tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
		uint32_t generation = suspected_record(other.client).generation;
		assert_true(sl_fdtable_mark_held(other.client, generation, marks[i]));
		sl_keepalive_turn();
		check_standard(other.client, 0);
		assert_int_equal(flags_of(other.client), 0);
		tcp_close(&other);
	}
}

static void the_programs_own_before(void **state)
{
	(void)state;
	set_as_the_program(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	assert_int_equal(flags_of(pair.client), SL_FD_OWN_KEEPALIVE);
	sl_keepalive_turn();
	check(pair.client, 0, 77, standard.interval_s, standard.count);
	assert_int_equal(flags_of(pair.client), SL_FD_OWN_KEEPALIVE);
}

/* It may have asked for none: that is its own as well. */
static void switched_off_by_the_program(void **state)
{
	(void)state;
	set_as_the_program(pair.client, SOL_SOCKET, SO_KEEPALIVE, 0);
	sl_keepalive_turn();
	check_standard(pair.client, 0);
	/* After us too. */
	tcp_record(pair.server, SUSPECTED_IN, SL_SITE_NO_STACK);
	sl_keepalive_turn();
	check(pair.server, 1, 30, 6, 5);
	set_as_the_program(pair.server, SOL_SOCKET, SO_KEEPALIVE, 0);
	check_standard(pair.server, 0);
	sl_keepalive_turn();
	check_standard(pair.server, 0);
}

/* Past the hooks, or inherited: it is on already. */
static void set_unseen(void **state)
{
	(void)state;
	tcp_set_option(pair.client, SOL_SOCKET, SO_KEEPALIVE, 1);
	tcp_set_option(pair.client, IPPROTO_TCP, TCP_KEEPINTVL, 11);
	sl_keepalive_turn();
	check(pair.client, 1, standard.idle_s, 11, standard.count);
	assert_int_equal(flags_of(pair.client), SL_FD_OWN_KEEPALIVE);
}

static void the_programs_own_after(void **state)
{
	(void)state;
	sl_keepalive_turn();
	check(pair.client, 1, 30, 6, 5);
	/* What it sets is set, what it does not is the system's. */
	set_as_the_program(pair.client, IPPROTO_TCP, TCP_KEEPCNT, 3);
	check(pair.client, 0, standard.idle_s, standard.interval_s, 3);
	assert_int_equal(flags_of(pair.client), SL_FD_OWN_KEEPALIVE);
	set_as_the_program(pair.client, SOL_SOCKET, SO_KEEPALIVE, 1);
	check(pair.client, 1, standard.idle_s, standard.interval_s, 3);
	set_as_the_program(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, 44);
	sl_keepalive_turn();
	check(pair.client, 1, 44, standard.interval_s, 3);
}

/* A listener's times are those of every connection that it accepts: of its own, and of no other socket. */
static void set_on_the_listener(void **state)
{
	(void)state;
	set_as_the_program(pair.client, SOL_SOCKET, SO_KEEPALIVE, 0); /* not in the way */
	tcp_set_option(pair.listener, IPPROTO_TCP, TCP_KEEPIDLE, 55);
	int client = tcp_connect(false, pair.port), server = accept(pair.listener, NULL, NULL);
	/* The first that is met. */
	tcp_record(server, SUSPECTED_IN, SL_SITE_NO_STACK);
	sl_keepalive_turn();
	check(server, 0, 55, standard.interval_s, standard.count);
	assert_int_equal(flags_of(server), SL_FD_OWN_KEEPALIVE);
	tcp_record(client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	sl_keepalive_turn();
	check(client, 1, 30, 6, 5);
	set_as_the_program(client, SOL_SOCKET, SO_KEEPALIVE, 1);
	check_standard(client, 1);
}

/* The number may be another socket's by the time that the call goes on. */
static void yielded_too_late(void **state)
{
	(void)state;
	struct sl_fd_record old = suspected_record(pair.client);
	sl_keepalive_turn();
	sl_fdtable_drop(pair.client, old.generation);
	tcp_record(pair.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_KEEPALIVE, 0));
	sl_keepalive_yield(&old);
	check(pair.client, 1, 30, 6, 5);
	assert_int_equal(flags_of(pair.client), SL_FD_KEEPALIVE);
	errno = 4711;
	old = suspected_record(pair.client);
	sl_keepalive_yield(&old);
	assert_int_equal(errno, 4711);
	check_standard(pair.client, 0);
}

/* A number that is another socket by now, past the hooks: not what was recorded, and not touched by its cookie alone. */
static void no_socket_there(void **state)
{
	(void)state;
	int file = open("/dev/null", O_RDONLY);
	assert_int_equal(dup2(file, pair.client), pair.client);
	sl_keepalive_turn();
	assert_int_equal(flags_of(pair.client), 0);
	close(pair.client);
	sl_keepalive_turn();
	assert_int_equal(flags_of(pair.client), 0);
}

static void sandboxed_in_child(void)
{
	sl_process_sandboxed();
	sl_keepalive_turn();
	CHECK(tcp_option(pair.client, SOL_SOCKET, SO_KEEPALIVE) == 0);
}

static void in_a_sandbox(void **state)
{
	(void)state;
	in_child(sandboxed_in_child);
}

/* The worker and the program at once: whoever comes first, the program's own is what is left. */
static void worker_and_program(unsigned index, void *context)
{
	int fd = *(int *)context;
	if (index == 0) {
		sl_keepalive_turn();
		return;
	}
	struct sl_fd_record record;
	int on = 1, idle_s = 77;
	(void)sl_fdtable_get(fd, &record);
	sl_keepalive_yield(&record);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	sl_keepalive_yield(&record);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
}

static void both_at_once(void **state)
{
	(void)state;
	sl_keepalive_turn();
	for (unsigned i = 0; i < RACE_ROUNDS(400); i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		tcp_record(fd, 0, SL_SITE_NO_STACK);
		race(2, worker_and_program, &fd);
		check(fd, 1, 77, standard.interval_s, standard.count);
		tcp_close_recorded(fd);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(off),
		TEST(the_values),
		TEST(which_sockets),
		TEST(once),
		TEST(not_after_an_action),
		TEST(the_programs_own_before),
		TEST(switched_off_by_the_program),
		TEST(set_unseen),
		TEST(the_programs_own_after),
		TEST(set_on_the_listener),
		TEST(yielded_too_late),
		TEST(no_socket_there),
		TEST(in_a_sandbox),
		TEST(both_at_once),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
