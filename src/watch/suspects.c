#include "watch/suspects.h"

#include <netinet/tcp.h>
#include <string.h>

#include "base/options.h"
#include "ledger/sites.h"
#include "watch/fates.h"
#include "watch/habits.h"

#include "watch/table.h"

#include "base/poison.h"

/* The kernel's window probes are never further apart than this (TCP_RTO_MAX, include/net/tcp.h): a peer that has
 * acknowledged anything since then is alive, whether its window is open or not. */
#define SL_PEER_SILENCE_MS 125000u

struct sl_suspect {
	uint64_t cookie; /* the key */
	uint32_t site;
	uint32_t peer;
	uint32_t last_io;
	uint32_t unread_bytes;
	uint32_t met_at_tick;
	uint32_t descriptors; /* met in that sweep */
	uint64_t met_at_ms;
	uint64_t action_quiet_ms;
	uint64_t bytes_sent;
	uint64_t bytes_acked;
	uint64_t fin_at_ms;
	uint64_t activity_at_ms; /* 0: none seen since the FIN */
	int64_t idle_before_fin_ms;
	bool eof_seen;
	bool unread_is_close_notify;
	bool is_stuck;
	bool is_close_wait;
	bool has_unsent;
	bool has_sent;              /* since the FIN */
	struct sl_fd_record record; /* as it was met first in that sweep */
	struct sl_judgement judgement;
	struct sl_suspect_rungs rungs;
	UT_hash_handle hh;
};

struct sl_pool sl_worker_pool = SL_POOL(64u << 10, 0);

static struct sl_suspect *suspects; /* uthash */
static uint32_t tick;
static uint32_t stuck;
static uint32_t close_wait;
static uint64_t retracted;
static uint64_t dropped;
static sl_suspects_view_fn *gone_fn; /* constant after start */

void sl_suspects_begin(uint32_t now_tick)
{
	tick = now_tick;
}

static uint64_t before(uint64_t now_ms, uint32_t age_ms)
{
	return age_ms < now_ms ? now_ms - age_ms : 0;
}

/* A socket that is met for the first time: its FIN came at its last acknowledgement, if nothing was sent since. */
static struct sl_suspect *suspect_new(const struct sl_fd_record *record,
                                      const struct sl_kernel_tcp *tcp, uint64_t cookie,
                                      uint64_t now_ms)
{
	struct sl_suspect *suspect = sl_pool_alloc(&sl_worker_pool, sizeof(*suspect));
	bool has_read_last = (record->last_io & ((1u << SL_IO_BITS) - 1)) == SL_IO_READ;
	if (!suspect) {
		dropped++;
		return NULL;
	}
	memset(suspect, 0, sizeof(*suspect));
	suspect->cookie = cookie;
	suspect->site = record->site;
	suspect->idle_before_fin_ms = -1;
	suspect->fin_at_ms = now_ms;
	if (tcp->state == TCP_CLOSE_WAIT) {
		suspect->fin_at_ms = before(now_ms, tcp->last_ack_recv_ms);
		suspect->idle_before_fin_ms = sl_habit_idle_ms(
			tcp, has_read_last ? sl_kernel_unread_bytes(record->fd) : 0);
	}
	if (suspect->idle_before_fin_ms >= 0)
		sl_habits_note(record->peer, suspect->idle_before_fin_ms);
	HASH_ADD(hh, suspects, cookie, sizeof(suspect->cookie), suspect);
	if (!suspect->hh.tbl) {
		sl_pool_free(&sl_worker_pool, suspect, sizeof(*suspect));
		dropped++;
		return NULL;
	}
	return suspect;
}

/* Was this call made since the sweep before this one began? last_io has no room for the whole tick. */
static bool is_recent(uint32_t last_io)
{
	return last_io != 0 &&
	       ((tick << SL_IO_BITS) - (last_io >> SL_IO_BITS << SL_IO_BITS)) >> SL_IO_BITS <= 1;
}

static void note_one(struct sl_suspect *suspect, bool is_seen, uint64_t at_ms)
{
	if (is_seen && at_ms > suspect->activity_at_ms)
		suspect->activity_at_ms = at_ms;
}

