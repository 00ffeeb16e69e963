#include "watch/ports.h"

#include <errno.h>
#include <string.h>

#include "ledger/fdtable.h"
#include "watch/sockdiag.h"

#include "watch/table.h"

#include "base/poison.h"

#define SL_FOLLOWED_MIN 8u   /* ports; fewer have no slope worth keeping */
#define SL_FOLLOWED_MAX 256u /* peers */
#define SL_USED_MIN 4u       /* samples of the namespace that are enough */
#define SL_FDS_SAMPLES 3u    /* a burst at start is no trend */

struct followed {
	uint32_t peer; /* the key */
	uint32_t used; /* of the namespace, when it was last asked */
	struct sl_series held;
	struct sl_series used_series;
	UT_hash_handle hh;
};

static struct followed *followed; /* uthash */
static struct sl_series fds_series;
static uint64_t sampled_at_ms;
static uint32_t held[SL_PEER_OVERFLOW + 1]; /* by peer id */

static const struct sl_sockdiag_answer
	*answer; /* NULL: nothing is known; it is good until the next is asked for */
static uint32_t asked_peers[SL_SOCKDIAG_DESTS]; /* as in the question */
static uint32_t asked_count;
static uint64_t spent_us;
static int32_t tw_reuse;

const uint32_t *sl_ports_count_held(void)
{
	struct sl_fd_record record;
	memset(held, 0, sizeof(held));
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1) {
		uint32_t peer = record.peer ? record.peer : record.dest;
		bool has_port = record.kind == SL_KIND_TCP &&
		                !(record.marks & (SL_MARK_ENDED | SL_MARK_DEAD)) &&
		                (record.flags & (SL_FD_CONNECTED | SL_FD_CONNECTING));
		held[peer] += has_port;
	}
	return held;
}

static struct followed *find(uint32_t peer)
{
	struct followed *found = NULL;
	HASH_FIND(hh, followed, &peer, sizeof(peer), found);
	return found;
}

/* NULL: there are too many, or no memory. */
static struct followed *follow(uint32_t peer)
{
	struct followed *found = find(peer);
	if (found || HASH_COUNT(followed) >= SL_FOLLOWED_MAX)
		return found;
	found = sl_pool_alloc(&sl_worker_pool, sizeof(*found));
	if (!found)
		return NULL;
	memset(found, 0, sizeof(*found));
	found->peer = peer;
	HASH_ADD(hh, followed, peer, sizeof(found->peer), found);
	if (found->hh.tbl)
		return found;
	sl_pool_free(&sl_worker_pool, found, sizeof(*found));
	return NULL;
}

static bool is_outbound(uint32_t peer)
{
	const struct sl_peer *known = sl_peer_get(peer);
	return known && known->direction == SL_DIRECTION_OUT;
}

/* Nothing in use now, nor as far back as the samples go. */
static bool is_over(const struct followed *one)
{
	if (held[one->peer] || one->used)
		return false;
	for (uint32_t i = 0; i < one->held.count; i++)
		if (one->held.value[i])
			return false;
	return true;
}

void sl_ports_sample(uint64_t now_ms, int64_t fds)
{
	struct followed *one, *next;
	if (fds >= 0)
		sl_series_add(&fds_series, now_ms, (uint32_t)fds);
	if (sampled_at_ms != 0 && now_ms - sampled_at_ms < SL_SERIES_GAP_MS)
		return;
	sampled_at_ms = now_ms;
	(void)sl_ports_count_held();
	for (uint32_t id = 1; id < SL_PEER_OVERFLOW && id <= sl_peer_last(); id++)
		if (held[id] >= SL_FOLLOWED_MIN && is_outbound(id))
			(void)follow(id);
	HASH_ITER(hh, followed, one, next)
	{
		sl_series_add(&one->held, now_ms, held[one->peer]);
		if (is_over(one)) {
			HASH_DEL(followed, one);
			sl_pool_free(&sl_worker_pool, one, sizeof(*one));
		}
	}
}

static bool is_loopback(const struct sl_endpoint *endpoint)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t one[16] = {[15] = 1};
	if (memcmp(endpoint->address, mapped, sizeof(mapped)) == 0)
		return endpoint->address[12] == 127;
	return memcmp(endpoint->address, one, sizeof(one)) == 0;
}

bool sl_ports_is_reused(int32_t tcp_tw_reuse, const struct sl_endpoint *source,
                        const struct sl_endpoint *dest)
{
	if (tcp_tw_reuse == 2)
		return is_loopback(source) || is_loopback(dest);
	return tcp_tw_reuse == 1;
}

