/* test_sockdiag.c - the kernel's list of sockets: made-up messages, and what it says of real ones. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "own_net.h"
#include "tcp.h"
#include "watch/ports.h"
#include "watch/sockdiag.h"

#define LOW 40000
#define HIGH 40099
#define TIME_WAIT 6
#define CLOSE 7
#define LISTEN 10

static struct sl_sockdiag_question question;
static struct sl_sockdiag_answer answer;
static struct sl_sockdiag_tally tally;
static _Alignas(NLMSG_ALIGNTO) char bytes[65536];
static size_t filled;

static struct sl_endpoint v4(const char *address, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sl_endpoint endpoint;
	assert_int_equal(inet_pton(AF_INET, address, &at.sin_addr), 1);
	assert_true(sl_endpoint_of((struct sockaddr *)&at, sizeof(at), &endpoint));
	return endpoint;
}

static int set_up(void **state)
{
	(void)state;
	memset(&question, 0, sizeof(question));
	question.low = LOW;
	question.high = HIGH;
	question.dests[0] = v4("10.0.0.1", 443);
	question.dests[1] = v4("10.0.0.2", 443);
	question.count = 2;
	sl_sockdiag_tally(&tally, &question, &answer);
	filled = 0;
	return 0;
}

static struct nlmsghdr *add(uint16_t type, size_t payload)
{
	struct nlmsghdr *head = (struct nlmsghdr *)(void *)(bytes + filled);
	memset(head, 0, NLMSG_SPACE(payload));
	head->nlmsg_type = type;
	head->nlmsg_len = (uint32_t)NLMSG_LENGTH(payload);
	filled += NLMSG_SPACE(payload);
	return head;
}

/* One socket; as v6 its addresses are v4-mapped. */
static struct inet_diag_msg *add_socket(int family, uint8_t state, const char *source,
                                        uint16_t port, const char *dest, uint16_t dest_port)
{
	struct inet_diag_msg *message =
		NLMSG_DATA(add(SOCK_DIAG_BY_FAMILY, sizeof(struct inet_diag_msg)));
	uint32_t *from = message->id.idiag_src, *to = message->id.idiag_dst;
	message->idiag_family = (uint8_t)family;
	message->idiag_state = state;
	message->id.idiag_sport = htons(port);
	message->id.idiag_dport = htons(dest_port);
	if (family == AF_INET6) {
		from[2] = to[2] = htonl(0xffff);
		from += 3;
		to += 3;
	}
	assert_int_equal(inet_pton(AF_INET, source, from), 1);
	assert_int_equal(inet_pton(AF_INET, dest, to), 1);
	return message;
}

static int take(void)
{
	int taken = sl_sockdiag_take(&tally, bytes, filled);
	filled = 0;
	return taken;
}

static const struct sl_sockdiag_pair *pair_of(const char *source, uint32_t dest)
{
	struct sl_endpoint at = v4(source, 0);
	for (uint32_t i = 0; i < answer.count; i++)
		if (answer.pairs[i].dest == dest &&
		    memcmp(&answer.pairs[i].source, &at, sizeof(at)) == 0)
			return &answer.pairs[i];
	fail_msg("no %s to %u", source, dest);
	return NULL;
}

static void each_destination_and_source_apart(void **state)
{
	(void)state;
	add_socket(AF_INET, 1, "10.0.0.9", 40001, "10.0.0.1", 443);
	add_socket(AF_INET, 8, "10.0.0.9", 40002, "10.0.0.1", 443);
	add_socket(AF_INET6, 1, "10.0.0.9", 40003, "10.0.0.1", 443); /* the same ports */
	add_socket(AF_INET, 1, "10.0.0.8", 40001, "10.0.0.1", 443);
	add_socket(AF_INET, 1, "10.0.0.9", 40001, "10.0.0.2", 443);
	add_socket(AF_INET, 1, "10.0.0.9", 40001, "10.0.0.2", 444); /* nobody asked */
	add_socket(AF_INET, 1, "10.0.0.9", LOW - 1, "10.0.0.1", 443);
	add_socket(AF_INET, 1, "10.0.0.9", HIGH + 1, "10.0.0.1", 443);
	assert_int_equal(take(), 0);
	assert_int_equal(answer.count, 3);
	assert_int_equal(pair_of("10.0.0.9", 0)->ports, 3);
	assert_int_equal(pair_of("10.0.0.8", 0)->ports, 1);
	assert_int_equal(pair_of("10.0.0.9", 1)->ports, 1);
	assert_int_equal(tally.sockets, 8);
	assert_int_equal(answer.taken, 0);
}

