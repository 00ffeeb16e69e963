#include "watch/sweep.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/clock.h"
#include "base/sys.h"
#include "watch/listeners.h"

#include "watch/table.h"

#include "base/poison.h"

#define SL_BATCH 1024

/* What a sweep carries along. The batch is the worker's own. */
struct sweep {
	uint64_t deadline_ms;
	uint64_t now_ms;          /* when it began, as the caller says */
	uint64_t began_at_ms;     /* ... and as the clock says */
	struct sl_survey *survey; /* NULL: not a survey */
	struct seen_cookie *seen; /* uthash: connections met in this survey */
	unsigned batched;
	struct seen_cookie *counted; /* uthash: of those with several numbers */
	uint32_t open;
};

struct seen_cookie {
	uint64_t cookie;
	uint32_t row;
	UT_hash_handle hh;
};

static uint32_t open_count; /* of the last sweep; the worker's */
static uint64_t tick_at_ms[SL_SWEEP_TICKS];
static uint32_t newest_tick;
static struct pollfd batch[SL_BATCH];
static struct sl_fd_record batch_records[SL_BATCH];

/* Ports of this process's listeners, to tell the direction of sockets that nobody saw connect; the worker's. */
#define SL_LISTEN_PORTS 64
static uint16_t listen_ports[SL_LISTEN_PORTS];
static unsigned listen_port_count;

static void note_listener(int fd)
{
	struct sl_endpoint local;
	if (listen_port_count < SL_LISTEN_PORTS && sl_kernel_local(fd, &local))
		listen_ports[listen_port_count++] = local.port;
}

static bool is_listen_port(uint16_t port)
{
	for (unsigned i = 0; i < listen_port_count; i++)
		if (listen_ports[i] == port)
			return true;
	return false;
}

static enum sl_direction direction_of(const struct sl_fd_record *record)
{
	struct sl_endpoint local;
	if (record->flags & SL_FD_IN)
		return SL_DIRECTION_IN;
	if (record->flags & SL_FD_OUT)
		return SL_DIRECTION_OUT;
	if ((record->flags & (SL_FD_LISTENING | SL_FD_CONNECTED)) != SL_FD_CONNECTED)
		return SL_DIRECTION_UNKNOWN;
	/* Nobody saw it connect: inbound if it is at a port that this process listens on. */
	if (!sl_kernel_local(record->fd, &local))
		return SL_DIRECTION_UNKNOWN;
	return is_listen_port(local.port) ? SL_DIRECTION_IN : SL_DIRECTION_OUT;
}

/* The peer's id, from the kernel; 0: it has none. */
static uint32_t peer_of(const struct sl_fd_record *record, enum sl_direction direction)
{
	struct sl_endpoint peer, local;
	if (direction == SL_DIRECTION_UNKNOWN || !sl_kernel_peer(record->fd, &peer))
		return direction == SL_DIRECTION_OUT ? record->dest : 0;
	if (direction == SL_DIRECTION_IN) {
		if (!sl_kernel_local(record->fd, &local))
			return 0;
		peer.port = local.port;
	}
	return sl_peer_intern(direction, &peer);
}

static enum sl_direction identify(struct sl_fd_record *record)
{
	if (record->peer) {
		const struct sl_peer *known = sl_peer_get(record->peer);
		if (known)
			return known->direction;
	}
	enum sl_direction direction = direction_of(record);
	uint32_t peer = peer_of(record, direction);
	uint64_t cookie = sl_kernel_cookie(record->fd);
	if (peer && cookie) {
		record->peer = peer;
		record->cookie = cookie;
		sl_fdtable_identify(record->fd, record->generation, cookie, peer);
	}
	return direction;
}

/* A row of the survey for this socket; NULL: no survey, or no memory. */
static struct sl_survey_row *row_for(struct sweep *sweep, const struct sl_fd_record *record)
{
	struct sl_survey *survey = sweep->survey;
	if (!survey)
		return NULL;
	if (!survey->rows || survey->count == survey->capacity) {
		survey->is_cut = true;
		return NULL;
	}
	struct sl_survey_row *row = &survey->rows[survey->count++];
	memset(row, 0, sizeof(*row));
	row->record = *record;
	return row;
}

/* Is the number still this record's? It may have been given out anew while the kernel was asked. */
static bool is_current(const struct sl_fd_record *record)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(record->fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	return sl_fd_state_of(head) == SL_FD_OPEN &&
	       sl_fd_generation_of(head) == record->generation;
}

/* A state CLOSE that a connection ended in; a fresh socket, a refused connect() and one that was disconnected on purpose
 * (AF_UNSPEC, connect(2)) are in it as well. */
