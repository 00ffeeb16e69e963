/* test_growth.c - how the CLOSE_WAITs of each peer grow, from real suspects and a clock of the test's. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ledger/sites.h"
#include "watch/growth.h"
#include "watch/history.h"
#include "watch/suspects.h"

#include "watch/table.h"

#define START 100000000u
#define GAP SL_HISTORY_GAP_MS

static uint32_t tick = 1;

static int set_up(void **state)
{
	(void)state;
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	sl_growth_forked();
	return 0;
}

/* So many suspects with this peer, as a sweep would meet them; `first` tells their cookies apart. */
static void meet(uint32_t peer, uint64_t first, uint32_t count, uint8_t tcp_state)
{
	struct sl_kernel_tcp tcp = {.state = tcp_state,
	                            .last_ack_recv_ms = 1}; /* no data, no habit */
	struct sl_suspicion suspicion;
	for (uint32_t i = 0; i < count; i++) {
		struct sl_fd_record record = {
			.fd = -1, .peer = peer, .cookie = first + i, .site = SL_SITE_NO_STACK};
		assert_true(sl_suspects_meet(&record, &tcp, 60000, START, &suspicion));
	}
}

static int64_t of_peer(uint32_t peer, uint64_t now_ms, uint32_t close_wait)
{
	int64_t per_min = INT64_MIN;
	assert_true(sl_growth_of_peer(peer, now_ms, close_wait, &per_min));
	return per_min;
}

static void peers_and_all_together(void **state)
{
	(void)state;
	int64_t per_min;
	sl_suspects_begin(++tick);
	meet(3, 1000, 10, TCP_CLOSE_WAIT);
	meet(5, 2000, 20, TCP_CLOSE_WAIT);
	meet(0, 3000, 2, TCP_CLOSE_WAIT); /* whose peer is not known */
	meet(3, 4000, 7, TCP_CLOSE);      /* dead: no CLOSE_WAIT */
	sl_suspects_end();
	assert_false(sl_growth_of_peer(3, START, 10, &per_min));
	sl_growth_sample(START);
	assert_int_equal(of_peer(3, START + 60000, 10), 0);
	assert_int_equal(of_peer(3, START + 60000, 17), 7);
	assert_int_equal(of_peer(5, START + 30000, 10), -20);
	assert_int_equal(of_peer(0, START + 60000, 33), 1);
	assert_false(sl_growth_of_peer(4, START + 60000, 1, &per_min));
}

static void a_peer_that_comes_later(void **state)
{
	(void)state;
	int64_t per_min;
	sl_suspects_begin(++tick);
	meet(3, 1000, 10, TCP_CLOSE_WAIT);
	sl_suspects_end();
	sl_growth_sample(START);
	sl_suspects_begin(++tick);
	meet(3, 1000, 40, TCP_CLOSE_WAIT);
	meet(5, 2000, 5, TCP_CLOSE_WAIT);
	sl_suspects_end();
	/* Too soon for another sample. */
	sl_growth_sample(START + GAP - 1);
	assert_false(sl_growth_of_peer(5, START + 60000, 5, &per_min));
	sl_growth_sample(START + GAP);
	assert_int_equal(of_peer(5, START + GAP + 60000, 8), 3);
	assert_int_equal(of_peer(3, START + 60000, 40), 30);
	assert_int_equal(of_peer(0, START + 60000, 45), 35);
}

/* All closed: the count falls to none, and it is known that it does. */
static void a_peer_that_recovers(void **state)
{
	(void)state;
	sl_suspects_begin(++tick);
	meet(3, 1000, 600, TCP_CLOSE_WAIT);
	sl_suspects_end();
	sl_growth_sample(START);
	sl_suspects_begin(++tick);
	sl_suspects_end();
	for (uint64_t at_ms = START + GAP; at_ms < START + 20 * GAP; at_ms += GAP)
		sl_growth_sample(at_ms);
	assert_int_equal(of_peer(3, START + 20 * GAP, 0), 0);
	assert_int_equal(of_peer(3, START + 20 * GAP, 240), 120);
	assert_int_equal(of_peer(0, START + 20 * GAP, 0), 0);
}

static void a_child_starts_anew(void **state)
{
	(void)state;
	int64_t per_min;
	sl_suspects_begin(++tick);
	meet(3, 1000, 10, TCP_CLOSE_WAIT);
	sl_suspects_end();
	sl_growth_sample(START);
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	sl_growth_forked();
	assert_false(sl_growth_of_peer(3, START + 60000, 10, &per_min));
	assert_false(sl_growth_of_peer(0, START + 60000, 10, &per_min));
	sl_suspects_begin(++tick);
	meet(3, 1000, 1, TCP_CLOSE_WAIT);
	sl_suspects_end();
	sl_growth_sample(START + 1);
	assert_int_equal(of_peer(3, START + 60001, 1), 0);
}

/* Then that peer's growth is not known; nothing worse. */
static void out_of_memory(void **state)
{
	(void)state;
	int64_t per_min;
	unsigned known = 0;
	sl_worker_pool.arena.limit_bytes = 800u << 10;
	sl_suspects_begin(++tick);
	for (uint32_t peer = 1; peer <= 1200; peer++)
		meet(peer, peer, 1, TCP_CLOSE_WAIT);
	sl_suspects_end();
	sl_growth_sample(START);
	for (uint32_t peer = 1; peer <= 1200; peer++)
		known += sl_growth_of_peer(peer, START + 60000, 1, &per_min);
	sl_worker_pool.arena.limit_bytes = 0;
	assert_in_range(known, 100, 1199);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(peers_and_all_together), TEST(a_peer_that_comes_later),
		TEST(a_peer_that_recovers),   TEST(a_child_starts_anew),
		TEST(out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
