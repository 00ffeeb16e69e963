#include "ledger/fdnames.h"
#include "ledger/fdtable.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/sys.h"
#include "ledger/sites.h"
#include "ledger/threads.h"
#include "ledger/peers.h"
#include "ledger/sites.h"

#include "base/poison.h"

#define SL_ADOPTION_DOUBT_MS \
	10000 /* a hook can be held up that long between its real call and its record */
#define SL_CHUNK_BYTES (SL_FD_CHUNK_SLOTS * sizeof(struct sl_fd_slot))
#define SL_READ_TRIES 16
#define SL_SITE_MASK ((1u << SL_SITE_BITS) - 1)
#define SL_PEER_MASK ((1u << SL_PEER_BITS) - 1)
_Static_assert(SL_PEERS_MAX <= SL_PEER_MASK && SL_SITES_MAX < 1u << (32 - SL_PEER_BITS),
               "both fit a word");
#define SL_TIME_MASK ((1ULL << SL_TIME_BITS) - 1)

_Static_assert(SL_SITES_MAX < 1u << SL_SITE_BITS, "a site has its bits");
_Static_assert(SL_THREADS_MAX <= 1u << (32 - SL_SITE_BITS), "a thread has its bits");

struct sl_fd_directory sl_fd_directory;
_Atomic uint32_t sl_fd_tick = 1;

/* No chunk is at this index or above; grows only. Walks end here. */
static _Atomic unsigned chunks_end;

/* Several: threads that come to a new chunk at once each take one, and all but the first put it back.
 * Filled before a real call, taken after one. */
#define SL_SPARES 4
static _Atomic(struct sl_fd_slot *) spares[SL_SPARES];

static _Atomic uint64_t opened[SL_KIND_COUNT]; /* atomic: descriptions, not descriptors */
static _Atomic uint64_t adopted;
static _Atomic uint64_t dropped;

static uint64_t head_of(uint32_t generation, enum sl_kind kind, enum sl_fd_state state)
{
	return (uint64_t)generation << 32 | (uint64_t)kind << 8 | (uint64_t)state;
}

static uint64_t with_state(uint64_t head, enum sl_fd_state state)
{
	return (head & ~0xffULL) | (uint64_t)state;
}

/* The record has ended. That a late close() of the number is still to come is not over with it. */
static uint64_t freed(uint64_t head)
{
	return head_of(sl_fd_generation_of(head), SL_KIND_NONE, SL_FD_FREE) | (head & SL_MARK_LATE);
}

/* A word of a record: the value in the low bits, the generation above. */
static uint64_t tagged(uint32_t generation, unsigned bits, uint64_t value)
{
	return (uint64_t)generation << bits | (value & ((1ULL << bits) - 1));
}

static bool is_of(uint64_t word, unsigned bits, uint32_t generation)
{
	return word >> bits == tagged(generation, bits, 0) >> bits;
}

/* Write a word of a record, unless a later record of the same number has written there: generations
 * wrap, so the difference decides. Release: who reads the new word also sees that the head changed. */
static void put_word(_Atomic uint64_t *word, unsigned bits, uint32_t generation, uint64_t value)
{
	uint64_t fresh = tagged(generation, bits, value);
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
	do {
		if ((int64_t)(tagged(generation, bits, 0) - (old >> bits << bits)) <= 0)
			return;
	} while (!atomic_compare_exchange_weak_explicit(word, &old, fresh, memory_order_release,
	                                                memory_order_relaxed));
}

void sl_fdtable_prepare(void)
{
	for (unsigned i = 0; i < SL_SPARES; i++) {
		if (atomic_load_explicit(&spares[i], memory_order_relaxed))
			continue;
		struct sl_fd_slot *fresh = sl_sys_map(SL_CHUNK_BYTES);
		struct sl_fd_slot *none = NULL;
		if (fresh && !atomic_compare_exchange_strong(&spares[i], &none, fresh))
			sl_sys_unmap(fresh, SL_CHUNK_BYTES);
	}
}

static struct sl_fd_slot *spare_take(void)
{
	struct sl_fd_slot *spare = NULL;
	for (unsigned i = 0; i < SL_SPARES && !spare; i++)
		spare = atomic_exchange(&spares[i], NULL);
	return spare;
}

/* Where new ones have taken all places meanwhile it is lost: no system call may be made here. */
static void spare_put_back(struct sl_fd_slot *spare)
{
	for (unsigned i = 0; i < SL_SPARES; i++) {
		struct sl_fd_slot *none = NULL;
		if (atomic_compare_exchange_strong(&spares[i], &none, spare))
			return;
	}
}