static void time_wait_and_its_age(void **state)
{
	(void)state;
	add_socket(AF_INET, TIME_WAIT, "10.0.0.9", 40001, "10.0.0.1", 443)->idiag_expires = 59500;
	add_socket(AF_INET, TIME_WAIT, "10.0.0.9", 40002, "10.0.0.1", 443)->idiag_expires = 58999;
	add_socket(AF_INET, TIME_WAIT, "10.0.0.9", 40003, "10.0.0.1", 443)->idiag_expires = 1;
	add_socket(AF_INET, 1, "10.0.0.9", 40004, "10.0.0.1", 443);
	assert_int_equal(take(), 0);
	assert_int_equal(pair_of("10.0.0.9", 0)->ports, 4);
	assert_int_equal(pair_of("10.0.0.9", 0)->time_wait, 3);
	assert_int_equal(pair_of("10.0.0.9", 0)->time_wait_aged, 2);
}

/* A port that several listen on is one; a reserved one was never to be had. */
static void listeners_and_reserved(void **state)
{
	(void)state;
	question.reserved[40007 / 8] |= 1u << (40007 % 8);
	add_socket(AF_INET, LISTEN, "0.0.0.0", 40005, "0.0.0.0", 0);
	add_socket(AF_INET6, LISTEN, "0.0.0.0", 40005, "0.0.0.0", 0);
	add_socket(AF_INET, CLOSE, "127.0.0.1", 40006, "0.0.0.0", 0);
	add_socket(AF_INET, LISTEN, "127.0.0.1", 40007, "0.0.0.0", 0);
	add_socket(AF_INET, 1, "10.0.0.9", 40007, "10.0.0.1", 443);
	assert_int_equal(take(), 0);
	assert_int_equal(answer.taken, 2);
	assert_int_equal(answer.count, 0);
}

static void the_end_and_errors(void **state)
{
	(void)state;
	add_socket(AF_INET, 1, "10.0.0.9", 40001, "10.0.0.1", 443);
	add(NLMSG_DONE, 4);
	assert_int_equal(take(), 1);
	assert_int_equal(answer.count, 1);
	struct nlmsgerr *error = NLMSG_DATA(add(NLMSG_ERROR, sizeof(*error)));
	error->error = -EPERM;
	assert_int_equal(take(), -EPERM);
	add(NLMSG_ERROR, 0); /* cut */
	assert_int_equal(take(), -EPROTO);
}

/* Cut anywhere: what is whole is taken, and nothing beyond. */
static void cut_messages(void **state)
{
	(void)state;
	add_socket(AF_INET, 1, "10.0.0.9", 40001, "10.0.0.1", 443);
	size_t whole = filled;
	add_socket(AF_INET, 1, "10.0.0.9", 40002, "10.0.0.1", 443);
	for (size_t n = whole; n < filled; n++) {
		sl_sockdiag_tally(&tally, &question, &answer);
		assert_int_equal(sl_sockdiag_take(&tally, bytes, n), 0);
		assert_int_equal(tally.sockets, 1);
	}
	((struct nlmsghdr *)(void *)bytes)->nlmsg_len = 3; /* less than its own head */
	assert_int_equal(sl_sockdiag_take(&tally, bytes, filled), 0);
}

static void more_local_addresses_than_there_is_room_for(void **state)
{
	(void)state;
	char source[32];
	int taken = 0;
	for (unsigned i = 0; i <= SL_SOCKDIAG_PAIRS && taken == 0; i++) {
		(void)snprintf(source, sizeof(source), "10.1.%u.%u", i / 256, i % 256);
		add_socket(AF_INET, 1, source, 40001, "10.0.0.1", 443);
		taken = take();
	}
	assert_int_equal(taken, -E2BIG); /* not "these are all" */
	assert_int_equal(answer.count, SL_SOCKDIAG_PAIRS);
}

