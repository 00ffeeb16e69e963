/* test_rules.c - only= and never= on real connections: live, in CLOSE_WAIT and dead, of both directions and families. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/options.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "reclaim/rules.h"
#include "suspected.h"
#include "watch/kernel.h"
#include "watch/sweep.h"

static struct tcp_pair pair;
static uint32_t client_peer, server_peer;

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	return 0;
}

/* Both ends recorded, and identified. */
static int set_up(void **state)
{
	(void)state;
	suspected_reset();
	alarm(60);
	tcp_open(&pair);
	tcp_record(pair.listener, SL_FD_LISTENING, SL_SITE_NO_STACK);
	tcp_record(pair.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	tcp_record(pair.server, SUSPECTED_IN, SL_SITE_NO_STACK);
	sl_sweep(60000, sl_clock_ms());
	client_peer = suspected_record(pair.client).peer;
	server_peer = suspected_record(pair.server).peer;
	assert_true(client_peer && server_peer);
	return 0;
}

static void complain(const char *line)
{
	fail_msg("%s", line);
}

static uint16_t local_port(int fd)
{
	struct sl_endpoint local;
	assert_true(sl_kernel_local(fd, &local));
	return local.port;
}

/* The rules, as options: PORT is the listener's, CLIENT the client's own. */
static void set_rules(const char *text)
{
	char options[512];
	size_t n = 0;
	for (const char *c = text; *c && n < sizeof(options) - 8;) {
		bool is_port = strncmp(c, "PORT", 4) == 0;
		bool is_client = strncmp(c, "CLIENT", 6) == 0;
		if (is_port || is_client) {
			n += (size_t)sprintf(options + n, "%u",
			                     is_port ? pair.port : local_port(pair.client));
			c += is_port ? 4 : 6;
		} else {
			options[n++] = *c++;
		}
	}
	options[n] = 0;
	sl_options_defaults(&sl_options);
	assert_int_equal(sl_options_parse(&sl_options, options, complain), 0);
}

static void check(const char *rules, bool client_is_covered, bool server_is_covered)
{
	set_rules(rules);
	if (sl_rules_cover(client_peer, pair.client) != client_is_covered)
		fail_msg("\"%s\" covers the client's end: %d", rules, !client_is_covered);
	if (sl_rules_cover(server_peer, pair.server) != server_is_covered)
		fail_msg("\"%s\" covers the server's end: %d", rules, !server_is_covered);
}

static void live_connections(void **state)
{
	(void)state;
	check("", true, true);
	check("only=127.0.0.1", true, true);
	check("only=127.0.0.0/8", true, true);
	check("only=10.0.0.0/8", false, false);
	check("never=10.0.0.0/8", true, true);
	check("never=127.0.0.1", false, false);
	/* The peer's port, of either end. */
	check("only=:PORT", true, false);
	check("never=:PORT", false, true);
	check("only=127.0.0.1:PORT", true, false);
	check("only=:CLIENT", false, true);
	check("only=10.0.0.1:PORT", false, false);
	/* Our own. */
	check("only=local:PORT", false, true);
	check("never=local:PORT", true, false);
	check("only=local:CLIENT", true, false);
	/* Several, and never= wins. */
	check("only=:PORT only=local:PORT", true, true);
	check("only=10.0.0.0/8 only=127.0.0.1", true, true);
	check("only=127.0.0.0/8 never=:PORT", false, true);
	check("only=:PORT never=127.0.0.1:PORT", false, false);
	check("never=:1 never=:2 never=:PORT", false, true);
	/* IPv6 rules are none for IPv4. */
	check("only=::/0", false, false);
	check("never=::/0", true, true);
}

static void in_close_wait(void **state)
{
	(void)state;
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	check("only=:PORT", true, false);
	check("never=127.0.0.1", false, false);
	check("only=local:CLIENT", true, false);
}

/* The kernel has forgotten the peer: outbound the ledger knows it; inbound it knows no port of it, and who could not be asked is not
 * covered. */
static void dead_connections(void **state)
{
	(void)state;
	struct tcp_pair other;
	tcp_open(&other);
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	int client = pair.client;
	sl_options_defaults(&sl_options);
	assert_true(sl_rules_cover(client_peer, client));
	set_rules("only=:PORT");
	assert_true(sl_rules_cover(client_peer, client));
	set_rules("never=127.0.0.1:PORT");
	assert_false(sl_rules_cover(client_peer, client));
	set_rules("never=10.0.0.0/8");
	assert_true(sl_rules_cover(client_peer, client));
	set_rules("only=local:CLIENT");
	assert_true(sl_rules_cover(client_peer, client));
	/* A peer that nobody knows. */
	assert_false(sl_rules_cover(0, client));
	set_rules("");
	assert_true(sl_rules_cover(0, client));
	tcp_close(&other);
}

static void dead_and_inbound(void **state)
{
	(void)state;
	tcp_reset(pair.client);
	pair.client = tcp_connect(false, pair.port); /* for its port alone */
	tcp_await_state(pair.server, TCP_CLOSE);
	set_rules("");
	assert_true(sl_rules_cover(server_peer, pair.server));
	const char *const rules[] = {"only=127.0.0.1", "never=10.0.0.0/8", "only=local:PORT"};
	for (int i = 0; i < 3; i++) {
		set_rules(rules[i]);
		assert_false(sl_rules_cover(server_peer, pair.server));
	}
}

/* Live, the kernel is asked: a peer that found no room in the ledger is none the worse. */
static void not_in_the_ledger(void **state)
{
	(void)state;
	set_rules("only=:PORT");
	assert_true(sl_rules_cover(SL_PEER_OVERFLOW, pair.client));
	assert_true(sl_rules_cover(0, pair.client));
	set_rules("never=:PORT");
	assert_false(sl_rules_cover(SL_PEER_OVERFLOW, pair.client));
}

/* IPv4 through an IPv6 socket is IPv4. */
static void v4_mapped(void **state)
{
	(void)state;
	uint16_t port;
	int listener = tcp_listen(true, 1, &port);
	int client = tcp_connect(true, port);
	int server = accept(listener, NULL, NULL);
	set_rules("only=127.0.0.0/8");
	assert_true(sl_rules_cover(0, client) && sl_rules_cover(0, server));
	set_rules("never=127.0.0.1");
	assert_false(sl_rules_cover(0, client) || sl_rules_cover(0, server));
	close(client);
	close(server);
	close(listener);
}

static void no_socket(void **state)
{
	(void)state;
	assert_true(sl_rules_cover(0, -1)); /* no rule, no question */
	set_rules("never=10.0.0.0/8");
	assert_false(sl_rules_cover(client_peer, -1));
	assert_false(sl_rules_cover(client_peer, 0));
	set_rules("only=127.0.0.1");
	assert_false(sl_rules_cover(client_peer, -1));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(live_connections), TEST(in_close_wait),     TEST(dead_connections),
		TEST(dead_and_inbound), TEST(not_in_the_ledger), TEST(v4_mapped),
		TEST(no_socket),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
