/* external.c - see external.h. */
#include "cli/external.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "watch/judge.h"

#define SL_TCP_STATES 16

uint64_t sl_external_quiet_ms(const struct sl_outside_socket *socket)
{
	return socket->tcp.last_ack_recv_ms < socket->tcp.last_data_sent_ms
	               ? socket->tcp.last_ack_recv_ms
	               : socket->tcp.last_data_sent_ms;
}

static void judge(const struct sl_outside_socket *socket, uint64_t now_ms,
                  struct sl_judgement *judgement)
{
	uint64_t fin_ms = socket->tcp.last_ack_recv_ms, sent_ms = socket->tcp.last_data_sent_ms;
	bool is_close_wait = socket->tcp.state == TCP_CLOSE_WAIT;
	const struct sl_observation seen = {
		.state = socket->tcp.state,
		.was_established = socket->tcp.was_established,
		.eof_seen = socket->has_read_eof,
		.retransmits = socket->tcp.retransmits,
		.keepalive_probes = socket->tcp.probes,
		.fin_at_ms = is_close_wait && now_ms > fin_ms ? now_ms - fin_ms : 0,
		.activity_at_ms = is_close_wait && now_ms > sent_ms ? now_ms - sent_ms : 0,
		.unread_bytes = socket->unread,
		.unread_is_close_notify = socket->is_close_notify,
		.unsent_bytes = socket->unsent,
		.peer_answers =
			socket->unsent > 0, /* while it moves, and from outside that is not seen */
	};
	sl_judge(&seen, SL_EXTERNAL_DEADLINE_MS, now_ms, judgement);
	if (judgement->cause == SL_CAUSE_NEVER_LOOKED && !socket->is_eof_known)
		judgement->cause = SL_CAUSE_NONE;
}

static void count(const struct sl_outside_socket *socket, const struct sl_judgement *judgement,
                  struct sl_snapshot *s)
{
	s->totals.by_state[socket->tcp.state < SL_TCP_STATES ? socket->tcp.state : 0]++;
	s->totals.close_wait += judgement->is_close_wait;
	s->totals.dead += judgement->is_dead;
	s->totals.stuck += judgement->is_stuck;
	if (judgement->is_stuck && (int64_t)judgement->close_wait_ms > s->totals.oldest_stuck_ms)
		s->totals.oldest_stuck_ms = (int64_t)judgement->close_wait_ms;
	int64_t began_ms = (int64_t)s->process.uptime_ms - (int64_t)judgement->close_wait_ms;
	if (judgement->is_close_wait &&
	    (s->totals.began_after_ms == SL_UNKNOWN || began_ms < s->totals.began_after_ms))
		s->totals.began_after_ms = began_ms;
}

static const char *endpoint_text(struct sl_arena *arena, const struct sl_endpoint *endpoint)
{
	char text[80];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_endpoint_print(&out, endpoint);
	return sl_arena_text(arena, text, out.length);
}

static struct sl_snapshot_socket row_of(struct sl_arena *arena,
                                        const struct sl_outside_socket *socket,
                                        const struct sl_judgement *judgement)
{
	bool is_suspect = judgement->is_close_wait;
	return (struct sl_snapshot_socket){
		.fd = socket->fd,
		.cookie = socket->cookie,
		.direction = socket->direction,
		.state = socket->tcp.state,
		.local = endpoint_text(arena, &socket->local),
		.peer = socket->has_peer ? endpoint_text(arena, &socket->peer) : NULL,
		.age_ms = 0, /* first seen now */
		.close_wait_ms = is_suspect ? (int64_t)judgement->close_wait_ms : SL_UNKNOWN,
		.quiet_ms = is_suspect ? (int64_t)judgement->quiet_ms : SL_UNKNOWN,
		.cause = judgement->cause,
		.unread_bytes = socket->is_listener ? SL_UNKNOWN : socket->unread,
		.unsent_bytes = socket->is_listener ? SL_UNKNOWN : socket->unsent,
		.eof_seen = socket->has_read_eof,
		.shared = socket->is_shared,
	};
}

static int by_backlog(const void *a, const void *b)
{
	const struct sl_snapshot_listener *x = a, *y = b;
	return x->backlog > y->backlog ? -1 : x->backlog < y->backlog;
}

static void list_listeners(struct sl_arena *arena, const struct sl_outside *outside,
                           struct sl_snapshot *s)
{
	struct sl_snapshot_listener *listeners =
		sl_arena_alloc(arena, (outside->count + 1) * sizeof(*listeners));
	for (uint32_t i = 0; listeners && i < outside->count; i++) {
		const struct sl_outside_socket *socket = &outside->sockets[i];
		if (!socket->is_listener || !socket->tcp.backlog)
			continue;
		s->totals.backlog += socket->tcp.backlog;
		listeners[s->listener_count++] = (struct sl_snapshot_listener){
			.local = endpoint_text(arena, &socket->local),
			.fd = socket->fd,
			.backlog = socket->tcp.backlog,
			.limit = socket->tcp.backlog_limit,
		};
	}
	if (listeners && s->listener_count)
		qsort(listeners, s->listener_count, sizeof(*listeners), by_backlog);
	s->listeners = listeners;
}

static void list_sockets(struct sl_arena *arena, const struct sl_outside *outside,
                         struct sl_snapshot *s)
{
	struct sl_snapshot_socket *sockets =
		sl_arena_alloc(arena, (outside->count + 1) * sizeof(*sockets));
	uint64_t now_ms = sl_clock_ms();
	for (uint32_t i = 0; sockets && i < outside->count; i++) {
		struct sl_judgement judgement;
		judge(&outside->sockets[i], now_ms, &judgement);
		count(&outside->sockets[i], &judgement, s);
		sockets[s->socket_count++] = row_of(arena, &outside->sockets[i], &judgement);
	}
	s->sockets = sockets;
}

static void fill(struct sl_arena *arena, const struct sl_proc *proc,
                 const struct sl_outside *outside, struct sl_snapshot *s)
{
	s->totals.opened = s->totals.open = s->totals.adopted = outside->count;
	s->totals.oldest_stuck_ms = s->totals.began_after_ms = s->totals.growth_per_min =
		SL_UNKNOWN;
	memcpy(s->totals.by_kind, outside->by_kind, sizeof(s->totals.by_kind));
	s->limits.nofile_used = (int64_t)outside->fds;
	sl_external_describe(arena, proc, s);
	list_sockets(arena, outside, s);
	list_listeners(arena, outside, s);
	sl_external_sum_peers(arena, outside, s);
	s->verdict =
		sl_verdict_from_outside(s->totals.close_wait + s->totals.dead, s->totals.stuck);
	sl_external_count_ports(arena, proc->pid, outside, s);
	sl_external_elsewhere(arena, proc->pid, outside, s);
}

int sl_external_take(struct sl_arena *arena, const struct sl_proc *proc, const char *why,
                     struct sl_snapshot *snapshot)
{
	static const struct sl_snapshot_option none;
	struct sl_outside outside;
	int error = sl_outside_look(proc->pid, &outside);
	if (error)
		return error;
	*snapshot = (struct sl_snapshot){
		.trigger = SL_TRIGGER_COMMAND,
		.mode = SL_MODE_EXTERNAL,
		.taken_wall_ms = sl_clock_wall_ms(),
		.deadline_ms = SL_EXTERNAL_DEADLINE_MS,
		.no_sites = why,
		.options = &none,
	};
	fill(arena, proc, &outside, snapshot);
	sl_outside_free(&outside);
	return sl_proc_is_same(proc) ? 0 : -ESRCH;
}