/* Before the chunk is there: who sees its records sees this too. */
static void chunks_end_at_least(unsigned end)
{
	unsigned now = atomic_load(&chunks_end);
	while (now < end && !atomic_compare_exchange_weak(&chunks_end, &now, end))
		;
}

/* The slot of fd, made from a spare chunk if need be. NULL: no room. */
static struct sl_fd_slot *slot_for(int fd)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (slot || fd < 0 || (unsigned)fd / SL_FD_CHUNK_SLOTS >= SL_FD_CHUNKS)
		return slot;
	struct sl_fd_slot *spare = spare_take();
	uintptr_t none = 0, distance = (uintptr_t)spare - (uintptr_t)sl_fd_directory.nowhere;
	chunks_end_at_least((unsigned)fd / SL_FD_CHUNK_SLOTS + 1);
	if (spare &&
	    !atomic_compare_exchange_strong(
		    &sl_fd_directory.distances[(unsigned)fd / SL_FD_CHUNK_SLOTS], &none, distance))
		spare_put_back(spare); /* another thread was first */
	return sl_fdtable_slot(fd);
}

/* Take the slot for a new record: from any state, or only from free; `before` is its head until then. Returns the
 * new generation, 0: not taken. */
static uint32_t slot_claim(struct sl_fd_slot *slot, enum sl_kind kind, bool only_free,
                           uint64_t *before)
{
	uint64_t head = atomic_load(&slot->head);
	uint32_t generation;
	do {
		if (only_free && sl_fd_state_of(head) != SL_FD_FREE)
			return 0;
		generation = sl_fd_generation_of(head) + 1;
		if (generation == 0)
			generation = 1;
	} while (!atomic_compare_exchange_weak(&slot->head, &head,
	                                       head_of(generation, kind, SL_FD_OPENING) |
	                                               (head & SL_MARK_LATE)));
	*before = head;
	return generation;
}

/* False: the number was closed or recorded anew meanwhile. That is the truth then. */
static bool slot_fill(struct sl_fd_slot *slot, uint32_t generation, const struct sl_fd_opening *o,
                      uint32_t marks)
{
	put_word(&slot->flags, 32, generation, o->flags);
	put_word(&slot->origin, 32, generation, o->thread << SL_SITE_BITS | o->site);
	put_word(&slot->dest, 32, generation, o->dest);
	put_word(&slot->opened_at, SL_TIME_BITS, generation, o->opened_at_ms);
	atomic_store_explicit(&slot->last_io, 0, memory_order_relaxed);
	uint64_t head = atomic_load(&slot->head);
	do {
		if (sl_fd_generation_of(head) != generation ||
		    sl_fd_state_of(head) != SL_FD_OPENING)
			return false;
	} while (!atomic_compare_exchange_weak(&slot->head, &head,
	                                       with_state(head, SL_FD_OPEN) | marks));
	return true;
}

/* NULL: no room, counted. */
static struct sl_fd_slot *slot_or_drop(int fd)
{
	struct sl_fd_slot *slot = slot_for(fd);
	if (!slot && fd >= 0)
		atomic_fetch_add(&dropped, 1);
	return slot;
}

/* A record that the worker adopted a moment ago, between our hook's real call and now, was of this very socket. `before` is
 * the head that was claimed: what is not of its generation any more is not looked at. */
static void retract_adoption(const struct sl_fd_slot *slot, uint64_t before, uint64_t now_ms)
{
	uint32_t generation = sl_fd_generation_of(before);
	uint64_t flags = atomic_load(&slot->flags);
	uint64_t origin = atomic_load(&slot->origin);
	uint64_t opened_at = atomic_load(&slot->opened_at);
	if (sl_fd_state_of(before) != SL_FD_OPEN || !(flags & SL_FD_ADOPTED) ||
	    !is_of(flags, 32, generation) || !is_of(origin, 32, generation) ||
	    !is_of(opened_at, SL_TIME_BITS, generation))
		return;
	/* Either may be the later: the hook can be held up before it reads the clock or after. */
	uint64_t adopted_ms = opened_at & SL_TIME_MASK;
	if ((now_ms > adopted_ms ? now_ms - adopted_ms : adopted_ms - now_ms) >
	    SL_ADOPTION_DOUBT_MS)
		return;
	atomic_fetch_sub(&adopted, 1);
	atomic_fetch_sub(&opened[sl_fd_kind_of(before)], 1);
	if (sl_fd_kind_of(before) == SL_KIND_TCP)
		sl_site_uncount_opened((uint32_t)origin & SL_SITE_MASK);
}

