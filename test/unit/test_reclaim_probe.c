/* test_reclaim_probe.c - the ladder at work: probes and their answers, keepalive=, regrets. */
#define _GNU_SOURCE
#include <errno.h>
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
#include "base/options.h"
#include "captured.h"
#include "ledger/sites.h"
#include "reclaim/reclaim.h"
#include "reclaim/regret.h"
#include "turns.h"
#include "watch/kernel.h"

/* ---- the probe ---- */

static int keepalive_of(int fd)
{
	int is_on = -1;
	assert_int_equal(sl_act_get_int(fd, SOL_SOCKET, SO_KEEPALIVE, &is_on), 0);
	return is_on;
}

/* No time passes but by itself: the kernel's answer takes up to a second. */
static bool turn_until_probed_out(void *fd)
{
	(void)suspected_turn(sl_clock_ms());
	sl_reclaim_counts(&counts);
	usleep(2000);
	return keepalive_of(*(int *)fd) == 0;
}

static void await_end_of_probe(int fd)
{
	assert_int_equal(keepalive_of(fd), 1);
	await(turn_until_probed_out, &fd, "the end of a probe");
}

/* Here the FIN is a moment old, and must not look like an answer: the kernel's ages are rough. */
static void let_it_age(void)
{
	usleep(30000);
}

static void outbound_after_a_read(void **state)
{
	(void)state;
	set_options("action=shutdown");
	suspected_open(&pair);
	let_it_age();
	suspected_touch(pair.client, SL_IO_READ);
	(void)turn_until(SL_EVENT_PROBED);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED);
	assert_int_equal(counts.probed, 1);
	assert_true(suspected_turn(sl_clock_ms()) <= 2000); /* to see the answer */
	/* Nobody is cut before it has come. */
	if (keepalive_of(pair.client))
		await_end_of_probe(pair.client);
	turns(2);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED, SL_EVENT_SHUTDOWN);
	assert_int_equal(counts.probed, 1);
}

/* The client waits for an answer that is long in coming: it is spared, and asked again after another deadline. */
static void inbound_and_waiting(void **state)
{
	(void)state;
	set_options("action=close side=both");
	suspected_open_inbound(&pair);
	let_it_age();
	(void)turn_until(SL_EVENT_PROBED);
	await_end_of_probe(pair.server);
	turns(3);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED, SL_EVENT_SKIPPED);
	assert_int_equal(told[2].spared, SL_SPARED_PEER_WAITS);
	told_forget();
	(void)turn_until(SL_EVENT_PROBED);
	await_end_of_probe(pair.server);
	turns(3);
	CHECK_TOLD(SL_EVENT_PROBED); /* that it waits is known */
	assert_int_equal(counts.shutdown, 0);
	assert_int_equal(tcp_state(pair.server), TCP_CLOSE_WAIT);
	/* It has answered: an end that comes later is not our doing, and raises its signal as ever. */
	assert_false(suspected_marks(pair.server) & SL_MARK_PROBED);
	assert_int_equal(write(pair.server, "the answer", 10), 10);
	tcp_await_unread(pair.client, 10);
}

/* It waited, and then gave up: that is for the program to see. */
static void inbound_and_reset_later(void **state)
{
	(void)state;
	set_options("action=close side=both");
	suspected_open_inbound(&pair);
	let_it_age();
	(void)turn_until(SL_EVENT_PROBED);
	await_end_of_probe(pair.server);
	turns(1);
	assert_int_equal(told_last(SL_EVENT_SKIPPED)->spared, SL_SPARED_PEER_WAITS);
	tcp_reset(pair.client);
	tcp_await_state(pair.server, TCP_CLOSE);
	turns(9);
	assert_int_equal(told_last(SL_EVENT_SKIPPED)->spared, SL_SPARED_ERROR_PENDING);
	assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), 0);
	assert_int_equal(tcp_option(pair.server, SOL_SOCKET, SO_ERROR), EPIPE);
}

