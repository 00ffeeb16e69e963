#include "ledger/fdtable.h"

#include <stddef.h>

#include "base/sys.h"

#include "base/poison.h"

#define SL_CHUNK_BYTES (SL_FD_CHUNK_SLOTS * sizeof(struct sl_fd_slot))

_Atomic(struct sl_fd_slot *) sl_fd_chunks[SL_FD_CHUNKS];
_Atomic uint32_t sl_fd_tick = 1;

static _Atomic(struct sl_fd_slot *) spare_chunk; /* atomic: filled before a real call, taken after one */
static _Atomic uint64_t opened[SL_KIND_COUNT];   /* atomic: descriptions, not descriptors */
static _Atomic uint64_t adopted;
static _Atomic uint64_t dropped;

static uint64_t head_of(uint32_t generation, enum sl_kind kind, enum sl_fd_state state)
{
	return (uint64_t)generation << 32 | (uint64_t)kind << 8 | (uint64_t)state;
}

static uint64_t tagged(uint32_t generation, uint32_t value)
{
	return (uint64_t)generation << 32 | value;
}

void sl_fdtable_prepare(void)
{
	if (atomic_load_explicit(&spare_chunk, memory_order_relaxed))
		return;
	struct sl_fd_slot *fresh = sl_sys_map(SL_CHUNK_BYTES);
	struct sl_fd_slot *none = NULL;
	if (fresh && !atomic_compare_exchange_strong(&spare_chunk, &none, fresh))
		sl_sys_unmap(fresh, SL_CHUNK_BYTES);
}

/* The slot of fd, made from the spare chunk if need be. NULL: no room. */
static struct sl_fd_slot *slot_for(int fd)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (slot || fd < 0 || (unsigned)fd / SL_FD_CHUNK_SLOTS >= SL_FD_CHUNKS)
		return slot;
	struct sl_fd_slot *spare = atomic_exchange(&spare_chunk, NULL);
	if (!spare)
		return NULL;
	struct sl_fd_slot *none = NULL;
	if (!atomic_compare_exchange_strong(&sl_fd_chunks[(unsigned)fd / SL_FD_CHUNK_SLOTS], &none,
	                                    spare)) {
		/* Another thread was first. Keep the chunk, unless a new spare is there already: then it is
		 * lost, for no system call may be made here. */
		none = NULL;
		atomic_compare_exchange_strong(&spare_chunk, &none, spare);
	}
	return sl_fdtable_slot(fd);
}

/* Take the slot for a new record: from any state, or only from free. Returns the new generation, 0: not taken. */
static uint32_t slot_claim(struct sl_fd_slot *slot, enum sl_kind kind, bool only_free)
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
	                                       head_of(generation, kind, SL_FD_OPENING)));
	return generation;
}

static void slot_fill(struct sl_fd_slot *slot, uint32_t generation, const struct sl_fd_opening *o)
{
	/* Release, one by one: whoever reads a new value then also sees that the head has changed. */
	atomic_store_explicit(&slot->flags, tagged(generation, o->flags), memory_order_release);
	atomic_store_explicit(&slot->opened_at_ms, o->opened_at_ms, memory_order_release);
	atomic_store_explicit(&slot->site, o->site, memory_order_release);
	atomic_store_explicit(&slot->dest, 0, memory_order_release);
	atomic_store_explicit(&slot->thread, o->thread, memory_order_release);
	atomic_store_explicit(&slot->last_io, 0, memory_order_release);
	uint64_t head = head_of(generation, o->kind, SL_FD_OPENING);
	/* Fails where the number was given out once more meanwhile: that record is the true one. */
	atomic_compare_exchange_strong(&slot->head, &head, head_of(generation, o->kind, SL_FD_OPEN));
}

static bool open_in_slot(int fd, const struct sl_fd_opening *opening, bool only_free)
{
	struct sl_fd_slot *slot = slot_for(fd);
	if (!slot) {
		atomic_fetch_add(&dropped, 1);
		return false;
	}
	uint32_t generation = slot_claim(slot, opening->kind, only_free);
	if (!generation)
		return false;
	slot_fill(slot, generation, opening);
	return true;
}

bool sl_fdtable_open(int fd, const struct sl_fd_opening *opening)
{
	if (!open_in_slot(fd, opening, false))
		return false;
	atomic_fetch_add_explicit(&opened[opening->kind], 1, memory_order_relaxed);
	return true;
}