bool sl_fdtable_open(int fd, const struct sl_fd_opening *opening)
{
	struct sl_fd_slot *slot = slot_or_drop(fd);
	uint64_t before;
	if (!slot)
		return false;
	uint32_t generation = slot_claim(slot, opening->kind, false, &before);
	retract_adoption(slot, before, opening->opened_at_ms);
	(void)slot_fill(slot, generation, opening, 0);
	atomic_fetch_add_explicit(&opened[opening->kind], 1, memory_order_relaxed);
	return true;
}

bool sl_fdtable_adopt(int fd, const struct sl_fd_opening *opening)
{
	struct sl_fd_slot *slot = slot_or_drop(fd);
	uint64_t before;
	uint32_t generation = slot ? slot_claim(slot, opening->kind, true, &before) : 0;
	if (!generation || !slot_fill(slot, generation, opening, 0))
		return false;
	atomic_fetch_add_explicit(&opened[opening->kind], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&adopted, 1, memory_order_relaxed);
	return true;
}

bool sl_fdtable_unadopt(int fd)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	if (sl_fd_state_of(head) != SL_FD_OPEN || !(atomic_load(&slot->flags) & SL_FD_ADOPTED))
		return false;
	if (!atomic_compare_exchange_strong(&slot->head, &head, freed(head)))
		return false;
	atomic_fetch_sub(&opened[sl_fd_kind_of(head)], 1);
	atomic_fetch_sub(&adopted, 1);
	return true;
}

bool sl_fdtable_dup(int from, int to)
{
	struct sl_fd_record record;
	if (!sl_fdtable_get(from, &record))
		return false;
	sl_fdtable_mark(from, record.generation, SL_FD_DUPED, 0);
	struct sl_fd_opening copy = {
		.kind = record.kind,
		.flags = record.flags | SL_FD_DUPED,
		.site = record.site,
		.dest = record.dest | record.eof_site << SL_PEER_BITS, /* the word as it is */
		.thread = record.thread,
		.opened_at_ms = record.opened_at_ms,
	};
	struct sl_fd_slot *slot = slot_or_drop(to);
	uint64_t before;
	if (!slot)
		return false;
	uint32_t generation = slot_claim(slot, copy.kind, false, &before);
	retract_adoption(slot, before, sl_clock_ms());
	/* What was done to the one was done to the other: they are the same socket. */
	(void)slot_fill(slot, generation, &copy,
	                record.marks & ~(uint32_t)(SL_MARK_HELD | SL_MARK_LATE | SL_MARK_BUSY));
	sl_fdname_copy(from, record.generation, to, generation);
	return true;
}

struct sl_fd_forgotten sl_fdtable_forget(int fd)
{
	struct sl_fd_forgotten forgotten = {.fd = -1};
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (!slot)
		return forgotten;
	bool is_patient = true;
	uint64_t head = atomic_load(&slot->head);
	do {
		/* Looked at in each round: the worker may have come first. */
		while ((head & SL_MARK_HELD) && is_patient) {
			is_patient = sl_fdtable_await_release(slot);
			head = atomic_load(&slot->head);
		}
		/* One that is being written too: whatever is at the number is about to be closed. */
		if (sl_fd_state_of(head) != SL_FD_OPEN && sl_fd_state_of(head) != SL_FD_OPENING)
			return forgotten;
		forgotten.head = with_state(head, SL_FD_CLOSING) & ~(uint64_t)SL_MARK_HELD;
	} while (!atomic_compare_exchange_weak(&slot->head, &head, forgotten.head));
	forgotten.fd = fd;
	return forgotten;
}

/* From closing to `state`, unless the number has been recorded anew. */
static void forgotten_becomes(const struct sl_fd_forgotten *forgotten, enum sl_fd_state state)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(forgotten->fd);
	if (!slot)
		return;
	uint64_t head = atomic_load(&slot->head);
	do {
		if (sl_fd_state_of(head) != SL_FD_CLOSING ||
		    sl_fd_generation_of(head) != sl_fd_generation_of(forgotten->head))
			return;
	} while (!atomic_compare_exchange_weak(
		&slot->head, &head, state == SL_FD_FREE ? freed(head) : with_state(head, state)));
}

