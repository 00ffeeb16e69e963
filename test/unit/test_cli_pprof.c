/* Protocol buffers by hand, and the groups that a profile's samples are. test/e2e/test_pprof.py decodes whole profiles. */
#include "cli/protobuf.h"

#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/format_pprof.h"
#include "cli/socket_group.h"
#include "formatted.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_wire_format(void **state)
{
	(void)state;
	struct sl_protobuf outer = {0}, inner = {0};
	const uint64_t values[] = {0, 1, 300};
	sl_protobuf_integer(&inner, 1, 150);
	sl_protobuf_integer(&inner, 2, 0); /* not written */
	sl_protobuf_message(&outer, 3, &inner);
	assert_int_equal(inner.length, 0);
	sl_protobuf_bytes(&outer, 2, "testing", 7);
	sl_protobuf_packed(&outer, 4, values, 3);
	sl_protobuf_packed(&outer, 5, values, 0); /* not written */
	sl_protobuf_integer(&outer, 16, UINT64_MAX);
	static const uint8_t wanted[] = "\x1a\x03\x08\x96\x01"
					"\x12\x07testing"
					"\x22\x04\x00\x01\xac\x02"
					"\x80\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
	assert_int_equal(outer.length, sizeof(wanted) - 1);
	assert_memory_equal(outer.bytes, wanted, sizeof(wanted) - 1);
	sl_protobuf_free(&outer);
	sl_protobuf_free(&inner);
}

/* ---- groups ---- */

struct seen {
	unsigned groups;
	uint64_t open, close_wait, stuck;
	struct sl_socket_group first;
	char peer[64], last_peer[64];
};

static void see(const struct sl_socket_group *group, void *context)
{
	struct seen *seen = context;
	if (seen->groups++ == 0) {
		seen->first = *group;
		(void)snprintf(seen->peer, sizeof(seen->peer), "%s",
		               group->peer ? group->peer : "");
	}
	(void)snprintf(seen->last_peer, sizeof(seen->last_peer), "%s",
	               group->peer ? group->peer : "");
	seen->open += group->open;
	seen->close_wait += group->close_wait;
	seen->stuck += group->stuck;
}

static struct seen group(const struct sl_snapshot *s)
{
	struct seen seen = {0};
	sl_socket_groups(s, see, &seen);
	return seen;
}

static void test_groups_sum_to_the_totals(void **state)
{
	(void)state;
	struct sl_snapshot samples[] = {sample_rich(), sample_healthy(), sample_rich()};
	samples[2].sockets = NULL;
	samples[2].socket_count = 0;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		struct seen seen = group(&samples[i]);
		assert_int_equal(seen.open, samples[i].totals.open);
		assert_int_equal(seen.close_wait, samples[i].totals.close_wait);
		assert_int_equal(seen.stuck, samples[i].totals.stuck);
	}
}

static void test_without_sockets_a_cause_in_common_is_known(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.sockets = NULL;
	s.socket_count = 0;
	struct seen seen = group(&s);
	assert_int_equal(seen.first.cause, SL_CAUSE_NEVER_LOOKED);
	assert_int_equal(seen.first.open, 11641);
	assert_int_equal(seen.first.close_wait, 11641);
	assert_int_equal(seen.first.stuck, 11600);
	assert_string_equal(seen.peer, "");
}

static const struct sl_snapshot_site one_site = {.id = 7, .open = 3, .close_wait = 3, .stuck = 2};

static struct sl_snapshot with_sockets(const struct sl_snapshot_socket *sockets, uint32_t n)
{
	struct sl_snapshot s = sample_healthy();
	s.sites = &one_site;
	s.site_count = 1;
	s.totals.open = s.totals.close_wait = 3;
	s.totals.stuck = 2;
	s.sockets = sockets;
	s.socket_count = n;
	return s;
}

#define WAITING(cookie_, quiet_)                                                             \
	{                                                                                    \
		.cookie = (cookie_), .direction = SL_DIRECTION_OUT, .state = TCP_CLOSE_WAIT, \
		.peer = "1.2.3.4:80", .site = 7, .quiet_ms = (quiet_),                       \
		.cause = SL_CAUSE_NEVER_LOOKED, .thread = "t"                                \
	}

static void test_alike_sockets_are_one_group(void **state)
{
	(void)state;
	const struct sl_snapshot_socket sockets[] = {WAITING(1, 60000), WAITING(2, 59999),
	                                             WAITING(3, 70000)};
	struct sl_snapshot s = with_sockets(sockets, 3);
	struct seen seen = group(&s);
	assert_int_equal(seen.groups, 1);
	assert_int_equal(seen.first.open, 3);
	assert_int_equal(seen.first.close_wait, 3);
	assert_int_equal(seen.first.stuck, 2); /* the deadline is 60 s */
	assert_int_equal(seen.first.cause, SL_CAUSE_NEVER_LOOKED);
	assert_string_equal(seen.peer, "1.2.3.4:80");
}

static void test_fds_of_one_connection_count_once(void **state)
{
	(void)state;
	struct sl_snapshot_socket sockets[] = {WAITING(5, 60000), WAITING(5, 60000)};
	sockets[0].shared = sockets[1].shared = true;
	struct sl_snapshot s = with_sockets(sockets, 2);
	struct seen seen = group(&s);
	assert_int_equal(seen.groups, 2); /* and the two that are not listed */
	assert_int_equal(seen.first.open, 1);
	assert_int_equal(seen.open, 3);
}

static void test_client_ports_are_left_out(void **state)
{
	(void)state;
	struct sl_snapshot_socket sockets[] = {WAITING(1, 60000), WAITING(2, 60000), WAITING(3, 0)};
	for (int i = 0; i < 3; i++)
		sockets[i].direction = SL_DIRECTION_IN;
	sockets[0].local = sockets[1].local = "[::1]:8080";
	sockets[0].peer = "[2001:db8::1]:50000";
	sockets[1].peer = "[2001:db8::1]:50001";
	sockets[2].local = NULL;
	struct sl_snapshot s = with_sockets(sockets, 3);
	struct seen seen = group(&s);
	assert_int_equal(seen.groups, 2);
	assert_string_equal(seen.peer, "2001:db8::1 to local port 8080");
	assert_string_equal(seen.last_peer, "1.2.3.4 to local port ?");
}

static void test_profile_is_gzip(void **state)
{
	(void)state;
	struct formatted out;
	const struct sl_snapshot s = sample_rich();
	formatted_start(&out);
	sl_format_pprof(out.to, &s, SL_MEASURE_AUTO);
	formatted_end(&out);
	assert_true(out.length > 100);
	assert_memory_equal(out.text, "\x1f\x8b", 2);
	formatted_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_format),
		cmocka_unit_test(test_groups_sum_to_the_totals),
		cmocka_unit_test(test_without_sockets_a_cause_in_common_is_known),
		cmocka_unit_test(test_alike_sockets_are_one_group),
		cmocka_unit_test(test_fds_of_one_connection_count_once),
		cmocka_unit_test(test_client_ports_are_left_out),
		cmocka_unit_test(test_profile_is_gzip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
