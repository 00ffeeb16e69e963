/* test_evidence.c - verdicts on histories: what programs do with their connections, minute by minute, on a clock of the test's.
 *
 * A history says when each connection was opened, last used, closed by its peer, and closed by the program. It is played to
 * the suspects in sweeps, as the worker makes them, and judged after each.
 */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/options.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "watch/evidence.h"
#include "watch/fates.h"
#include "watch/history.h"
#include "watch/suspects.h"

#include "watch/table.h"

#define START_MS 100000000u
#define SWEEP_MS 5000u
#define NEVER UINT64_MAX
#define SITE SL_SITE_NO_STACK
#define CONNECTIONS 4096u
#define SECOND 1000u
#define MINUTE (60 * SECOND)
#define PEER 3

/* Times from START_MS. */
struct connection {
	uint64_t opened_ms, last_data_ms, fin_ms, closed_ms;
	uint32_t peer;
	bool is_inbound;
	bool is_in_use; /* the program sends all the time */
	bool is_adopted, is_undated;
};

static struct connection connections[CONNECTIONS];
static uint32_t count;
static uint32_t tick = 1;
static enum sl_site_verdict at_last;
static uint32_t seen; /* bits of the verdicts that were given */

static int set_up(void **state)
{
	(void)state;
	sl_options_defaults(&sl_options);
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	sl_evidence_forked();
	sl_site_get(SITE)->retracted = 0;
	atomic_store(&sl_site_get(SITE)->closed_late, 0);
	count = seen = 0;
	at_last = SL_SITE_OK;
	return 0;
}

static struct connection *add(uint64_t opened_ms, uint64_t fin_ms, uint64_t closed_ms)
{
	assert_true(count < CONNECTIONS);
	connections[count] = (struct connection){.opened_ms = opened_ms,
	                                         .last_data_ms = opened_ms + 50,
	                                         .fin_ms = fin_ms,
	                                         .closed_ms = closed_ms,
	                                         .peer = PEER};
	return &connections[count++];
}

static void meet(uint32_t i, uint64_t now_ms)
{
	const struct connection *c = &connections[i];
	struct sl_suspicion suspicion;
	struct sl_fd_record record = {.fd = -1,
	                              .peer = c->peer,
	                              .cookie = 1 + i,
	                              .site = SITE,
	                              .flags = (c->is_inbound   ? SL_FD_IN
	                                        : c->is_adopted ? SL_FD_ADOPTED
	                                                        : SL_FD_OUT) |
	                                       (c->is_undated ? SL_FD_UNDATED : 0),
	                              .opened_at_ms = START_MS + c->opened_ms};
	struct sl_kernel_tcp tcp = {.state = TCP_CLOSE_WAIT,
	                            .last_ack_recv_ms = (uint32_t)(now_ms - c->fin_ms),
	                            .last_data_recv_ms = (uint32_t)(now_ms - c->last_data_ms),
	                            .bytes_sent = c->is_in_use ? now_ms : 0};
	assert_true(sl_suspects_meet(&record, &tcp, (uint64_t)sl_options.deadline_ms,
	                             START_MS + now_ms, &suspicion));
}

static void sweep(uint64_t now_ms)
{
	struct sl_evidence evidence;
	uint64_t opened = 0;
	for (uint32_t i = 0; i < count; i++)
		opened += connections[i].opened_ms <= now_ms;
	atomic_store(&sl_site_get(SITE)->opened, opened);
	sl_suspects_begin(++tick);
	for (uint32_t i = 0; i < count; i++)
		if (connections[i].fin_ms <= now_ms && now_ms < connections[i].closed_ms)
			meet(i, now_ms);
	sl_suspects_end();
	sl_evidence_sample(START_MS + now_ms);
	sl_evidence_of_site(SITE, &evidence);
	at_last = sl_verdict_of_site(&evidence);
	seen |= 1u << at_last;
}

/* Plays the history from one time to another. */
static void play(uint64_t from_ms, uint64_t to_ms)
{
	for (uint64_t now_ms = from_ms; now_ms < to_ms; now_ms += SWEEP_MS)
		sweep(now_ms);
}

static bool was(enum sl_site_verdict verdict)
{
	return seen >> verdict & 1;
}