void sl_fdtable_commit(const struct sl_fd_forgotten *forgotten)
{
	if (forgotten->fd >= 0)
		forgotten_becomes(forgotten, SL_FD_FREE);
}

void sl_fdtable_put_back(const struct sl_fd_forgotten *forgotten)
{
	if (forgotten->fd >= 0)
		forgotten_becomes(forgotten, SL_FD_OPEN);
}

void sl_fdtable_give_up(const struct sl_fd_forgotten *opening)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(opening->fd);
	uint64_t head = opening->head;
	if (slot && sl_fd_state_of(head) == SL_FD_OPENING)
		(void)atomic_compare_exchange_strong(&slot->head, &head, freed(head));
}

/* Calls `act` for each slot of first..last that exists. */
static void for_each_slot(unsigned first, unsigned last, void (*act)(int fd, bool flag), bool flag)
{
	for (unsigned chunk = first / SL_FD_CHUNK_SLOTS; chunk < SL_FD_CHUNKS; chunk++) {
		unsigned base = chunk * SL_FD_CHUNK_SLOTS;
		if (base > last)
			return;
		if (!sl_fdtable_chunk(chunk))
			continue;
		for (unsigned i = 0; i < SL_FD_CHUNK_SLOTS; i++)
			if (base + i >= first && base + i <= last)
				act((int)(base + i), flag);
	}
}

static void forget_one(int fd, bool unused)
{
	(void)unused;
	(void)sl_fdtable_forget(fd);
}

static void settle_one(int fd, bool is_closed)
{
	uint64_t head = atomic_load(&sl_fdtable_slot(fd)->head);
	struct sl_fd_forgotten forgotten = {fd, head};
	if (sl_fd_state_of(head) == SL_FD_CLOSING)
		forgotten_becomes(&forgotten, is_closed ? SL_FD_FREE : SL_FD_OPEN);
}

void sl_fdtable_forget_range(unsigned first, unsigned last)
{
	for_each_slot(first, last, forget_one, false);
}

void sl_fdtable_settle_range(unsigned first, unsigned last, bool is_closed)
{
	for_each_slot(first, last, settle_one, is_closed);
}

void sl_fdtable_drop(int fd, uint32_t generation)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	if (sl_fd_state_of(head) == SL_FD_OPEN && sl_fd_generation_of(head) == generation)
		atomic_compare_exchange_strong(&slot->head, &head, freed(head));
}

void sl_fdtable_mark(int fd, uint32_t generation, uint32_t set, uint32_t clear)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (!slot)
		return;
	uint64_t flags = atomic_load(&slot->flags);
	uint64_t wanted;
	do {
		wanted = (flags & ~(uint64_t)clear) | set;
		if (sl_fd_generation_of(flags) != generation || wanted == flags)
			return;
	} while (!atomic_compare_exchange_weak(&slot->flags, &flags, wanted));
}

bool sl_fdtable_mark_now(int fd, uint32_t set, uint32_t clear)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	if (sl_fd_state_of(head) != SL_FD_OPEN)
		return false;
	sl_fdtable_mark(fd, sl_fd_generation_of(head), set, clear);
	return true;
}

void sl_fdtable_set_dest(int fd, uint32_t peer)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	uint32_t generation = sl_fd_generation_of(head);
	if (sl_fd_state_of(head) != SL_FD_OPEN)
		return;
	uint64_t old = atomic_load(&slot->dest);
	if (is_of(old, 32, generation))
		atomic_compare_exchange_strong(&slot->dest, &old, tagged(generation, 32, peer));
}

void sl_fdtable_set_eof_site(int fd, uint32_t generation, uint32_t site)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t old = slot ? atomic_load(&slot->dest) : 0;
	uint64_t low = (old & SL_PEER_MASK) | (uint64_t)site << SL_PEER_BITS;
	if (slot && is_of(old, 32, generation))
		atomic_compare_exchange_strong(&slot->dest, &old, tagged(generation, 32, low));
}

void sl_fdtable_identify(int fd, uint32_t generation, uint64_t cookie, uint32_t peer)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (!slot)
		return;
	/* Release, both: who reads either also sees the head as the worker saw it. */
	atomic_store_explicit(&slot->cookie, cookie, memory_order_release);
	atomic_store_explicit(&slot->peer_tag, tagged(generation, 32, peer), memory_order_release);
}

