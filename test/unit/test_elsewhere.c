/* test_elsewhere.c - what is not well and no leak, and a program that accepts nothing: from what the kernel says to a word. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch/accepting.h"
#include "watch/elsewhere.h"

#define DEADLINE 60000u
#define HALF_HOUR (DEADLINE * SL_ELSEWHERE_SILENT_DEADLINES)
#define NONE (-1)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct row {
	struct sl_kernel_tcp tcp;
	uint64_t age_ms;
	bool has_tried, was_connected;
	int kind; /* NONE: none of them */
	uint64_t is_so_for_ms;
};

#define SILENT(sent, received, acknowledged)                          \
	.last_data_sent_ms = (sent), .last_data_recv_ms = (received), \
	.last_ack_recv_ms = (acknowledged)

static void kinds(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{{.state = TCP_FIN_WAIT2, SILENT(1, 70000, 61000)},
	         90000,
	         true,
	         true,
	         SL_ELSEWHERE_FIN_WAIT2,
	         61000},
		/* It still sends: a half-close in use. */
		{{.state = TCP_FIN_WAIT2, SILENT(90000, 10, 10)}, 90000, true, true, NONE, 0},
		{{.state = TCP_FIN_WAIT1, SILENT(90000, 90000, 90000)}, 90000, true, true, NONE, 0},
		{{.state = TCP_ESTABLISHED, SILENT(HALF_HOUR, HALF_HOUR + 1, HALF_HOUR + 2)},
	         9000000,
	         true,
	         true,
	         SL_ELSEWHERE_HALF_OPEN,
	         HALF_HOUR},
		{{.state = TCP_ESTABLISHED, SILENT(HALF_HOUR - 1, HALF_HOUR, HALF_HOUR)},
	         9000000,
	         true,
	         true,
	         NONE,
	         0},
		/* The peer's own keepalive is acknowledged, and seen. */
		{{.state = TCP_ESTABLISHED, SILENT(9000000, 9000000, 500)},
	         9000000,
	         true,
	         true,
	         NONE,
	         0},
		/* What is sent again and again ends by itself. */
		{{.state = TCP_ESTABLISHED, .has_unsent = true, SILENT(9000000, 9000000, 9000000)},
	         9000000,
	         true,
	         true,
	         NONE,
	         0},
		{{.state = TCP_SYN_SENT, .retransmits = 3},
	         10000,
	         true,
	         false,
	         SL_ELSEWHERE_CONNECTING,
	         10000},
		{{.state = TCP_SYN_SENT, .retransmits = 3}, 9999, true, false, NONE, 0},
		{{.state = TCP_SYN_SENT}, 600000, true, false, NONE, 0}, /* begun just now */
		{{.state = TCP_CLOSE},
	         DEADLINE,
	         false,
	         false,
	         SL_ELSEWHERE_NEVER_CONNECTED,
	         DEADLINE},
		{{.state = TCP_CLOSE}, DEADLINE - 1, false, false, NONE, 0},
		{{.state = TCP_CLOSE}, 7200000, true, false, SL_ELSEWHERE_CONNECT_FAILED, 7200000},
		{{.state = TCP_CLOSE}, 7200000, true, true, NONE, 0}, /* dead-but-open */
		{{.state = TCP_CLOSE, .was_established = true}, 7200000, false, false, NONE, 0},
		{{.state = TCP_CLOSE_WAIT, SILENT(9000000, 9000000, 9000000)},
	         9000000,
	         true,
	         true,
	         NONE,
	         0},
		{{.state = TCP_LISTEN}, 9000000, false, false, NONE, 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct sl_elsewhere_seen seen = {&rows[i].tcp, rows[i].age_ms,
		                                       rows[i].has_tried, rows[i].was_connected};
		enum sl_elsewhere_kind kind = SL_ELSEWHERE_COUNT;
		uint64_t age_ms = 0;
		bool is_one = sl_elsewhere_is(&seen, DEADLINE, &kind, &age_ms);
		if (is_one != (rows[i].kind != NONE) ||
		    (is_one && ((int)kind != rows[i].kind || age_ms != rows[i].is_so_for_ms)))
			fail_msg("row %zu: %d, kind %d, %lu ms", i, is_one, (int)kind,
			         (unsigned long)age_ms);
	}
}

static void what_is_notable(void **state)
{
	(void)state;
	assert_false(sl_elsewhere_is_notable(SL_ELSEWHERE_NEVER_CONNECTED, 9));
	assert_true(sl_elsewhere_is_notable(SL_ELSEWHERE_NEVER_CONNECTED, 10));
	assert_false(sl_elsewhere_is_notable(SL_ELSEWHERE_HALF_OPEN, 1));
	assert_true(sl_elsewhere_is_notable(SL_ELSEWHERE_CONNECTING, 1));
}

static void ports_of_others(void **state)
{
	(void)state;
	assert_false(sl_elsewhere_has_others(7, 20));
	assert_true(sl_elsewhere_has_others(8, 20));
	assert_false(sl_elsewhere_has_others(24, 100));
	assert_true(sl_elsewhere_has_others(25, 100));
	assert_false(sl_elsewhere_has_others(7000, 28232));
	assert_false(sl_elsewhere_has_others(-3, 100));
}

static void a_backlog_that_stays(void **state)
{
	(void)state;
	static const struct {
		uint64_t backlog, limit, waited_ms;
		bool is_stalled;
	} rows[] = {
		{0, 0, 900000, false},   {1, 128, 59999, false},
		{1, 128, 60000, true},   {128, 128, 10000, false}, /* there is room for one more */
		{129, 128, 9999, false}, {129, 128, 10000, true},
		{129, 128, 0, false}, /* a burst */
		{1, 0, 10000, true},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(sl_accepting_is_stalled(rows[i].backlog, rows[i].limit,
		                                         rows[i].waited_ms, DEADLINE),
		                 rows[i].is_stalled);
	/* A short deadline is short for both. */
	assert_true(sl_accepting_is_stalled(129, 128, 300, 300));
	assert_true(sl_accepting_is_full(1, 0));
	assert_false(sl_accepting_is_full(128, 128));
}

static void only_a_leak_is_worse(void **state)
{
	(void)state;
	for (int i = 0; i < SL_VERDICT_COUNT; i++) {
		enum sl_verdict so_far = (enum sl_verdict)i;
		assert_int_equal(sl_accepting_verdict(so_far, false), so_far);
		assert_int_equal(sl_accepting_verdict(so_far, true),
		                 so_far == SL_VERDICT_LEAK ? SL_VERDICT_LEAK
		                                           : SL_VERDICT_NOT_ACCEPTING);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(what_is_notable),
		cmocka_unit_test(ports_of_others),
		cmocka_unit_test(a_backlog_that_stays),
		cmocka_unit_test(only_a_leak_is_worse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