/* The latest activity since the last sweep, as the hooks and as the kernel saw it. */
static void note_activity(struct sl_suspect *suspect, bool is_new,
                          const struct sl_fd_record *record, const struct sl_kernel_tcp *tcp,
                          uint32_t unread_bytes, uint64_t now_ms)
{
	uint64_t sent_at_ms = before(now_ms, tcp->last_data_sent_ms);
	uint64_t acked_at_ms = before(now_ms, tcp->last_ack_recv_ms);
	if (is_new) {
		/* What came before the FIN is none: an end of file came after it, other reads may not have. A peer that is
		 * silent is sent the same again and again. */
		note_one(suspect, is_recent(record->last_io) && (record->flags & SL_FD_EOF),
		         now_ms);
		suspect->has_sent = tcp->bytes_sent > 0 && tcp->retransmits == 0 &&
		                    sent_at_ms > suspect->fin_at_ms;
		note_one(suspect, suspect->has_sent, sent_at_ms);
	} else {
		note_one(suspect, record->last_io != suspect->last_io, now_ms);
		note_one(suspect, unread_bytes < suspect->unread_bytes, now_ms);
		suspect->has_sent |= tcp->bytes_sent != suspect->bytes_sent;
		note_one(suspect, tcp->bytes_sent != suspect->bytes_sent, sent_at_ms);
		note_one(suspect, tcp->bytes_acked != suspect->bytes_acked, acked_at_ms);
	}
	suspect->last_io = record->last_io;
	suspect->bytes_acked = tcp->bytes_acked;
	suspect->bytes_sent = tcp->bytes_sent;
	/* Looked at once: it is peeked at. */
	if ((is_new || unread_bytes != suspect->unread_bytes) && tcp->state == TCP_CLOSE_WAIT)
		suspect->unread_is_close_notify =
			sl_kernel_is_close_notify(record->fd, unread_bytes);
	suspect->unread_bytes = unread_bytes;
}

/* Of one that we ended: what else moves is our own FIN, but the program may read on. */
static void note_unread(struct sl_suspect *suspect, uint32_t unread_bytes)
{
	suspect->unread_is_close_notify &= unread_bytes == suspect->unread_bytes;
	suspect->unread_bytes = unread_bytes;
}

static void tell_late(const struct sl_suspect *suspect)
{
	sl_fates_retracted(&suspect->record, suspect->met_at_ms > suspect->fin_at_ms
	                                             ? suspect->met_at_ms - suspect->fin_at_ms
	                                             : 0);
}

static void count_retracted(const struct sl_suspect *suspect)
{
	struct sl_site *site = sl_site_get(suspect->site);
	retracted++;
	if (site)
		site->retracted++;
	tell_late(suspect);
}

/* The action clock: a sweep that comes late, for the process was stopped, adds two intervals at most (SIGSTOP, the freezer, a
 * suspended machine): who was stopped could not react. */
static void run_action_clock(struct sl_suspect *suspect, bool is_new, bool is_active,
                             uint64_t now_ms)
{
	uint64_t most_ms = 2 * sl_options_interval_ms(&sl_options);
	uint64_t from_ms = is_new ? suspect->fin_at_ms : suspect->met_at_ms;
	/* Of two sweeps in one turn the second may say an earlier time. */
	uint64_t since_ms = now_ms > from_ms ? now_ms - from_ms : 0;
	uint64_t elapsed_ms = since_ms < most_ms ? since_ms : most_ms;
	if (is_new || now_ms > suspect->met_at_ms)
		suspect->met_at_ms = now_ms;
	suspect->rungs.since_rung_ms += elapsed_ms;
	suspect->action_quiet_ms = is_active ? 0 : suspect->action_quiet_ms + elapsed_ms;
}

/* Of one that we ended, whatever state it is in by now. */
static uint64_t quiet_since_ms(const struct sl_suspect *suspect, uint64_t now_ms)
{
	uint64_t since_ms = suspect->fin_at_ms > suspect->activity_at_ms ? suspect->fin_at_ms
	                                                                 : suspect->activity_at_ms;
	return now_ms > since_ms ? now_ms - since_ms : 0;
}