static void inbound_and_forgotten(void **state)
{
	(void)state;
	set_options("action=close side=both");
	suspected_open_inbound(&pair);
	suspected_forget_peer(&pair);
	(void)turn_until(SL_EVENT_PROBED);
	assert_int_equal(told_of(SL_EVENT_SKIPPED), 0);
	tcp_await_state(pair.server, TCP_CLOSE);
	(void)suspected_turn(sl_clock_ms());
	sl_reclaim_counts(&counts);
	assert_int_equal(counts.ended_by_probe, 1);
	assert_int_equal(counts.shutdown, 0);
	assert_int_equal(keepalive_of(pair.server), 0);
	/* The error is of our own making: it does not stop the ladder. */
	turns(4);
	assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), 1);
	assert_int_equal(counts.ended_by_probe, 1);
}

static bool is_probe_out(void *fd)
{
	struct sl_kernel_tcp tcp;
	return sl_kernel_tcp(*(int *)fd, &tcp) == 0 && tcp.probes > 0;
}

static bool turn_until_probed_twice(void *unused)
{
	(void)unused;
	(void)suspected_turn(sl_clock_ms());
	usleep(2000);
	return told_of(SL_EVENT_PROBED) == 2;
}

/* Silence is no answer: a packet may be lost. It is asked again before anything is done. */
static void inbound_and_silent(void **state)
{
	(void)state;
	set_options("action=shutdown side=both");
	suspected_open_inbound(&pair);
	let_it_age();
	tcp_deafen(pair.client);
	(void)turn_until(SL_EVENT_PROBED);
	uint64_t before_ms = sl_clock_ms();
	await(is_probe_out, &pair.server, "a probe that is lost");
	/* It was only the network. */
	int none = 0;
	assert_int_equal(setsockopt(pair.client, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)),
	                 0);
	await(turn_until_probed_twice, NULL, "a second probe");
	assert_true(sl_clock_ms() - before_ms >= 1900);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED, SL_EVENT_PROBED);
	assert_int_equal(tcp_state(pair.server), TCP_CLOSE_WAIT);
	if (keepalive_of(pair.server))
		await_end_of_probe(pair.server);
	turns(2);
	CHECK_TOLD(SL_EVENT_STUCK, SL_EVENT_PROBED, SL_EVENT_PROBED, SL_EVENT_SKIPPED);
	assert_int_equal(told[3].spared, SL_SPARED_PEER_WAITS);
}

/* It was used since: whoever answered then may have gone by now, or may wait. */
static void used_after_a_probe(void **state)
{
	(void)state;
	set_options("action=shutdown");
	suspected_open(&pair);
	let_it_age();
	suspected_touch(pair.client, SL_IO_READ);
	(void)turn_until(SL_EVENT_PROBED);
	suspected_touch(pair.client, SL_IO_READ);
	turns(1);
	assert_int_equal(keepalive_of(pair.client), 0);
	/* Another deadline, and another probe. */
	turns(3);
	assert_int_equal(told_of(SL_EVENT_PROBED), 1);
	turns(1);
	assert_int_equal(told_of(SL_EVENT_PROBED), 2);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 0);
	turns(2);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 1);
}

/* In the middle of a probe the program gives its peer up: the settings are those of its next connection. */
static void disconnected_while_probed(void **state)
{
	(void)state;
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int idle_s = 0, standard_s = 0;
	set_options("action=shutdown probe=on");
	suspected_open(&pair);
	let_it_age();
	assert_int_equal(sl_act_get_int(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, &standard_s), 0);
	(void)turn_until(SL_EVENT_PROBED);
	assert_int_equal(keepalive_of(pair.client), 1);
	assert_int_equal(connect(pair.client, &nobody, sizeof(nobody)), 0);
	/* As the door does. */
	struct sl_fd_record record = suspected_record(pair.client);
	sl_fdtable_identify(pair.client, record.generation, 0, 0);
	sl_fdtable_mark(pair.client, record.generation, 0, SL_FD_OUT | SL_FD_CONNECTED);
	sl_fdtable_unmark(pair.client, record.generation);
	turns(1);
	assert_int_equal(keepalive_of(pair.client), 0);
	assert_int_equal(sl_act_get_int(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s), 0);
	assert_int_equal(idle_s, standard_s);
}