/* The incident: one client for each request, never closed; the server closes after 15 s. */
static void a_client_for_each_request(void **state)
{
	(void)state;
	struct sl_trend trend;
	for (uint32_t i = 0; i < 300; i++)
		add(i * 2 * SECOND, i * 2 * SECOND + 15 * SECOND, NEVER);
	play(0, 3 * MINUTE);
	assert_false(was(SL_SITE_LEAK)); /* it might be slow */
	assert_int_equal(at_last, SL_SITE_UNKNOWN);
	play(3 * MINUTE, 5 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
	assert_false(was(SL_SITE_POOL) || was(SL_SITE_BURST) || was(SL_SITE_SLOW));
	sl_evidence_trend(SITE, START_MS + 5 * MINUTE, 150, &trend);
	assert_in_range(trend.waiting_per_min, 26, 31); /* since the last sample */
	assert_int_equal(trend.half_life_ms, SL_TREND_UNKNOWN);
	assert_int_equal(trend.late, 0);
	/* The traffic ends, the leak does not. */
	play(5 * MINUTE, 30 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
	sl_evidence_trend(SITE, START_MS + 30 * MINUTE, 300, &trend);
	assert_int_equal(trend.waiting_per_min, 0);
}

/* 20 of a pool, used for half a minute, idle until the peer closes them, thrown away when it is used again. */
static void a_pool_that_is_left_idle(void **state)
{
	(void)state;
	struct sl_trend trend;
	for (uint64_t round = 0; round < 4; round++)
		for (uint32_t i = 0; i < 20; i++) {
			uint64_t from_ms = round * 20 * MINUTE;
			add(from_ms + i * 10, from_ms + 45 * SECOND, from_ms + 20 * MINUTE)
				->last_data_ms = from_ms + 30 * SECOND;
		}
	play(0, 19 * MINUTE);
	assert_int_equal(at_last, SL_SITE_POOL);
	play(19 * MINUTE, 75 * MINUTE);
	assert_int_equal(at_last, SL_SITE_POOL);
	assert_false(was(SL_SITE_LEAK) || was(SL_SITE_BURST));
	sl_evidence_trend(SITE, START_MS + 75 * MINUTE, 20, &trend);
	assert_int_equal(trend.late, 60);
	assert_in_range(trend.late_ms_p50, 18 * MINUTE, 20 * MINUTE);
}

/* The same, and each connection served one request. */
static void a_pool_whose_connections_serve_once(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 4; round++)
		for (uint32_t i = 0; i < 20; i++) {
			uint64_t from_ms = round * 20 * MINUTE;
			add(from_ms + i * 10, from_ms + 15 * SECOND, from_ms + 20 * MINUTE);
		}
	play(0, 19 * MINUTE);
	assert_int_equal(at_last, SL_SITE_BURST); /* as yet nobody knows better */
	seen = 0;
	for (uint32_t from = 21; from < 79; from += 20) {
		play((from - 2) * MINUTE, (from + 18) * MINUTE);
		assert_int_equal(at_last, SL_SITE_POOL);
	}
	assert_false(was(SL_SITE_LEAK) || was(SL_SITE_SLOW));
}

/* A batch, closed by the end of the job; the next one begins a minute later. */
static void a_batch_after_the_other(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 4; round++)
		for (uint32_t i = 0; i < 20; i++) {
			uint64_t from_ms = round * 20 * MINUTE;
			add(from_ms + i * 10, from_ms + 15 * SECOND, from_ms + 19 * MINUTE);
		}
	play(0, 78 * MINUTE);
	assert_int_equal(at_last, SL_SITE_SLOW);
	assert_false(was(SL_SITE_LEAK) || was(SL_SITE_POOL));
}