static void judge(struct sl_suspect *suspect, const struct sl_fd_record *record,
                  const struct sl_kernel_tcp *tcp, uint64_t deadline_ms, uint64_t now_ms,
                  struct sl_suspicion *suspicion)
{
	struct sl_observation seen = {
		.state = tcp->state,
		.was_established = true,
		.shut_write = record->flags & SL_FD_SHUT_WRITE,
		.eof_seen = suspect->eof_seen,
		.touched_since_fin = suspect->activity_at_ms > suspect->fin_at_ms,
		.retransmits = tcp->retransmits,
		.keepalive_probes = tcp->probes,
		.fin_at_ms = suspect->fin_at_ms,
		.activity_at_ms = suspect->activity_at_ms,
		.unread_bytes = suspect->unread_bytes,
		.unread_is_close_notify = suspect->unread_is_close_notify,
		.unsent_bytes = tcp->state == TCP_CLOSE_WAIT && tcp->has_unsent
	                                ? sl_kernel_unsent_bytes(record->fd)
	                                : 0,
		.peer_answers = tcp->last_ack_recv_ms < SL_PEER_SILENCE_MS,
	};
	sl_judge(&seen, deadline_ms, now_ms, &suspicion->judgement);
	suspicion->unread_bytes = seen.unread_bytes;
	suspicion->unsent_bytes = seen.unsent_bytes;
	suspicion->fin_at_ms = suspect->fin_at_ms;
	suspicion->idle_before_fin_ms = suspect->idle_before_fin_ms;
}

/* From now on the stack is taken where a connection of this site meets its end: there the close is missing. */
static void note_ignored_eof(uint32_t id)
{
	struct sl_site *site = sl_site_get(id);
	if (site && !atomic_load_explicit(&site->ignores_eof, memory_order_relaxed))
		atomic_store_explicit(&site->ignores_eof, true, memory_order_relaxed);
}

bool sl_suspects_meet(const struct sl_fd_record *record, const struct sl_kernel_tcp *tcp,
                      uint64_t deadline_ms, uint64_t now_ms, struct sl_suspicion *suspicion)
{
	uint64_t cookie = record->cookie ? record->cookie : sl_kernel_cookie(record->fd);
	struct sl_suspect *suspect = NULL;
	uint64_t active_at_ms;
	memset(suspicion, 0, sizeof(*suspicion));
	if (!cookie)
		return false; /* closed meanwhile */
	HASH_FIND(hh, suspects, &cookie, sizeof(cookie), suspect);
	suspicion->is_new = !suspect;
	if (!suspect)
		suspect = suspect_new(record, tcp, cookie, now_ms);
	if (!suspect)
		return false;
	if (suspicion->is_new)
		sl_fates_met(record);
	suspicion->is_shared = !suspicion->is_new && suspect->met_at_tick == tick;
	if (!suspicion->is_shared) {
		suspect->record = *record;
		suspect->descriptors = 0;
	}
	suspect->descriptors++;
	if (record->marks & SL_MARK_BUSY)
		sl_fdtable_met(record->fd, record->generation);
	suspect->record.flags |= record->flags;
	suspect->met_at_tick = tick;
	suspect->peer = record->peer;
	active_at_ms = suspect->activity_at_ms;
	suspect->eof_seen |= (record->flags & SL_FD_EOF) != 0;
	if (suspect->eof_seen)
		note_ignored_eof(record->site);
	/* A second descriptor keeps an account of its own in last_io: it may only add activity, not hide it. */
	if (record->marks & SL_MARK_ENDED)
		note_unread(suspect, sl_kernel_unread_bytes(record->fd));
	else if (!suspicion->is_shared)
		note_activity(suspect, suspicion->is_new, record, tcp,
		              sl_kernel_unread_bytes(record->fd), now_ms);
	else
		note_one(suspect, is_recent(record->last_io), now_ms);
	judge(suspect, record, tcp, deadline_ms, now_ms, suspicion);
	if (suspect->record.flags & SL_FD_INTENDED)
		suspicion->judgement.is_stuck = false;
	if (record->marks & SL_MARK_ENDED) {
		/* Our doing: neither stuck nor dead-but-open. What is left of it is the fd. */
		suspicion->judgement = (struct sl_judgement){
			.is_close_wait = suspicion->judgement.is_close_wait,
			.quiet_ms = quiet_since_ms(suspect, now_ms),
		};
	}
	bool is_active = suspect->activity_at_ms > active_at_ms ||
	                 (suspicion->judgement.is_close_wait && suspicion->judgement.quiet_ms == 0);
	if (!suspicion->is_shared || is_active)
		run_action_clock(suspect, suspicion->is_new, is_active, now_ms);
	suspect->has_unsent = tcp->has_unsent;
	suspect->judgement = suspicion->judgement;
	suspicion->rung = suspect->rungs.is_pretended ? 0 : suspect->rungs.reached;
	if (suspect->is_stuck && !suspicion->judgement.is_stuck && !(record->marks & SL_MARK_ENDED))
		count_retracted(suspect);
	suspect->is_stuck = suspicion->judgement.is_stuck;
	suspect->is_close_wait = suspicion->judgement.is_close_wait;
	return true;
}

