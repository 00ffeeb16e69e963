#include "ledger/sites.h"

#include <stdatomic.h>
#include <string.h>

#include "base/hash.h"

#include "base/poison.h"

#define SL_LEDGER_LIMIT_BYTES (64u << 20)

struct sl_arena sl_ledger_arena = SL_ARENA(256u << 10, SL_LEDGER_LIMIT_BYTES);

static struct sl_site overflow; /* id 0: lives outside the table */

static uint32_t words_of(const struct sl_stack *stack)
{
	return stack->frame_count * sl_stack_words_per_frame(stack->kind);
}

static bool site_equal(const struct sl_interned *item, const void *key)
{
	const struct sl_site *site = (const struct sl_site *)item;
	const struct sl_stack *stack = key;
	return site->kind == stack->kind && site->frame_count == stack->frame_count &&
	       memcmp(site->words, stack->words, words_of(stack) * sizeof(uint64_t)) == 0;
}

static struct sl_interned *site_make(struct sl_arena *arena, const void *key)
{
	const struct sl_stack *stack = key;
	size_t words_bytes = words_of(stack) * sizeof(uint64_t);
	struct sl_site *site = sl_arena_alloc(arena, sizeof(*site) + words_bytes);
	if (!site)
		return NULL;
	site->kind = stack->kind;
	site->frame_count = stack->frame_count;
	site->is_cut = stack->is_cut;
	memcpy(site->words, stack->words, words_bytes);
	return &site->head;
}

SL_INTERN(sites, SL_SITES_MAX, &sl_ledger_arena, site_equal, site_make);

void sl_sites_start(void)
{
	/* Kind none with one word each: equal to nothing that is ever captured. */
	for (uint64_t id = SL_SITE_ADOPTED; id <= SL_SITE_NO_STACK; id++) {
		struct sl_stack none = {SL_STACK_NONE, 1, false, &id};
		(void)sl_intern(&sites, id, &none);
	}
}

uint32_t sl_site_intern(const struct sl_stack *stack, bool *is_unnamed)
{
	uint64_t hash = sl_hash_words(stack->words, words_of(stack)) ^ (uint64_t)stack->kind;
	const struct sl_interned *item = sl_intern(&sites, hash, stack);
	*is_unnamed = item && !atomic_load(&((const struct sl_site *)item)->named);
	return item ? item->id : SL_SITE_OVERFLOW;
}

struct sl_site *sl_site_get(uint32_t id)
{
	if (id == SL_SITE_OVERFLOW)
		return &overflow;
	return (struct sl_site *)sl_intern_get(&sites, id);
}

void sl_site_count_opened(uint32_t id, uint32_t thread)
{
	struct sl_site *site = sl_site_get(id);
	if (!site)
		return;
	atomic_fetch_add_explicit(&site->opened, 1, memory_order_relaxed);
	uint64_t bit = 1ULL << (thread % 64);
	_Atomic uint64_t *word = &site->threads[thread / 64];
	if (!(atomic_load_explicit(word, memory_order_relaxed) & bit))
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
}

void sl_site_uncount_opened(uint32_t id)
{
	struct sl_site *site = sl_site_get(id);
	if (site)
		atomic_fetch_sub_explicit(&site->opened, 1, memory_order_relaxed);
}

void sl_site_count_closed_late(uint32_t id)
{
	struct sl_site *site = sl_site_get(id);
	if (site)
		atomic_fetch_add_explicit(&site->closed_late, 1, memory_order_relaxed);
}

bool sl_site_knows_thread(uint32_t id, uint32_t thread)
{
	const struct sl_site *site = sl_site_get(id);
	return site && atomic_load_explicit(&site->threads[thread / 64], memory_order_relaxed) >>
	                               (thread % 64) &
	                       1;
}

uint32_t sl_site_last(void)
{
	return sl_intern_last(&sites);
}

uint64_t sl_sites_dropped(void)
{
	return atomic_load(&sites.dropped);
}
