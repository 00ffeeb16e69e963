#include "ledger/openings.h"

#include <stdatomic.h>

#include "base/guard.h"
#include "base/hash.h"

#include "base/poison.h"

/* A word: turn << 48 | owner << 28 | kind << 24 | listener. 0: the place is free; the kind is never 0. */
#define SL_LISTENER_BITS 24
#define SL_NO_LISTENER ((1u << SL_LISTENER_BITS) - 1) /* no fd of a record is this high */
#define SL_KIND_SHIFT SL_LISTENER_BITS
#define SL_OWNER_SHIFT 28
#define SL_OWNER_MASK 0xfffffu
#define SL_TURN_SHIFT 48

_Static_assert(SL_KIND_COUNT <= 16, "a kind has its bits");

struct place {
	_Atomic uint64_t word;
	_Atomic uintptr_t frame; /* of the call that is under way; 0: it begins or ends */
	_Atomic uint32_t turns;  /* two calls at one place differ */
} __attribute__((aligned(64)));

static struct place places[SL_OPENINGS_MAX];

/* Left behind by a call that never came back: a thread's own, of a frame that is not above this one. */
static bool is_left_behind(struct place *place, uint64_t word, uint64_t owner, uintptr_t here)
{
	uintptr_t frame = atomic_load_explicit(&place->frame, memory_order_relaxed);
	return (word >> SL_OWNER_SHIFT & SL_OWNER_MASK) == owner && frame != 0 && frame <= here;
}

struct sl_openings_call sl_openings_begin(enum sl_kind kind, int listener)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	/* The address of anything thread-local tells threads apart. */
	uint64_t thread = (uintptr_t)&sl_guard_holder;
	uint64_t hash = sl_hash_words(&thread, 1), owner = hash & SL_OWNER_MASK;
	uint32_t from = (unsigned)listener < SL_NO_LISTENER ? (uint32_t)listener : SL_NO_LISTENER;
	for (unsigned i = 0; i < SL_OPENINGS_MAX; i++) {
		unsigned at = (unsigned)((hash >> 32) + i) % SL_OPENINGS_MAX;
		struct place *place = &places[at];
		uint64_t word = atomic_load_explicit(&place->word, memory_order_relaxed);
		if (word && !is_left_behind(place, word, owner, here))
			continue;
		/* Two that come here at once may have the same turn: one of them finds the place taken. */
		uint32_t turn = atomic_load_explicit(&place->turns, memory_order_relaxed) + 1;
		uint64_t fresh = (uint64_t)turn << SL_TURN_SHIFT | owner << SL_OWNER_SHIFT |
		                 (uint64_t)kind << SL_KIND_SHIFT | from;
		if (!atomic_compare_exchange_strong(&place->word, &word, fresh))
			continue;
		atomic_store_explicit(&place->turns, turn, memory_order_relaxed);
		atomic_store_explicit(&place->frame, here, memory_order_relaxed);
		return (struct sl_openings_call){at, fresh};
	}
	return (struct sl_openings_call){0, 0};
}

void sl_openings_end(const struct sl_openings_call *call)
{
	if (!call->word)
		return;
	struct place *place = &places[call->place];
	uint64_t word = call->word;
	atomic_store_explicit(&place->frame, 0, memory_order_relaxed);
	/* Release: who sees that it is back sees its record. It fails in a child that was forked meanwhile. */
	(void)atomic_compare_exchange_strong(&place->word, &word, 0);
}

void sl_openings_look(struct sl_openings *seen)
{
	for (unsigned i = 0; i < SL_OPENINGS_MAX; i++)
		seen->words[i] = atomic_load(&places[i].word);
}

bool sl_openings_next(const struct sl_openings *seen, unsigned *at,
                      struct sl_opening_under_way *opening)
{
	while (*at < SL_OPENINGS_MAX) {
		unsigned i = (*at)++;
		uint64_t word = seen->words[i];
		if (!word || atomic_load(&places[i].word) != word)
			continue;
		uint32_t listener = (uint32_t)word & SL_NO_LISTENER;
		opening->kind = (enum sl_kind)(word >> SL_KIND_SHIFT & 0xf);
		opening->listener = listener == SL_NO_LISTENER ? -1 : (int)listener;
		return true;
	}
	return false;
}

void sl_openings_forked(void)
{
	for (unsigned i = 0; i < SL_OPENINGS_MAX; i++)
		atomic_store_explicit(&places[i].word, 0, memory_order_relaxed);
}