static bool is_dead(const struct sl_kernel_tcp *tcp, const struct sl_fd_record *record)
{
	if (tcp->state != TCP_CLOSE)
		return false;
	return tcp->was_established ||
	       (record->flags & (SL_FD_CONNECTED | SL_FD_OUT)) == SL_FD_CONNECTED;
}

/* The entry of this cookie, or NULL; then it is put there, with this row. */
static struct seen_cookie *see(struct seen_cookie **table, uint64_t cookie, uint32_t row)
{
	struct seen_cookie *seen = NULL;
	HASH_FIND(hh, *table, &cookie, sizeof(cookie), seen);
	if (seen)
		return seen;
	seen = sl_pool_alloc(&sl_worker_pool, sizeof(*seen));
	if (!seen)
		return NULL;
	seen->cookie = cookie;
	seen->row = row;
	HASH_ADD(hh, *table, cookie, sizeof(seen->cookie), seen);
	if (!seen->hh.tbl)
		sl_pool_free(&sl_worker_pool, seen, sizeof(*seen));
	return NULL;
}

static void forget_all(struct seen_cookie **table)
{
	struct seen_cookie *seen, *next;
	HASH_ITER(hh, *table, seen, next)
	{
		HASH_DEL(*table, seen);
		sl_pool_free(&sl_worker_pool, seen, sizeof(*seen));
	}
}

/* A copy that nobody saw made counts on its own. */
static void count_open(struct sweep *sweep, const struct sl_fd_record *record)
{
	if (record->marks & SL_MARK_DEAD)
		return;
	if (record->flags & SL_FD_DUPED) {
		uint64_t cookie = record->cookie ? record->cookie : sl_kernel_cookie(record->fd);
		if (!cookie || see(&sweep->counted, cookie, 0))
			return;
	}
	sweep->open++;
}

/* Has this connection been met in this survey under another number? */
static void note_sharing(struct sweep *sweep, struct sl_survey_row *row)
{
	/* What was adopted may be a copy of any: it came past the hooks. */
	if (!(row->record.flags & SL_FD_DUPED) && sl_fdtable_adopted() == 0)
		return;
	uint64_t cookie =
		row->record.cookie ? row->record.cookie : sl_kernel_cookie(row->record.fd);
	const struct seen_cookie *seen =
		see(&sweep->seen, cookie, (uint32_t)(row - sweep->survey->rows));
	if (!seen)
		return;
	row->is_shared = row->is_duplicate = true;
	sweep->survey->rows[seen->row].is_shared = true;
}

/* What the hooks may not have seen: connect() in the background, a listen() or accept() past them. */
static void note_state(struct sl_fd_record *record, const struct sl_kernel_tcp *tcp)
{
	bool is_connected =
		tcp->state != TCP_CLOSE && tcp->state != TCP_SYN_SENT && tcp->state != TCP_LISTEN;
	uint32_t flag = tcp->state == TCP_LISTEN               ? SL_FD_LISTENING
	                : is_connected || is_dead(tcp, record) ? SL_FD_CONNECTED
	                                                       : 0;
	if (!flag || (record->flags & (flag | SL_FD_CONNECTING)) == flag)
		return;
	sl_fdtable_mark(record->fd, record->generation, flag, SL_FD_CONNECTING);
	record->flags = (record->flags | flag) & ~(uint32_t)SL_FD_CONNECTING;
}

/* Ages count from this moment: a sweep of many thousands takes a while. */
static uint64_t time_of(const struct sweep *sweep)
{
	return sweep->now_ms + (sl_clock_ms() - sweep->began_at_ms);
}

/* A neutralized number. If the program closed it past the hooks, and opened another socket there, that one is found anew. */
static void look_at_dead(const struct sweep *sweep, const struct sl_fd_record *record,
                         const struct sl_kernel_tcp *tcp)
{
	struct pollfd look = {.fd = record->fd, .events = POLLRDHUP};
	/* A fresh socket is in state CLOSE as well, but it has not been shut down. */
	if (tcp->state != TCP_CLOSE || tcp->was_established || sl_sys_poll(&look, 1, 0) != 1 ||
	    !(look.revents & POLLRDHUP))
		sl_fdtable_drop(record->fd, record->generation);
	else
		sl_suspects_meet_dead(record, time_of(sweep));
}