void sl_suspects_meet_dead(const struct sl_fd_record *record, uint64_t now_ms)
{
	struct sl_suspect *suspect = NULL;
	HASH_FIND(hh, suspects, &record->cookie, sizeof(record->cookie), suspect);
	if (!suspect)
		return;
	if (suspect->met_at_tick != tick)
		run_action_clock(suspect, false, false, now_ms);
	suspect->met_at_tick = tick;
	suspect->record = *record;
	suspect->descriptors = 1;
	suspect->is_stuck = suspect->is_close_wait = false;
	suspect->judgement = (struct sl_judgement){.quiet_ms = quiet_since_ms(suspect, now_ms)};
}

static void view_of(struct sl_suspect *suspect, struct sl_suspect_view *view)
{
	*view = (struct sl_suspect_view){
		.record = suspect->record,
		.descriptors = suspect->descriptors,
		.cookie = suspect->cookie,
		.action_quiet_ms = suspect->action_quiet_ms,
		.bytes_sent = suspect->bytes_sent,
		.fin_at_ms = suspect->fin_at_ms,
		.idle_before_fin_ms = suspect->idle_before_fin_ms,
		.has_unread = suspect->unread_bytes > 0 && !suspect->unread_is_close_notify,
		.has_unsent = suspect->has_unsent,
		.has_sent = suspect->has_sent,
		.judgement = suspect->judgement,
		.rungs = &suspect->rungs,
	};
	view->record.peer = suspect->peer;
	view->record.cookie = suspect->cookie;
}

void sl_suspects_each(sl_suspects_view_fn *each, void *context)
{
	struct sl_suspect *suspect, *next;
	struct sl_suspect_view view;
	HASH_ITER(hh, suspects, suspect, next)
	{
		view_of(suspect, &view);
		each(context, &view);
	}
}

void sl_suspects_tell_gone(sl_suspects_view_fn *gone)
{
	gone_fn = gone;
}

static void tell_gone(struct sl_suspect *suspect)
{
	struct sl_suspect_view view;
	view_of(suspect, &view);
	if (gone_fn)
		gone_fn(NULL, &view);
}

/* We ended it, and the program closed it much later: what comes right behind a rung comes of it, or is our own close. */
static bool is_closed_for_itself(const struct sl_suspect *suspect)
{
	return suspect->rungs.since_rung_ms > (uint64_t)sl_options.grace_ms;
}

/* It is gone: by the program's doing, or by ours. */
static void note_fate(const struct sl_suspect *suspect)
{
	if (suspect->rungs.is_reclaimed) {
		if (!is_closed_for_itself(suspect)) {
			sl_fates_ended(&suspect->record, suspect->fin_at_ms);
			return;
		}
		tell_late(suspect);
		sl_fates_closed(&suspect->record, true);
		return;
	}
	if (suspect->is_stuck)
		count_retracted(suspect);
	sl_fates_closed(&suspect->record, suspect->is_stuck);
}

void sl_suspects_end(void)
{
	struct sl_suspect *suspect, *next;
	stuck = close_wait = 0;
	HASH_ITER(hh, suspects, suspect, next)
	{
		if (suspect->met_at_tick == tick) {
			stuck += suspect->is_stuck;
			close_wait += suspect->is_close_wait;
			continue;
		}
		note_fate(suspect);
		tell_gone(suspect);
		HASH_DEL(suspects, suspect);
		sl_pool_free(&sl_worker_pool, suspect, sizeof(*suspect));
	}
	sl_fates_swept();
}

void sl_suspects_each_close_wait(sl_suspects_each_fn *each)
{
	struct sl_suspect *suspect, *next;
	HASH_ITER(hh, suspects, suspect, next)
	{
		if (suspect->is_close_wait)
			each(suspect->peer);
	}
}

uint32_t sl_suspects_stuck(void)
{
	return stuck;
}

uint32_t sl_suspects_close_wait(void)
{
	return close_wait;
}

uint64_t sl_suspects_retracted(void)
{
	return retracted;
}

uint64_t sl_suspects_dropped(void)
{
	return dropped;
}

void sl_suspects_forked(void)
{
	suspects = NULL;
	stuck = close_wait = 0;
	retracted = dropped = 0;
	sl_fates_forked();
	sl_habits_forked();
}