/* Last in, first out, and no look at the others: 49 lie there, while one is replaced again and again. */
static void a_pool_that_uses_one_of_many(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 49; i++)
		add(i * 10, 15 * SECOND, NEVER);
	for (uint32_t i = 0; i < 60; i++) {
		uint64_t at_ms = 30 * SECOND + i * MINUTE;
		add(at_ms, at_ms + 15 * SECOND, at_ms + MINUTE);
	}
	play(0, 60 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
	/* A burst of 20 takes the top 20, all dead, and puts new ones in their place. */
	for (uint32_t i = 29; i < 49; i++)
		connections[i].closed_ms = 61 * MINUTE;
	for (uint32_t i = 0; i < 20; i++)
		add(61 * MINUTE + i * 10, 62 * MINUTE, NEVER);
	play(60 * MINUTE, 90 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
}

/* The same, and the 49 were last used one after the other: more and more are settled for a while. */
static void a_pool_that_is_left_by_and_by(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 49; i++)
		add(i * 10, 15 * SECOND + i * 10 * SECOND, NEVER);
	play(0, 15 * MINUTE);
	for (uint32_t i = 29; i < 49; i++)
		connections[i].closed_ms = 15 * MINUTE;
	for (uint32_t i = 0; i < 20; i++)
		add(15 * MINUTE + i * 10, 16 * MINUTE, NEVER);
	play(15 * MINUTE, 90 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
}

/* The same, and the top 20 are used every 50 s: what is replaced was never stuck. */
static void a_pool_that_replaces_soon(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 49; i++)
		add(i * 10, 15 * SECOND, i < 29 ? NEVER : 50 * SECOND);
	for (uint64_t round = 1; round <= 6; round++)
		for (uint32_t i = 0; i < 20; i++) {
			uint64_t at_ms = round * 50 * SECOND;
			add(at_ms + i * 10, at_ms + 15 * SECOND,
			    round < 6 ? at_ms + 50 * SECOND : NEVER);
		}
	play(0, 15 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
}

/* The night's idle pool set records, and each of its connections was replaced; the next night's is as high. */
static void records_of_long_ago(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 30; i++) /* a leak, which the end of a job closes */
		add(i * 20 * SECOND, i * 20 * SECOND + 100, 20 * MINUTE);
	play(0, 20 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
	seen = 0;
	for (uint32_t i = 0; i < 29; i++)
		add(30 * MINUTE + i * 10, 31 * MINUTE, i < 9 ? NEVER : 40 * MINUTE);
	for (uint32_t i = 0; i < 20; i++)
		add(40 * MINUTE + i * 10, 41 * MINUTE, NEVER);
	play(20 * MINUTE + SWEEP_MS, 120 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
}

/* Peers beyond those that we tell apart are not one peer: 30 hosts, each with one idle connection, each kept by a pool. */
static void peers_that_are_not_told_apart(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 30; i++)
		add(i * 20 * SECOND, i * 20 * SECOND + 15 * SECOND, NEVER)->peer = SL_PEER_OVERFLOW;
	for (uint32_t i = 0; i < 30; i++)
		add(i * 20 * SECOND, i * 20 * SECOND + 15 * SECOND, NEVER)->peer = 0;
	play(0, 30 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
	for (uint32_t i = 0; i < 300; i++)
		add(30 * MINUTE + i * SECOND, 30 * MINUTE + i * SECOND + 15 * SECOND, NEVER)->peer =
			SL_PEER_OVERFLOW;
	play(30 * MINUTE, 45 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
}

/* A pool was there before we were: nobody knows when its connections were opened. */
static void found_at_the_start(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 40; i++) {
		struct connection *c = add(10 * MINUTE, i * 10 * SECOND, NEVER);
		c->last_data_ms = 0;
		c->is_adopted = c->is_undated = true;
	}
	play(10 * MINUTE, 40 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
	/* A leak that passes the hooks, found a while after each was opened. */
	for (uint32_t i = 0; i < 60; i++)
		add(40 * MINUTE + i * 10 * SECOND, 40 * MINUTE + i * 10 * SECOND + SECOND, NEVER)
			->is_adopted = true;
	play(40 * MINUTE, 60 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
}

/* 20 at once, which the peer closes while the last ones are opened, found at the next listing of the fds. */
static void a_burst_found_late(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 20; i++)
		add(i < 10 ? 0 : 28 * SECOND, i < 10 ? 500 : 28 * SECOND, NEVER)->is_adopted = true;
	play(0, 20 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
}

/* One an hour, for two days. */
static void a_slow_leak(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 48; i++)
		add(i * 60 * MINUTE, i * 60 * MINUTE + 15 * SECOND, NEVER);
	play(0, 10 * 60 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
	play(10 * 60 * MINUTE, 11 * 60 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
	play(11 * 60 * MINUTE, 48 * 60 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
}

/* One of a hundred is forgotten; the others are closed six seconds after the peer has: suspects for a sweep. */
static void a_leak_of_one_in_a_hundred(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 3600; i++)
		add(i * SECOND, i * SECOND + 100, i % 100 ? i * SECOND + 6 * SECOND : NEVER);
	play(0, 60 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
}

/* Answers are worked on for two minutes after the server has closed, 60 at a time. */
static void closed_late(void **state)
{
	(void)state;
	struct sl_trend trend;
	for (uint32_t i = 0; i < 900; i++)
		add(i * 2 * SECOND, i * 2 * SECOND + 100, i * 2 * SECOND + 2 * MINUTE);
	play(0, 29 * MINUTE);
	assert_int_equal(at_last, SL_SITE_SLOW);
	assert_false(was(SL_SITE_LEAK) || was(SL_SITE_POOL) || was(SL_SITE_BURST));
	sl_evidence_trend(SITE, START_MS + 29 * MINUTE, 60, &trend);
	assert_in_range(trend.late_ms_p50, 110 * SECOND, 2 * MINUTE);
	assert_in_range(trend.waiting_per_min, 0, 3);
	/* 60 of them, 30 a minute go: half of so many after ln 2 of two minutes. */
	assert_in_range(trend.half_life_ms, 75 * SECOND, 92 * SECOND);
	play(29 * MINUTE, 40 * MINUTE);
	assert_int_equal(at_last, SL_SITE_OK);
}

/* So late that they would be settled, had the site no such habit. */
static void closed_very_late(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		add(i * 30 * SECOND, i * 30 * SECOND + 100, i * 30 * SECOND + 150 * SECOND);
	for (uint32_t i = 40; i < 120; i++)
		add(i * 30 * SECOND, i * 30 * SECOND + 100, i * 30 * SECOND + 6 * MINUTE);
	play(0, 60 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
}

/* What lay there once, and was closed, hides nothing that comes after it. */
static void a_leak_behind_a_higher_burst(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 120; i++)
		add(i * 10, 1000 + i * 10, 10 * MINUTE);
	for (uint32_t i = 0; i < 900; i++) {
		uint64_t at_ms = 20 * MINUTE + i * 2 * SECOND;
		add(at_ms, at_ms + 100, i % 10 ? at_ms + 70 * SECOND : NEVER);
	}
	play(0, 49 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
}

/* One of ten is forgotten on an error's way; the others are closed, but late. */
static void a_leak_among_late_closes(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 900; i++)
		add(i * 2 * SECOND, i * 2 * SECOND + 100,
		    i % 10 ? i * 2 * SECOND + 70 * SECOND : NEVER);
	play(0, 29 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
}

/* 50 at once, worked on for ten minutes, then closed. */
static void a_burst(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 50; i++)
		add(i * 10, 1000 + i * 10, 10 * MINUTE);
	play(0, 10 * MINUTE);
	assert_int_equal(at_last, SL_SITE_BURST);
	play(10 * MINUTE, 11 * MINUTE);
	assert_int_equal(at_last, SL_SITE_OK);
	assert_false(was(SL_SITE_LEAK) || was(SL_SITE_POOL));
}

/* Feeds, whose clients have half-closed: they are sent something all the time. */
static void half_closes_in_use(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		struct connection *c = add(i * 2 * SECOND, i * 2 * SECOND + 100, NEVER);
		c->is_inbound = c->is_in_use = true;
	}
	play(0, 30 * MINUTE);
	assert_int_equal(seen & ~(1u << SL_SITE_OK), 0);
	/* The feed falls silent, and nobody closes. */
	for (uint32_t i = 0; i < count; i++)
		connections[i].is_in_use = false;
	play(30 * MINUTE, 45 * MINUTE);
	assert_true(was(SL_SITE_UNKNOWN) || was(SL_SITE_LEAK) || was(SL_SITE_BURST));
}

/* A crawler's pool keeps one for each of 200 peers; a crawler's leak keeps them all. */
static void many_peers(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		add(i * SECOND, i * SECOND + 15 * SECOND, NEVER)->peer = 10 + i;
	play(0, 30 * MINUTE);
	assert_int_equal(at_last, SL_SITE_UNKNOWN);
	assert_false(was(SL_SITE_LEAK) || was(SL_SITE_BURST)); /* not opened together */
	for (uint32_t i = 200; i < 800; i++)
		add(30 * MINUTE + i * SECOND, 30 * MINUTE + i * SECOND + 15 * SECOND, NEVER)->peer =
			10 + i;
	play(30 * MINUTE, 60 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
}

/* Clients half-close and wait; the server computes for five minutes. */
static void inbound_half_close(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 600; i++)
		add(i * SECOND, i * SECOND + 10, i * SECOND + 5 * MINUTE)->is_inbound = true;
	play(0, 20 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
}

/* A server that ignores its clients' end of file: each client is a peer of its own. */
static void inbound_never_closed(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 600; i++) {
		struct connection *c = add(i * 4 * SECOND, i * 4 * SECOND + 10, NEVER);
		c->is_inbound = true;
		c->peer = 10 + i;
	}
	play(0, 10 * MINUTE);
	assert_int_equal(at_last, SL_SITE_UNKNOWN);
	play(10 * MINUTE, 12 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
}

static void mark_ended(void *context, const struct sl_suspect_view *view)
{
	uint32_t *left = context;
	if (view->judgement.is_stuck && !view->rungs->is_reclaimed && *left > 0) {
		view->rungs->is_reclaimed = true;
		view->rungs->since_rung_ms = 0;
		connections[view->cookie - 1].closed_ms = 0; /* the next sweep does not meet it */
		(*left)--;
	}
}

/* Under action=close nothing stays to be seen, and what was ended still counts. */
static void ended_by_us(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 150; i++)
		add(i * 2 * SECOND, i * 2 * SECOND + 5 * SECOND, NEVER);
	for (uint64_t now_ms = 0; now_ms < 6 * MINUTE; now_ms += SWEEP_MS) {
		uint32_t all = UINT32_MAX;
		sweep(now_ms);
		sl_suspects_each(mark_ended, &all);
	}
	sweep(10 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
	assert_int_equal(sl_site_get(SITE)->retracted, 0);
}

/* Ends what is stuck, as an action does, at this rung; `stays`: its number stays the program's. */
static bool stays;

static void act(void *context, const struct sl_suspect_view *view)
{
	(void)context;
	if (!view->judgement.is_stuck || view->rungs->is_reclaimed)
		return;
	view->rungs->is_reclaimed = true;
	view->rungs->since_rung_ms = 0;
	if (!stays)
		connections[view->cookie - 1].closed_ms = 0;
}

static void play_with_actions(uint64_t from_ms, uint64_t to_ms, bool stays_there)
{
	stays = stays_there;
	for (uint64_t now_ms = from_ms; now_ms < to_ms; now_ms += SWEEP_MS) {
		sweep(now_ms);
		sl_suspects_each(act, NULL);
	}
}

static void add_idle_rounds(uint64_t rounds)
{
	for (uint64_t round = 0; round < rounds; round++)
		for (uint32_t i = 0; i < 20; i++) {
			uint64_t from_ms = round * 20 * MINUTE;
			add(from_ms + i * 10, from_ms + 45 * SECOND, from_ms + 20 * MINUTE)
				->last_data_ms = from_ms + 30 * SECOND;
		}
}

/* action=shutdown: the pool meets what we have shut down as it meets what the peer has. */
static void a_pool_that_is_shut_down(void **state)
{
	(void)state;
	add_idle_rounds(4);
	play_with_actions(0, 75 * MINUTE, true);
	assert_false(was(SL_SITE_LEAK));
}

/* action=close: it closes numbers that are no more. */
static void a_pool_that_is_closed(void **state)
{
	(void)state;
	add_idle_rounds(4);
	for (uint64_t round = 0; round < 4; round++) {
		play_with_actions(round * 20 * MINUTE, (round + 1) * 20 * MINUTE, false);
		atomic_fetch_add(&sl_site_get(SITE)->closed_late, 20);
	}
	assert_false(was(SL_SITE_LEAK));
}

/* A leak whose connections the program closes because we have shut them down is one all the same. */
static void a_leak_that_reacts(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 150; i++)
		add(i * 2 * SECOND, i * 2 * SECOND + 5 * SECOND,
		    i * 2 * SECOND + 5 * SECOND + MINUTE + 2 * SWEEP_MS);
	play_with_actions(0, 6 * MINUTE, true);
	assert_int_equal(at_last, SL_SITE_LEAK);
}

/* 50 within half a second, each closed by its peer at once, and then by us. */
static void a_burst_that_is_closed(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 50; i++)
		add(i * 10, i * 10 + 5, NEVER);
	play_with_actions(0, 10 * MINUTE, false);
	assert_false(was(SL_SITE_LEAK));
}

/* Who was stopped for an hour could close nothing. */
static void a_process_that_was_stopped(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 60; i++)
		add(i * SECOND, i * SECOND + 100, 62 * MINUTE);
	play(0, 65 * SECOND);
	sweep(61 * MINUTE); /* continued */
	assert_false(was(SL_SITE_LEAK));
	play(61 * MINUTE + SWEEP_MS, 63 * MINUTE);
	assert_false(was(SL_SITE_LEAK));
}

static void stuck_in_doubt(void **state)
{
	(void)state;
	bool has_leak;
	assert_int_equal(sl_evidence_stuck_in_doubt(&has_leak), 0);
	for (uint32_t i = 0; i < 50; i++)
		add(i * 10, 1000 + i * 10, NEVER);
	play(0, 5 * MINUTE);
	assert_int_equal(at_last, SL_SITE_BURST);
	assert_int_equal(sl_evidence_stuck_in_doubt(&has_leak), 50);
	assert_false(has_leak);
	for (uint32_t i = 0; i < 30; i++)
		add(5 * MINUTE + i * SECOND, 5 * MINUTE + i * SECOND + 100, NEVER);
	play(5 * MINUTE, 10 * MINUTE);
	assert_int_equal(at_last, SL_SITE_LEAK);
	assert_int_equal(sl_evidence_stuck_in_doubt(&has_leak), 80);
	assert_true(has_leak);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_client_for_each_request, set_up),
		cmocka_unit_test_setup(a_pool_that_is_left_idle, set_up),
		cmocka_unit_test_setup(a_pool_whose_connections_serve_once, set_up),
		cmocka_unit_test_setup(a_batch_after_the_other, set_up),
		cmocka_unit_test_setup(half_closes_in_use, set_up),
		cmocka_unit_test_setup(a_pool_that_uses_one_of_many, set_up),
		cmocka_unit_test_setup(a_pool_that_is_left_by_and_by, set_up),
		cmocka_unit_test_setup(a_pool_that_replaces_soon, set_up),
		cmocka_unit_test_setup(records_of_long_ago, set_up),
		cmocka_unit_test_setup(peers_that_are_not_told_apart, set_up),
		cmocka_unit_test_setup(found_at_the_start, set_up),
		cmocka_unit_test_setup(a_burst_found_late, set_up),
		cmocka_unit_test_setup(a_slow_leak, set_up),
		cmocka_unit_test_setup(a_leak_of_one_in_a_hundred, set_up),
		cmocka_unit_test_setup(a_pool_that_is_shut_down, set_up),
		cmocka_unit_test_setup(a_pool_that_is_closed, set_up),
		cmocka_unit_test_setup(a_leak_that_reacts, set_up),
		cmocka_unit_test_setup(a_burst_that_is_closed, set_up),
		cmocka_unit_test_setup(closed_late, set_up),
		cmocka_unit_test_setup(closed_very_late, set_up),
		cmocka_unit_test_setup(a_leak_among_late_closes, set_up),
		cmocka_unit_test_setup(a_leak_behind_a_higher_burst, set_up),
		cmocka_unit_test_setup(a_burst, set_up),
		cmocka_unit_test_setup(many_peers, set_up),
		cmocka_unit_test_setup(inbound_half_close, set_up),
		cmocka_unit_test_setup(inbound_never_closed, set_up),
		cmocka_unit_test_setup(ended_by_us, set_up),
		cmocka_unit_test_setup(a_process_that_was_stopped, set_up),
		cmocka_unit_test_setup(stuck_in_doubt, set_up),
	};
	sl_sites_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