static void which_time_waits_are_given_out_again(void **state)
{
	(void)state;
	struct sl_endpoint here = v4("10.0.0.9", 0), there = v4("10.0.0.1", 443);
	struct sl_endpoint loop = v4("127.0.0.5", 0), one = {.address = {[15] = 1}};
	assert_false(sl_ports_is_reused(0, &loop, &loop));
	assert_true(sl_ports_is_reused(1, &here, &there));
	assert_false(sl_ports_is_reused(2, &here, &there));
	assert_true(sl_ports_is_reused(2, &loop, &there));
	assert_true(sl_ports_is_reused(2, &one, &one));
	assert_false(
		sl_ports_is_reused(-1, &loop, &loop)); /* not known: rather none than too many */
}

static int listen_somewhere(struct sockaddr_in *at)
{
	socklen_t n = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	assert_int_equal(bind(fd, (struct sockaddr *)at, n), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &n), 0);
	return fd;
}

/* Once more where no answer came in time. */
static const struct sl_sockdiag_answer *ask_for_ports_to(const struct sockaddr_in *at)
{
	const struct sl_sockdiag_answer *got;
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	int error;
	do {
		assert_true(sl_clock_ms() < until_ms);
		struct sl_sockdiag_question *real = sl_sockdiag_question();
		while (!real) /* the clerk is still coming up, or is not done yet */
			real = sl_sockdiag_question();
		real->low = 1;
		real->high = 65535;
		real->count = 1;
		assert_true(sl_endpoint_of((struct sockaddr *)at, sizeof(*at), &real->dests[0]));
		error = sl_sockdiag_ask(SL_SOCKDIAG_REPORT_MS, &got);
	} while (error == -ETIMEDOUT || error == -EAGAIN);
	assert_int_equal(error, 0);
	return got;
}

static int ask_for_backlog_of(uint16_t port, uint64_t *waited_ms)
{
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	int error;
	do
		error = sl_sockdiag_backlog(port, waited_ms);
	while ((error == -ETIMEDOUT || error == -EAGAIN) && sl_clock_ms() < until_ms);
	return error;
}

/* The clerk's answer about three real connections, which nobody accepts; and no fd of this process is taken for it. */
static void real_ones(void **state)
{
	(void)state;
	struct sockaddr_in at;
	uint64_t waited_ms, began_ms = sl_clock_ms();
	int clients[3], listener = listen_somewhere(&at);
	sl_clerk_start();
	for (unsigned i = 0; i < 3; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&at, sizeof(at)), 0);
	}
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(next);
	const struct sl_sockdiag_answer *got = ask_for_ports_to(&at);
	assert_int_equal(got->count, 1);
	assert_int_equal(got->pairs[0].ports, 3);
	assert_true(got->taken >= 1);
	while (sl_clock_ms() < began_ms + 50)
		usleep(1000);
	assert_int_equal(ask_for_backlog_of(ntohs(at.sin_port), &waited_ms), 0);
	assert_in_range(waited_ms, 20, sl_clock_ms() - began_ms + 10);
	for (unsigned i = 0; i < 3; i++)
		close(accept(listener, NULL, NULL));
	assert_int_equal(ask_for_backlog_of(ntohs(at.sin_port), &waited_ms), -ENOENT);
	int again = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(again);
	assert_int_equal(again, next);
	for (unsigned i = 0; i < 3; i++)
		close(clients[i]);
	close(listener);
}

/* Must run first. */
static void unknown_without_a_clerk(void **state)
{
	(void)state;
	uint64_t waited_ms;
	assert_null(sl_sockdiag_question());
	assert_int_equal(sl_sockdiag_backlog(80, &waited_ms), -EAGAIN);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unknown_without_a_clerk),
		TEST(each_destination_and_source_apart),
		TEST(time_wait_and_its_age),
		TEST(listeners_and_reserved),
		TEST(the_end_and_errors),
		TEST(cut_messages),
		TEST(more_local_addresses_than_there_is_room_for),
		TEST(which_time_waits_are_given_out_again),
		TEST(real_ones),
	};
	own_net();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