/* Ask the kernel about one socket, and act on what it says. */
static void look(struct sweep *sweep, struct sl_fd_record *record)
{
	struct sl_kernel_tcp tcp;
	int error = sl_kernel_tcp(record->fd, &tcp);
	if (error == -EBADF || error == -ENOTSOCK || error == -EOPNOTSUPP) {
		sl_fdtable_drop(record->fd, record->generation);
		return;
	}
	if (error < 0 || !is_current(record))
		return;
	if (record->marks & SL_MARK_DEAD) {
		look_at_dead(sweep, record, &tcp);
		return;
	}
	note_state(record, &tcp);
	enum sl_direction direction = identify(record);
	struct sl_survey_row *row = row_for(sweep, record);
	struct sl_suspicion suspicion = {0};
	bool is_suspect = tcp.state == TCP_CLOSE_WAIT || is_dead(&tcp, record) ||
	                  (record->marks & SL_MARK_ENDED);
	if (is_suspect)
		is_suspect = sl_suspects_meet(record, &tcp, sweep->deadline_ms, time_of(sweep),
		                              &suspicion);
	if (!row)
		return;
	row->tcp = tcp;
	row->direction = direction;
	row->is_suspect = is_suspect;
	row->suspicion = suspicion;
	note_sharing(sweep, row);
}

/* Does poll()'s answer, or what is known so far, call for a closer look? */
static bool is_worth_a_look(const struct sweep *sweep, const struct pollfd *answer,
                            const struct sl_fd_record *record)
{
	return sweep->survey || (answer->revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) ||
	       (record->flags & SL_FD_CONNECTING) ||
	       (record->marks & SL_MARK_DEAD) || /* with nothing to say: not what we put there */
	       (!record->peer && (record->flags & SL_FD_CONNECTED));
}

static void end_batch(struct sweep *sweep)
{
	bool is_blind = false;
	/* EINVAL where the limit of open files was lowered below the batch since (poll(2)): ask about each. */
	if (!sweep->survey)
		is_blind = sl_sys_poll(batch, sweep->batched, 0) < 0;
	for (unsigned i = 0; i < sweep->batched; i++)
		if (is_blind || is_worth_a_look(sweep, &batch[i], &batch_records[i]))
			look(sweep, &batch_records[i]);
	sweep->batched = 0;
}

static void run(struct sweep *sweep)
{
	struct sl_fd_record record;
	sweep->began_at_ms = sl_clock_ms();
	/* What the program does from here on counts for the next sweep. */
	uint32_t tick = atomic_fetch_add(&sl_fd_tick, 1) + 1;
	tick_at_ms[tick % SL_SWEEP_TICKS] = sweep->now_ms;
	newest_tick = tick;
	sl_suspects_begin(tick);
	listen_port_count = 0;
	for (int at = 0; sl_fdtable_next_with(at, SL_FD_LISTENING, &record); at = record.fd + 1)
		if (record.flags & SL_FD_LISTENING && record.kind == SL_KIND_TCP) {
			note_listener(record.fd);
			sl_listeners_meet(&record, sweep->now_ms);
		}
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1) {
		if (sweep->survey && !(record.marks & SL_MARK_DEAD))
			sweep->survey->by_kind[record.kind]++;
		if (record.kind != SL_KIND_TCP)
			continue;
		count_open(sweep, &record);
		batch[sweep->batched] = (struct pollfd){.fd = record.fd, .events = POLLRDHUP};
		batch_records[sweep->batched] = record;
		if (++sweep->batched == SL_BATCH)
			end_batch(sweep);
	}
	end_batch(sweep);
	sl_suspects_end();
	forget_all(&sweep->counted);
	open_count = sweep->open;
}

/* last_io has no room for the whole tick. */
uint64_t sl_sweep_tick_at_ms(uint32_t last_io)
{
	uint32_t back =
		((newest_tick << SL_IO_BITS) - (last_io >> SL_IO_BITS << SL_IO_BITS)) >> SL_IO_BITS;
	return back < SL_SWEEP_TICKS ? tick_at_ms[(newest_tick - back) % SL_SWEEP_TICKS] : 0;
}

uint32_t sl_sweep_open(void)
{
	return open_count;
}

void sl_sweep(uint64_t deadline_ms, uint64_t now_ms)
{
	struct sweep sweep = {.deadline_ms = deadline_ms, .now_ms = now_ms};
	run(&sweep);
}

static uint32_t count_records(void)
{
	struct sl_fd_record record;
	uint32_t count = 0;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		count++;
	return count;
}

void sl_sweep_survey(uint64_t deadline_ms, uint64_t now_ms, struct sl_arena *arena,
                     struct sl_survey *survey)
{
	struct sweep sweep = {.deadline_ms = deadline_ms, .now_ms = now_ms, .survey = survey};
	memset(survey, 0, sizeof(*survey));
	/* Room for those that open meanwhile. */
	survey->capacity = count_records() + 256;
	survey->rows = sl_arena_alloc(arena, survey->capacity * sizeof(*survey->rows));
	if (!survey->rows)
		survey->capacity = 0;
	run(&sweep);
	forget_all(&sweep.seen);
}
