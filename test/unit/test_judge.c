/* test_judge.c - what a connection's observations mean: one table row, one sentence. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "watch/judge.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define DEADLINE 60000u
#define NOW 1000000u
#define AGO(ms) (NOW - (ms))

struct row {
	const char *says;
	struct sl_observation seen;
	struct sl_judgement judged;
};

static void check(const struct row *row, uint64_t deadline_ms, uint64_t now_ms)
{
	struct sl_judgement j;
	memset(&j, 0xa5, sizeof(j));
	sl_judge(&row->seen, deadline_ms, now_ms, &j);
	const struct sl_judgement *want = &row->judged;
	bool is_equal = j.is_close_wait == want->is_close_wait && j.is_dead == want->is_dead &&
	                j.death == want->death && j.cause == want->cause &&
	                j.quiet_ms == want->quiet_ms && j.close_wait_ms == want->close_wait_ms &&
	                j.is_stuck == want->is_stuck;
	if (!is_equal)
		fail_msg("%s: close_wait %d dead %d death %d cause %d quiet %llu since %llu stuck "
		         "%d",
		         row->says, j.is_close_wait, j.is_dead, j.death, j.cause,
		         (unsigned long long)j.quiet_ms, (unsigned long long)j.close_wait_ms,
		         j.is_stuck);
}

static void check_all(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(&rows[i], DEADLINE, NOW);
}

#define SEEN(...)                                    \
	{                                            \
		.was_established = true, __VA_ARGS__ \
	}
#define IN_CLOSE_WAIT SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(70000))

/* Everything that would make a CLOSE_WAIT stuck says nothing in another state. */
static void other_states(void **state)
{
	(void)state;
	static const uint8_t others[] = {
		0,
		TCP_ESTABLISHED,
		TCP_SYN_SENT,
		TCP_SYN_RECV,
		TCP_FIN_WAIT1,
		TCP_FIN_WAIT2,
		TCP_TIME_WAIT,
		TCP_LAST_ACK,
		TCP_LISTEN,
		TCP_CLOSING,
		TCP_CLOSING + 1,
		255,
	};
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		const struct row row = {
			"another state",
			SEEN(.state = others[i], .eof_seen = true, .shut_write = true,
		             .retransmits = 3, .keepalive_probes = 3, .fin_at_ms = 1,
		             .activity_at_ms = 1, .unread_bytes = 5, .unsent_bytes = 5),
			{0},
		};
		check(&row, DEADLINE, NOW);
		check(&row, 0, NOW);
	}
}

static void close_wait_quiet(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"one short of the deadline",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(DEADLINE - 1)),
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = DEADLINE - 1,
	          .close_wait_ms = DEADLINE - 1}},
		{"at the deadline",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(DEADLINE)),
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = DEADLINE,
	          .close_wait_ms = DEADLINE,
	          .is_stuck = true}},
		{"past the deadline",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(DEADLINE + 1)),
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = DEADLINE + 1,
	          .close_wait_ms = DEADLINE + 1,
	          .is_stuck = true}},
		{"activity before the FIN does not count",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(70000),
	              .activity_at_ms = AGO(90000)),
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = 70000,
	          .close_wait_ms = 70000,
	          .is_stuck = true}},
		{"half-close in use: activity after the FIN",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(70000),
	              .activity_at_ms = AGO(59999)),
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = 59999,
	          .close_wait_ms = 70000}},
		{"activity after the FIN, then quiet",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(90000),
	              .activity_at_ms = AGO(60000)),
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = 60000,
	          .close_wait_ms = 90000,
	          .is_stuck = true}},
		{"unsent data that the peer still takes is activity now",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(70000), .unsent_bytes = 1,
	              .peer_answers = true),
	         {.is_close_wait = true, .cause = SL_CAUSE_NEVER_LOOKED, .close_wait_ms = 70000}},
		{"unsent data for a peer that is silent is not",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(70000), .unsent_bytes = 1),
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = 70000,
	          .close_wait_ms = 70000,
	          .is_stuck = true}},
		{"a live peer alone is not",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(70000), .peer_answers = true),
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = 70000,
	          .close_wait_ms = 70000,
	          .is_stuck = true}},
		{"never seen established (adopted): CLOSE_WAIT says it was",
	         {.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(70000)},
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = 70000,
	          .close_wait_ms = 70000,
	          .is_stuck = true}},
	};
	check_all(rows, COUNT_OF(rows));
}

static void close_wait_clocks(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"nothing known yet is not quiet since boot",
	         SEEN(.state = TCP_CLOSE_WAIT),
	         {.is_close_wait = true, .cause = SL_CAUSE_NEVER_LOOKED}},
		{"FIN time unknown, activity known",
	         SEEN(.state = TCP_CLOSE_WAIT, .activity_at_ms = AGO(60000)),
	         {.is_close_wait = true,
	          .cause = SL_CAUSE_NEVER_LOOKED,
	          .quiet_ms = 60000,
	          .is_stuck = true}},
		{"the FIN lies in the future",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = NOW + 1),
	         {.is_close_wait = true, .cause = SL_CAUSE_NEVER_LOOKED}},
		{"the activity lies in the future",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(70000),
	              .activity_at_ms = UINT64_MAX),
	         {.is_close_wait = true, .cause = SL_CAUSE_NEVER_LOOKED, .close_wait_ms = 70000}},
		{"the FIN is this very moment",
	         SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = NOW),
	         {.is_close_wait = true, .cause = SL_CAUSE_NEVER_LOOKED}},
	};
	check_all(rows, COUNT_OF(rows));
	const struct row at_zero = {"a clock at zero",
	                            IN_CLOSE_WAIT,
	                            {.is_close_wait = true, .cause = SL_CAUSE_NEVER_LOOKED}};
	check(&at_zero, DEADLINE, 0);
}

