/* gather_sockets.c - single sockets of a survey: listeners that are behind and, with detail=1, all. */
#include <netinet/tcp.h>

#include "base/options.h"
#include "base/sort.h"
#include "ledger/fdnames.h"
#include "ledger/threads.h"
#include "report/gather.h"

#include "base/poison.h"

static const char *local_text(struct sl_arena *arena, int fd)
{
	struct sl_endpoint endpoint;
	return sl_kernel_local(fd, &endpoint) ? sl_gather_endpoint(arena, &endpoint) : NULL;
}

static int fuller(const void *a, const void *b)
{
	const struct sl_snapshot_listener *x = a, *y = b;
	return x->backlog > y->backlog ? -1 : x->backlog < y->backlog;
}

static void gather_listeners(const struct sl_gathering *from, struct sl_snapshot *snapshot)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < from->survey->count; i++)
		n += from->survey->rows[i].tcp.state == TCP_LISTEN &&
		     from->survey->rows[i].tcp.backlog;
	struct sl_snapshot_listener *listeners =
		sl_arena_alloc(from->arena, (n + 1) * sizeof(*listeners));
	for (uint32_t i = 0; listeners && i < from->survey->count; i++) {
		const struct sl_survey_row *row = &from->survey->rows[i];
		if (row->is_duplicate || row->tcp.state != TCP_LISTEN || !row->tcp.backlog)
			continue;
		listeners[snapshot->listener_count++] = (struct sl_snapshot_listener){
			.local = local_text(from->arena, row->record.fd),
			.fd = row->record.fd,
			.backlog = row->tcp.backlog,
			.limit = row->tcp.backlog_limit,
		};
	}
	if (listeners)
		sl_sort(listeners, snapshot->listener_count, sizeof(*listeners), fuller);
	snapshot->listeners = listeners;
}

static const char *peer_text(struct sl_arena *arena, const struct sl_survey_row *row)
{
	struct sl_endpoint endpoint;
	const struct sl_peer *dest = sl_peer_get(row->record.dest);
	if (sl_kernel_peer(row->record.fd, &endpoint))
		return sl_gather_endpoint(arena, &endpoint);
	return dest ? sl_gather_endpoint(arena, &dest->at) : NULL;
}

static void describe(const struct sl_gathering *from, const struct sl_survey_row *row,
                     struct sl_snapshot_socket *socket)
{
	const struct sl_suspicion *suspicion = &row->suspicion;
	*socket = (struct sl_snapshot_socket){
		.fd = row->record.fd,
		.cookie =
			row->record.cookie ? row->record.cookie : sl_kernel_cookie(row->record.fd),
		.direction = row->direction,
		.state = row->tcp.state,
		.local = local_text(from->arena, row->record.fd),
		.peer = peer_text(from->arena, row),
		.site = row->record.site,
		.age_ms = from->now_ms > row->record.opened_at_ms
	                          ? from->now_ms - row->record.opened_at_ms
	                          : 0,
		.close_wait_ms = suspicion->judgement.is_close_wait
	                                 ? (int64_t)suspicion->judgement.close_wait_ms
	                                 : SL_UNKNOWN,
		.quiet_ms = row->is_suspect ? (int64_t)suspicion->judgement.quiet_ms : SL_UNKNOWN,
		.cause = row->is_suspect ? suspicion->judgement.cause : SL_CAUSE_NONE,
		.unread_bytes = row->is_suspect ? suspicion->unread_bytes : SL_UNKNOWN,
		.unsent_bytes = row->is_suspect ? suspicion->unsent_bytes : SL_UNKNOWN,
		.eof_seen = row->record.flags & SL_FD_EOF,
		.eof_site = row->record.eof_site,
		.death = suspicion->judgement.death,
		.last_use_ms = sl_gather_last_use_ms(from, row),
		.last_call = (enum sl_io)(row->record.last_io & ((1u << SL_IO_BITS) - 1)),
		.thread = sl_thread_name(row->record.thread),
		.shared = row->is_shared,
		.name = sl_fdname_get(row->record.fd, row->record.generation),
		.intended = row->record.flags & SL_FD_INTENDED,
		.rung = (enum sl_rung)suspicion->rung,
	};
}

void sl_gather_sockets(const struct sl_gathering *from, struct sl_snapshot *snapshot)
{
	gather_listeners(from, snapshot);
	if (!sl_options.detail)
		return;
	struct sl_snapshot_socket *sockets =
		sl_arena_alloc(from->arena, (from->survey->count + 1) * sizeof(*sockets));
	for (uint32_t i = 0; sockets && i < from->survey->count; i++)
		describe(from, &from->survey->rows[i], &sockets[i]);
	snapshot->sockets = sockets;
	snapshot->socket_count = sockets ? from->survey->count : 0;
}