/* False: somebody ended or replaced the record while it was copied. */
static bool slot_copy(const struct sl_fd_slot *slot, uint64_t head, struct sl_fd_record *r)
{
	uint32_t generation = sl_fd_generation_of(head);
	/* Acquire, so that the head's second load comes last. */
	uint64_t flags = atomic_load_explicit(&slot->flags, memory_order_acquire);
	uint64_t origin = atomic_load_explicit(&slot->origin, memory_order_acquire);
	uint64_t dest = atomic_load_explicit(&slot->dest, memory_order_acquire);
	uint64_t opened_at = atomic_load_explicit(&slot->opened_at, memory_order_acquire);
	uint64_t tag = atomic_load_explicit(&slot->peer_tag, memory_order_acquire);
	uint64_t cookie = atomic_load_explicit(&slot->cookie, memory_order_acquire);
	bool is_identified = is_of(tag, 32, generation);
	r->generation = generation;
	r->kind = sl_fd_kind_of(head);
	r->marks = sl_fd_marks_of(head);
	r->flags = (uint32_t)flags;
	r->site = (uint32_t)origin & SL_SITE_MASK;
	r->thread = (uint32_t)origin >> SL_SITE_BITS;
	r->dest = (uint32_t)dest & SL_PEER_MASK;
	r->eof_site = (uint32_t)dest >> SL_PEER_BITS;
	r->opened_at_ms = opened_at & SL_TIME_MASK;
	r->peer = is_identified ? (uint32_t)tag : 0;
	r->cookie = is_identified ? cookie : 0;
	r->last_io = atomic_load_explicit(&slot->last_io, memory_order_acquire);
	return is_of(flags, 32, generation) && is_of(origin, 32, generation) &&
	       is_of(dest, 32, generation) && is_of(opened_at, SL_TIME_BITS, generation) &&
	       atomic_load(&slot->head) == head;
}

static bool slot_read(const struct sl_fd_slot *slot, int fd, struct sl_fd_record *r)
{
	/* Each failure means that the number was opened anew meanwhile: a walk must not miss it. */
	for (unsigned tries = 0; tries < SL_READ_TRIES; tries++) {
		uint64_t head = atomic_load(&slot->head);
		if (sl_fd_state_of(head) != SL_FD_OPEN)
			return false;
		r->fd = fd;
		if (slot_copy(slot, head, r))
			return true;
	}
	return false;
}

bool sl_fdtable_get(int fd, struct sl_fd_record *record)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	return slot && slot_read(slot, fd, record);
}

bool sl_fdtable_get_closed(int fd, uint64_t head, struct sl_fd_record *record)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	record->fd = fd;
	return slot && slot_copy(slot, head, record) && atomic_load(&slot->head) == head;
}

/* Where flags are asked for, what has none of them is passed by unread. */
static bool next_with(int fd, uint32_t flags, struct sl_fd_record *record)
{
	unsigned at = (unsigned)fd, end = atomic_load(&chunks_end);
	for (unsigned chunk = at / SL_FD_CHUNK_SLOTS; chunk < end; chunk++) {
		const struct sl_fd_slot *slots = sl_fdtable_chunk(chunk);
		unsigned first = chunk == at / SL_FD_CHUNK_SLOTS ? at % SL_FD_CHUNK_SLOTS : 0;
		for (unsigned i = first; slots && i < SL_FD_CHUNK_SLOTS; i++) {
			if (flags && !((uint32_t)atomic_load(&slots[i].flags) & flags))
				continue;
			if (slot_read(&slots[i], (int)(chunk * SL_FD_CHUNK_SLOTS + i), record))
				return true;
		}
	}
	return false;
}

bool sl_fdtable_next(int fd, struct sl_fd_record *record)
{
	return next_with(fd, 0, record);
}

bool sl_fdtable_next_with(int fd, uint32_t flags, struct sl_fd_record *record)
{
	return next_with(fd, flags, record);
}

uint64_t sl_fdtable_opened(enum sl_kind kind)
{
	return atomic_load(&opened[kind]);
}

uint64_t sl_fdtable_adopted(void)
{
	return atomic_load(&adopted);
}

uint64_t sl_fdtable_dropped(void)
{
	return atomic_load(&dropped);
}

bool sl_fdtable_is_used(void)
{
	for (int kind = 0; kind < SL_KIND_COUNT; kind++)
		if (atomic_load_explicit(&opened[kind], memory_order_relaxed))
			return true;
	return false;
}
