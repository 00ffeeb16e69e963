/* hooks_adopt.c - a door whose thread loses its processor between the real call and the record: the worker takes the socket for none
 * that nobody saw open.
 *
 * The real call is replaced by one that stays away after it was made, until the test lets it go on.
 */
#include "doors.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"
#include "hooks/real.h"
#include "ledger/sites.h"
#include "tcp.h"
#include "watch/adopt.h"
#include "watch/doubts.h"

static struct sl_real real; /* as it was */
static struct {
	_Atomic int made; /* what the call that is held up has made; -1: it has not yet */
	_Atomic bool may_go_on;
} held;

static int hold_up(int fd)
{
	atomic_store(&held.made, fd);
	while (!atomic_load(&held.may_go_on))
		usleep(200);
	return fd;
}

static int held_socket(int domain, int type, int protocol)
{
	return hold_up(real.socket(domain, type, protocol));
}

static int held_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	return hold_up(real.accept(fd, address, length));
}

static int held_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return hold_up(real.accept4(fd, address, length, flags));
}

static int held_dup(int fd)
{
	return hold_up(real.dup(fd));
}

static int held_dup2(int fd, int to)
{
	return hold_up(real.dup2(fd, to));
}

/* ---- the calls, each in a thread of its own ---- */

#define A_FREE_NUMBER 900

struct call {
	int (*make)(int fd);
	int fd, result;
};

static int make_socket(int unused)
{
	(void)unused;
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int make_accept(int fd)
{
	return accept(fd, NULL, NULL);
}

static int make_accept4(int fd)
{
	return accept4(fd, NULL, NULL, 0);
}

static int make_dup2(int fd)
{
	return dup2(fd, A_FREE_NUMBER);
}

static void *run_call(void *context)
{
	struct call *call = context;
	call->result = call->make(call->fd);
	return NULL;
}

static bool has_made(void *unused)
{
	(void)unused;
	return atomic_load(&held.made) >= 0;
}

static void begin(pthread_t *thread, struct call *call)
{
	atomic_store(&held.made, -1);
	atomic_store(&held.may_go_on, false);
	assert_int_equal(pthread_create(thread, NULL, run_call, call), 0);
}

static void go_on(pthread_t thread)
{
	atomic_store(&held.may_go_on, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static uint64_t adopted_before, opened_before;

static int set_up(void **state)
{
	(void)state;
	real = sl_real;
	(void)sl_adopt_scan(sl_clock_ms()); /* what the test runner left open */
	adopted_before = sl_fdtable_adopted();
	opened_before = sl_fdtable_opened(SL_KIND_TCP);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sl_real = real;
	return 0;
}

static void scan_all_along(void)
{
	uint64_t now_ms = sl_clock_ms();
	for (uint64_t later_ms = 0; later_ms < SL_DOUBTS_MS; later_ms += SL_DOUBTS_MS / 4)
		assert_true(sl_adopt_scan(now_ms + later_ms) > 0);
}

/* The call is held up, the worker looks; the call goes on. */
static void check_held_up(int (*make)(int fd), int fd, unsigned opened)
{
	struct call call = {.make = make, .fd = fd};
	pthread_t thread;
	begin(&thread, &call);
	await(has_made, NULL, "a call to be held up");
	int made = atomic_load(&held.made);
	assert_true(is_free(made));
	scan_all_along();
	assert_true(is_free(made));
	assert_int_equal(sl_fdtable_adopted(), adopted_before);
	go_on(thread);
	assert_int_equal(call.result, made);
	assert_true(is_seen(made));
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), opened_before + opened);
	(void)sl_adopt_scan(sl_clock_ms());
	assert_int_equal(sl_fdtable_adopted(), adopted_before);
	assert_int_equal(close(made), 0);
}

static void a_socket_that_is_yet_to_be_recorded(void **state)
{
	(void)state;
	sl_real.socket = held_socket;
	check_held_up(make_socket, -1, 1);
}

static void one_that_was_accepted(void **state)
{
	(void)state;
	uint16_t port;
	int listener = tcp_listen(false, 4, &port);
	int client = tcp_connect(false, port);
	opened_before = sl_fdtable_opened(SL_KIND_TCP);
	sl_real.accept = held_accept;
	check_held_up(make_accept, listener, 1);
	int other = tcp_connect(false, port);
	opened_before = sl_fdtable_opened(SL_KIND_TCP);
	sl_real.accept4 = held_accept4;
	check_held_up(make_accept4, listener, 1);
	assert_int_equal(close(client) + close(other) + close(listener), 0);
}

static void a_copy(void **state)
{
	(void)state;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	sl_real.dup = held_dup;
	sl_real.dup2 = held_dup2;
	check_held_up(dup, fd, 1);
	check_held_up(make_dup2, fd, 1);
	assert_int_equal(close(fd), 0);
}

/* Past the doors. */
static int unseen(int domain, int type)
{
	int fd = (int)SL_SYS3(SYS_socket, domain, type, 0);
	assert_true(fd >= 0);
	return fd;
}

/* A server waits in accept() for days: it delays only what may be its own, and that not for ever. */
static void a_call_that_waits(void **state)
{
	(void)state;
	uint16_t port, other_port;
	int listener = tcp_listen(false, 4, &port), other = tcp_listen(false, 4, &other_port);
	struct call call = {.make = make_accept, .fd = listener};
	pthread_t thread;
	begin(&thread, &call);
	struct sl_openings seen;
	struct sl_opening_under_way opening;
	unsigned at;
	do {
		sl_openings_look(&seen);
		at = 0;
	} while (!sl_openings_next(&seen, &at, &opening));
	assert_int_equal(opening.kind, SL_KIND_TCP);
	assert_int_equal(opening.listener, listener);

	int udp = unseen(AF_INET, SOCK_DGRAM), fresh = unseen(AF_INET, SOCK_STREAM);
	int client = tcp_connect(false, other_port);
	int server = (int)SL_SYS4(SYS_accept4, other, NULL, NULL, 0);
	int bound = unseen(AF_INET, SOCK_STREAM);
	(void)sl_adopt_scan(sl_clock_ms());
	assert_int_equal(sl_fdtable_adopted(), adopted_before + 4);
	assert_false(is_free(udp) || is_free(fresh) || is_free(server) || is_free(bound));

	/* Of the same port, past the doors: as the call's own would look if it were back. The call itself gets the connection after it. */
	int first = -1, clients[2] = {-1, -1};
	sl_real.accept = real.accept;
	clients[0] = tcp_connect(false, port);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(is_seen(call.result));
	begin(&thread, &call);
	do {
		sl_openings_look(&seen);
		at = 0;
	} while (!sl_openings_next(&seen, &at, &opening));
	first = (int)SL_SYS2(SYS_dup, call.result, 0);
	uint64_t now_ms = sl_clock_ms();
	(void)sl_adopt_scan(now_ms);
	assert_true(is_free(first));
	(void)sl_adopt_scan(now_ms + SL_DOUBTS_MS - 1);
	assert_true(is_free(first));
	(void)sl_adopt_scan(now_ms + SL_DOUBTS_MS);
	assert_false(is_free(first));
	int accepted = call.result;
	clients[1] = tcp_connect(false, port);
	assert_int_equal(pthread_join(thread, NULL), 0);
	const int all[] = {udp,   fresh,    client,     server,     bound,    other,
	                   first, listener, clients[0], clients[1], accepted, call.result};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_int_equal(close(all[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_socket_that_is_yet_to_be_recorded, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(one_that_was_accepted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_copy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_call_that_waits, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