static uint32_t index_of(uint32_t peer)
{
	uint32_t i = 0;
	while (i < asked_count && asked_peers[i] != peer)
		i++;
	return i;
}

bool sl_ports_was_asked(uint32_t peer)
{
	return answer && index_of(peer) < asked_count;
}

bool sl_ports_use_of(uint32_t peer, uint32_t at, struct sl_ports_use *use)
{
	uint32_t index = index_of(peer);
	if (!answer || index == asked_count)
		return false;
	for (uint32_t i = 0; i < answer->count; i++) {
		const struct sl_sockdiag_pair *pair = &answer->pairs[i];
		if (pair->dest != index || at-- > 0)
			continue;
		bool is_reused =
			sl_ports_is_reused(tw_reuse, &pair->source, &sl_peer_get(peer)->at);
		*use = (struct sl_ports_use){
			.source = pair->source,
			.ports = pair->ports,
			.time_wait = pair->time_wait,
			.busy = pair->ports - (is_reused ? pair->time_wait_aged : 0),
		};
		return true;
	}
	return false;
}

uint32_t sl_ports_busy(uint32_t peer)
{
	struct sl_ports_use use;
	uint32_t most = 0;
	for (uint32_t at = 0; sl_ports_use_of(peer, at, &use); at++)
		most = use.busy > most ? use.busy : most;
	return most;
}

/* What is asked about. */
static void fill(struct sl_sockdiag_question *question, const struct sl_limits *limits,
                 const uint32_t *peers, uint32_t n)
{
	question->low = (uint16_t)limits->port_low;
	question->high = (uint16_t)limits->port_high;
	sl_limits_reserved(question->reserved);
	asked_count = 0;
	for (uint32_t i = 0; i < n && asked_count < SL_SOCKDIAG_DESTS; i++) {
		if (!is_outbound(peers[i]) || index_of(peers[i]) < asked_count)
			continue;
		question->dests[asked_count] = sl_peer_get(peers[i])->at;
		asked_peers[asked_count++] = peers[i];
	}
	question->count = asked_count;
	tw_reuse = limits->tcp_tw_reuse;
}

static void keep_sample(uint32_t peer, uint64_t now_ms)
{
	uint32_t used = sl_ports_busy(peer);
	struct followed *one = used >= SL_FOLLOWED_MIN ? follow(peer) : find(peer);
	if (!one)
		return;
	one->used = used;
	sl_series_add(&one->used_series, now_ms, used);
}

int sl_ports_ask(const struct sl_limits *limits, const uint32_t *peers, uint32_t n,
                 uint64_t limit_ms, uint64_t now_ms)
{
	const struct sl_sockdiag_answer *next;
	struct sl_sockdiag_question *question = sl_sockdiag_question();
	answer = NULL;
	if (limits->port_low < 0 || limits->port_high >= (int32_t)SL_SOCKDIAG_PORTS)
		return -ENODATA;
	if (!question)
		return -EAGAIN;
	fill(question, limits, peers, n);
	int error = sl_sockdiag_ask(limit_ms, &next);
	if (error)
		return error;
	answer = next;
	spent_us = answer->spent_us;
	for (uint32_t i = 0; i < asked_count; i++)
		keep_sample(asked_peers[i], now_ms);
	return 0;
}

uint32_t sl_ports_taken(void)
{
	return answer ? answer->taken : 0;
}

uint64_t sl_ports_spent_us(void)
{
	return spent_us;
}

bool sl_ports_foresee(uint32_t peer, uint64_t now_ms, uint64_t left, struct sl_forecast *forecast)
{
	const struct followed *one = find(peer);
	if (!one)
		return false;
	if (one->used_series.count >= SL_USED_MIN && sl_ports_was_asked(peer))
		return sl_series_foresee(&one->used_series, now_ms, sl_ports_busy(peer), left,
		                         forecast);
	return sl_series_foresee(&one->held, now_ms, sl_ports_count_held()[peer], left, forecast);
}

bool sl_ports_foresee_fds(uint64_t now_ms, uint32_t fds, uint64_t left,
                          struct sl_forecast *forecast)
{
	return fds_series.count >= SL_FDS_SAMPLES &&
	       sl_series_foresee(&fds_series, now_ms, fds, left, forecast);
}

void sl_ports_forked(void)
{
	followed = NULL;
	memset(&fds_series, 0, sizeof(fds_series));
	sampled_at_ms = 0;
	answer = NULL;
}