/* ---- keepalive= ---- */

static void ended_by_keepalive(void **state)
{
	(void)state;
	int one = 1;
	set_options("action=report keepalive=1");
	tcp_open(&pair);
	tcp_record(pair.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	turns(1);
	assert_int_equal(keepalive_of(pair.client), 1);
	/* Once will do here. */
	assert_int_equal(setsockopt(pair.client, IPPROTO_TCP, TCP_KEEPCNT, &one, sizeof(one)), 0);
	tcp_deafen(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	turns(2);
	assert_int_equal(told_of(SL_EVENT_KEEPALIVE), 1);
	assert_int_equal(told_last(SL_EVENT_KEEPALIVE)->fd, pair.client);
	assert_int_equal(counts.ended_by_keepalive, 1);
	assert_int_equal(counts.ended_by_probe, 0);
}

/* ---- regrets ---- */

static void regret(int fd)
{
	sl_regret_note(fd, atomic_load(&sl_fdtable_slot(fd)->head));
}

static void regrets(void **state)
{
	(void)state;
	int fds[4];
	set_options("action=close max_rate=0");
	suspected_open_at(&pair, SL_SITE_ADOPTED);
	(void)turn_until(SL_EVENT_SHUTDOWN);
	regret(pair.client);
	told_forget();
	turns(1);
	assert_int_equal(told[0].kind, SL_EVENT_REGRETTED);
	assert_int_equal(told[0].fd, pair.client);
	assert_int_equal(counts.regretted, 1);
	assert_int_equal(sl_site_get(SL_SITE_ADOPTED)->regretted, 1);
	/* Its site is left alone from now on: no further rung, no other connection. */
	struct tcp_pair other;
	suspected_open_at(&other, SL_SITE_ADOPTED);
	turns(10);
	assert_int_equal(told_of(SL_EVENT_NEUTRALIZED), 0);
	assert_int_equal(told_of(SL_EVENT_SHUTDOWN), 0);
	assert_int_equal(told_of(SL_EVENT_SKIPPED), 2);
	assert_int_equal(tcp_state(other.client), TCP_CLOSE_WAIT);
	/* Other sites go on. */
	for (int i = 0; i < 4; i++)
		fds[i] = open_one();
	(void)turn_until(SL_EVENT_SHUTDOWN);
	assert_int_equal(shut_down_of(fds, 4), 4);
	assert_int_equal(sl_reclaim_action(), SL_ACTION_CLOSE);
	regret(fds[0]);
	regret(fds[1]);
	capture_stderr();
	turns(1);
	assert_int_equal(occurrences(captured_stderr(), "action=report"), 1);
	assert_int_equal(told_of(SL_EVENT_STOPPED), 1);
	assert_true(sl_reclaim_is_stopped());
	assert_int_equal(sl_reclaim_action(), SL_ACTION_REPORT);
	/* Nothing at all is done any more: no first rung, and no further one. */
	int last = open_one();
	told_forget();
	turns(20);
	CHECK_TOLD(SL_EVENT_STUCK);
	assert_int_equal(tcp_state(last), TCP_CLOSE_WAIT);
	assert_int_equal(counts.neutralized, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(outbound_after_a_read),
		TEST(inbound_and_waiting),
		TEST(inbound_and_forgotten),
		TEST(inbound_and_silent),
		TEST(inbound_and_reset_later),
		TEST(used_after_a_probe),
		TEST(disconnected_while_probed),
		TEST(ended_by_keepalive),
		TEST(regrets),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}

int main(void)
{
	return run_alone(run_all);
}