bool sl_fdtable_adopt(int fd, const struct sl_fd_opening *opening)
{
	if (!open_in_slot(fd, opening, true))
		return false;
	atomic_fetch_add_explicit(&opened[opening->kind], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&adopted, 1, memory_order_relaxed);
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
	    .thread = record.thread,
	    .opened_at_ms = record.opened_at_ms,
	};
	if (!open_in_slot(to, &copy, false))
		return false;
	struct sl_fd_slot *slot = sl_fdtable_slot(to);
	atomic_store_explicit(&slot->dest, record.dest, memory_order_relaxed);
	return true;
}

struct sl_fd_forgotten sl_fdtable_forget(int fd)
{
	struct sl_fd_forgotten forgotten = {.fd = -1};
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (!slot)
		return forgotten;
	uint64_t head = atomic_load(&slot->head);
	do {
		if (sl_fd_state_of(head) != SL_FD_OPEN)
			return forgotten;
		forgotten.head = head_of(sl_fd_generation_of(head), sl_fd_kind_of(head), SL_FD_CLOSING);
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
	uint64_t head = forgotten->head;
	atomic_compare_exchange_strong(
	    &slot->head, &head,
	    head_of(sl_fd_generation_of(head), sl_fd_kind_of(head), state));
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

/* Calls `act` for each slot of first..last that exists. */
static void for_each_slot(unsigned first, unsigned last, void (*act)(int fd, bool flag), bool flag)
{
	for (unsigned chunk = first / SL_FD_CHUNK_SLOTS; chunk < SL_FD_CHUNKS; chunk++) {
		unsigned base = chunk * SL_FD_CHUNK_SLOTS;
		if (base > last)
			return;
		if (!atomic_load(&sl_fd_chunks[chunk]))
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
		atomic_compare_exchange_strong(&slot->head, &head,
		                               head_of(generation, SL_KIND_NONE, SL_FD_FREE));
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
	if (slot)
		atomic_store_explicit(&slot->dest, peer, memory_order_relaxed);
}

void sl_fdtable_identify(int fd, uint32_t generation, uint64_t cookie, uint32_t peer)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (!slot)
		return;
	atomic_store_explicit(&slot->cookie, cookie, memory_order_relaxed);
	atomic_store_explicit(&slot->peer_tag, tagged(generation, peer), memory_order_release);
}

static bool slot_read(const struct sl_fd_slot *slot, int fd, struct sl_fd_record *r)
{
	uint64_t head = atomic_load(&slot->head);
	if (sl_fd_state_of(head) != SL_FD_OPEN)
		return false;
	r->fd = fd;
	r->generation = sl_fd_generation_of(head);
	r->kind = sl_fd_kind_of(head);
	r->flags = (uint32_t)atomic_load_explicit(&slot->flags, memory_order_acquire);
	r->site = atomic_load_explicit(&slot->site, memory_order_acquire);
	r->dest = atomic_load_explicit(&slot->dest, memory_order_acquire);
	r->thread = atomic_load_explicit(&slot->thread, memory_order_acquire);
	r->last_io = atomic_load_explicit(&slot->last_io, memory_order_acquire);
	r->opened_at_ms = atomic_load_explicit(&slot->opened_at_ms, memory_order_acquire);
	uint64_t tag = atomic_load_explicit(&slot->peer_tag, memory_order_acquire);
	bool is_identified = sl_fd_generation_of(tag) == r->generation;
	r->peer = is_identified ? (uint32_t)tag : 0;
	r->cookie = is_identified ? atomic_load_explicit(&slot->cookie, memory_order_acquire) : 0;
	/* The copy counts only if nobody ended or replaced the record while it was made. The loads above are acquire,
	 * so this one comes last. */
	return atomic_load(&slot->head) == head;
}

bool sl_fdtable_get(int fd, struct sl_fd_record *record)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	return slot && slot_read(slot, fd, record);
}

bool sl_fdtable_next(int fd, struct sl_fd_record *record)
{
	unsigned at = (unsigned)fd;
	for (unsigned chunk = at / SL_FD_CHUNK_SLOTS; chunk < SL_FD_CHUNKS; chunk++) {
		const struct sl_fd_slot *slots = atomic_load(&sl_fd_chunks[chunk]);
		unsigned first = chunk == at / SL_FD_CHUNK_SLOTS ? at % SL_FD_CHUNK_SLOTS : 0;
		for (unsigned i = first; slots && i < SL_FD_CHUNK_SLOTS; i++)
			if (slot_read(&slots[i], (int)(chunk * SL_FD_CHUNK_SLOTS + i), record))
				return true;
	}
	return false;
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