static void close_wait_causes(void **state)
{
	(void)state;
	static const struct {
		uint32_t unread_bytes;
		bool is_close_notify, eof_seen, touched;
		enum sl_cause cause;
	} rows[] = {
		{0, false, false, false, SL_CAUSE_NEVER_LOOKED},
		{0, false, false, true, SL_CAUSE_NEVER_LOOKED},
		{0, false, true, true, SL_CAUSE_EOF_IGNORED},
		{31, true, false, false, SL_CAUSE_NEVER_LOOKED},
		{31, true, true, true, SL_CAUSE_EOF_IGNORED},
		{1, false, false, false, SL_CAUSE_UNREAD_DATA},
		{1, false, true, true, SL_CAUSE_UNREAD_DATA},
		{UINT32_MAX, false, false, true, SL_CAUSE_UNREAD_DATA},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct row row = {
			"cause",
			SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(70000),
		             .unread_bytes = rows[i].unread_bytes,
		             .unread_is_close_notify = rows[i].is_close_notify,
		             .eof_seen = rows[i].eof_seen, .touched_since_fin = rows[i].touched),
			{.is_close_wait = true,
		         .cause = rows[i].cause,
		         .quiet_ms = 70000,
		         .close_wait_ms = 70000,
		         .is_stuck = true},
		};
		check(&row, DEADLINE, NOW);
	}
}

/* What explains a death does not make a CLOSE_WAIT one. */
static void close_wait_is_no_death(void **state)
{
	(void)state;
	static const struct row row = {
		"CLOSE_WAIT with retransmits",
		SEEN(.state = TCP_CLOSE_WAIT, .fin_at_ms = AGO(10), .shut_write = true,
	             .retransmits = 9, .keepalive_probes = 9),
		{.is_close_wait = true,
	         .cause = SL_CAUSE_NEVER_LOOKED,
	         .quiet_ms = 10,
	         .close_wait_ms = 10},
	};
	check(&row, DEADLINE, NOW);
}

static void deaths(void **state)
{
	(void)state;
	static const struct {
		bool shut_write;
		uint8_t keepalive_probes, retransmits;
		enum sl_death death;
	} rows[] = {
		{false, 0, 0, SL_DEATH_RST},       {false, 0, 1, SL_DEATH_TIMEOUT},
		{false, 1, 0, SL_DEATH_KEEPALIVE}, {false, 1, 1, SL_DEATH_KEEPALIVE},
		{true, 0, 0, SL_DEATH_ORDERLY},    {true, 0, 1, SL_DEATH_ORDERLY},
		{true, 1, 0, SL_DEATH_ORDERLY},    {true, 255, 255, SL_DEATH_ORDERLY},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct row row = {
			"death",
			SEEN(.state = TCP_CLOSE, .fin_at_ms = AGO(70000),
		             .shut_write = rows[i].shut_write,
		             .keepalive_probes = rows[i].keepalive_probes,
		             .retransmits = rows[i].retransmits),
			{.is_dead = true,
		         .death = rows[i].death,
		         .cause = SL_CAUSE_DEAD_BUT_OPEN,
		         .quiet_ms = 70000,
		         .is_stuck = true},
		};
		check(&row, DEADLINE, NOW);
	}
}

static void dead_but_open(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a fresh socket or a refused connect",
	         {.state = TCP_CLOSE, .fin_at_ms = AGO(70000), .eof_seen = true},
	         {0}},
		{"died a moment ago",
	         SEEN(.state = TCP_CLOSE, .fin_at_ms = AGO(DEADLINE - 1)),
	         {.is_dead = true,
	          .death = SL_DEATH_RST,
	          .cause = SL_CAUSE_DEAD_BUT_OPEN,
	          .quiet_ms = DEADLINE - 1}},
		{"at the deadline, whatever waits unread or unsent",
	         SEEN(.state = TCP_CLOSE, .fin_at_ms = AGO(DEADLINE), .unread_bytes = 9,
	              .unsent_bytes = 9, .peer_answers = true, .eof_seen = true),
	         {.is_dead = true,
	          .death = SL_DEATH_RST,
	          .cause = SL_CAUSE_DEAD_BUT_OPEN,
	          .quiet_ms = DEADLINE,
	          .is_stuck = true}},
		{"the program still looks at it",
	         SEEN(.state = TCP_CLOSE, .fin_at_ms = AGO(70000), .activity_at_ms = AGO(5)),
	         {.is_dead = true,
	          .death = SL_DEATH_RST,
	          .cause = SL_CAUSE_DEAD_BUT_OPEN,
	          .quiet_ms = 5}},
		{"nobody knows when it died",
	         SEEN(.state = TCP_CLOSE),
	         {.is_dead = true, .death = SL_DEATH_RST, .cause = SL_CAUSE_DEAD_BUT_OPEN}},
		{"it died in the future",
	         SEEN(.state = TCP_CLOSE, .fin_at_ms = UINT64_MAX),
	         {.is_dead = true, .death = SL_DEATH_RST, .cause = SL_CAUSE_DEAD_BUT_OPEN}},
	};
	check_all(rows, COUNT_OF(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_states),           cmocka_unit_test(close_wait_quiet),
		cmocka_unit_test(close_wait_clocks),      cmocka_unit_test(close_wait_causes),
		cmocka_unit_test(close_wait_is_no_death), cmocka_unit_test(deaths),
		cmocka_unit_test(dead_but_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
