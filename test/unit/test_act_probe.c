/* test_act_probe.c - the probe on real connections: what the peer says, and whose settings are left. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/sites.h"
#include "suspected.h"
#include "watch/kernel.h"

#define ENDED (SL_MARK_GUARDED | SL_MARK_ENDED)

static struct tcp_pair pair;

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	suspected_reset();
	alarm(60);
	suspected_open(&pair);
	return 0;
}

/* ---- the probe ---- */

static uint32_t acked_ago_ms(int fd)
{
	struct sl_kernel_tcp tcp;
	assert_int_equal(sl_kernel_tcp(fd, &tcp), 0);
	return tcp.last_ack_recv_ms;
}

static bool is_acked(void *context)
{
	return acked_ago_ms(*(int *)context) < 500;
}

/* The probe's answer takes up to a second: the time that TCP_KEEPIDLE=1 asks for. */
static void a_peer_that_waits_acknowledges(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	uint64_t until_ms = sl_clock_ms() + 1000;
	while (acked_ago_ms(pair.client) < 600 && sl_clock_ms() < until_ms)
		usleep(1000);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	assert_int_equal(saved.is_on, 0);
	assert_false(saved.was_own);
	assert_int_equal(saved.idle_s, tcp_option(pair.server, IPPROTO_TCP, TCP_KEEPIDLE));
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(suspected_marks(pair.client), SL_MARK_PROBED);
	await(is_acked, &pair.client, "the answer to a probe");
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	assert_int_equal(sl_act_probe_end(&target, &saved, false), 0);
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(tcp_option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), saved.idle_s);
	/* Nothing was cut: the other half still works. */
	assert_int_equal(write(pair.client, "x", 1), 1);
	tcp_await_unread(pair.server, 1);
	suspected_check_free(pair.client);
}

static void a_peer_that_forgot_resets(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	suspected_forget_peer(&pair);
	assert_int_equal(tcp_state(pair.client), TCP_CLOSE_WAIT);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	tcp_await_state(pair.client, TCP_CLOSE);
	/* Of a dead one too. */
	assert_int_equal(sl_act_probe_end(&target, &saved, false), 0);
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(tcp_option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), saved.idle_s);
	assert_false(suspected_marks(pair.client) & SL_MARK_ENDED);
}

/* As the hook of setsockopt() does: it says so first. */
static void set_own(int level, int name, int value)
{
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_OWN_KEEPALIVE, 0));
	tcp_set_option(pair.client, level, name, value);
}

static bool is_marked_own(void)
{
	return suspected_record(pair.client).flags & SL_FD_OWN_KEEPALIVE;
}

static void set_by_the_program_before(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	set_own(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_own(IPPROTO_TCP, TCP_KEEPIDLE, 77);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	assert_true(saved.was_own && saved.is_on && saved.idle_s == 77);
	assert_int_equal(tcp_option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 1);
	assert_int_equal(sl_act_probe_end(&target, &saved, false), 0);
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(tcp_option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_true(is_marked_own());
}

static void set_by_the_program_meanwhile(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	set_own(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_own(IPPROTO_TCP, TCP_KEEPIDLE, 77);
	assert_int_equal(sl_act_probe_end(&target, &saved, false), 0);
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(tcp_option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_true(is_marked_own());
}

/* It had set the times, not the switch; and does so now, in the middle of a probe. */
static void set_by_the_program_before_and_meanwhile(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	set_own(IPPROTO_TCP, TCP_KEEPIDLE, 77);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	assert_true(saved.was_own && !saved.is_on);
	set_own(SOL_SOCKET, SO_KEEPALIVE, 1);
	assert_int_equal(sl_act_probe_end(&target, &saved, false), 0);
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(tcp_option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_true(is_marked_own());
}

/* Only the times were set before, and nothing meanwhile: the switch goes back. */
static void times_set_by_the_program_before(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	set_own(IPPROTO_TCP, TCP_KEEPIDLE, 77);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	assert_int_equal(sl_act_probe_end(&target, &saved, false), 0);
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(tcp_option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_true(is_marked_own());
}

static void switched_off_by_the_program_meanwhile(void **state)
{
	(void)state;
	struct sl_target target = suspected_target(pair.client);
	struct sl_probe_saved saved;
	set_own(SOL_SOCKET, SO_KEEPALIVE, 1);
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	set_own(SOL_SOCKET, SO_KEEPALIVE, 0);
	assert_int_equal(sl_act_probe_end(&target, &saved, false), 0);
	assert_int_equal(tcp_option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(tcp_option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), saved.idle_s);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_peer_that_waits_acknowledges),
		TEST(a_peer_that_forgot_resets),
		TEST(set_by_the_program_before),
		TEST(set_by_the_program_meanwhile),
		TEST(set_by_the_program_before_and_meanwhile),
		TEST(times_set_by_the_program_before),
		TEST(switched_off_by_the_program_meanwhile),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
