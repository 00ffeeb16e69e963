/* test_listeners.c - how long connections have waited at a listener, from real ones and a clock of the test's. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "watch/listeners.h"

#define START 100000000u

static struct sl_fd_record listener;
static struct sockaddr_in at;
static int clients[8];
static unsigned client_count;

static int set_up(void **state)
{
	(void)state;
	socklen_t n = sizeof(at);
	at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	listener = (struct sl_fd_record){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	                                 .generation = 7,
	                                 .last_io = 400};
	assert_int_equal(bind(listener.fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(listener.fd, 8), 0);
	assert_int_equal(getsockname(listener.fd, (struct sockaddr *)&at, &n), 0);
	sl_listeners_forked();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	while (client_count > 0)
		close(clients[--client_count]);
	close(listener.fd);
	return 0;
}

static void connect_one(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	clients[client_count++] = fd;
}

static void nobody_waits(void **state)
{
	(void)state;
	int fd;
	uint64_t ms;
	sl_listeners_meet(&listener, START);
	assert_int_equal(sl_listeners_waited_ms(&listener, START + 5000), 0);
	assert_false(sl_listeners_longest(START + 5000, &fd, &ms));
}

static void since_the_first_sweep_that_met_one(void **state)
{
	(void)state;
	int fd;
	uint64_t ms;
	connect_one();
	sl_listeners_meet(&listener, START);
	connect_one();
	sl_listeners_meet(&listener, START + 1000);
	assert_int_equal(sl_listeners_waited_ms(&listener, START + 3000), 3000);
	assert_true(sl_listeners_longest(START + 3000, &fd, &ms));
	assert_int_equal(fd, listener.fd);
	assert_int_equal(ms, 3000);
}

/* An accept() moves the listener's last call; that one still waits is no stall. */
static void an_accept_begins_anew(void **state)
{
	(void)state;
	connect_one();
	connect_one();
	sl_listeners_meet(&listener, START);
	close(accept(listener.fd, NULL, NULL));
	listener.last_io += 4;
	assert_int_equal(sl_listeners_waited_ms(&listener, START + 900),
	                 0); /* before the next sweep, too */
	sl_listeners_meet(&listener, START + 1000);
	assert_int_equal(sl_listeners_waited_ms(&listener, START + 3000), 2000);
	close(accept(listener.fd, NULL, NULL)); /* past the hooks */
	sl_listeners_meet(&listener, START + 4000);
	assert_int_equal(sl_listeners_waited_ms(&listener, START + 5000), 0);
}

/* The number is another listener's by now. */
static void another_generation(void **state)
{
	(void)state;
	connect_one();
	sl_listeners_meet(&listener, START);
	listener.generation++;
	assert_int_equal(sl_listeners_waited_ms(&listener, START + 5000), 0);
	sl_listeners_meet(&listener, START + 5000);
	assert_int_equal(sl_listeners_waited_ms(&listener, START + 6000), 1000);
}

/* More than there is room for: those that were not met for longest give way. */
static void many_generations(void **state)
{
	(void)state;
	connect_one();
	for (unsigned i = 0; i < 3 * SL_LISTENERS_MAX; i++) {
		listener.generation++;
		sl_listeners_meet(&listener, START + i);
	}
	assert_int_equal(sl_listeners_waited_ms(&listener, START + 3 * SL_LISTENERS_MAX + 99), 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_waits),          TEST(since_the_first_sweep_that_met_one),
		TEST(an_accept_begins_anew), TEST(another_generation),
		TEST(many_generations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
