#include "ledger/intern.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/poison.h"

static struct sl_interned *item_at(const struct sl_intern *table, uint32_t id)
{
	return atomic_load_explicit(&table->items[id], memory_order_acquire);
}

static struct sl_interned *item_new(struct sl_intern *table, uint64_t hash, const void *key)
{
	if (atomic_load_explicit(&table->count, memory_order_relaxed) >= table->capacity)
		return NULL;
	struct sl_interned *item = table->make(table->arena, key);
	if (!item)
		return NULL;
	uint32_t id = atomic_fetch_add(&table->count, 1) + 1;
	if (id > table->capacity)
		return NULL;
	item->hash = hash;
	item->id = id;
	atomic_store_explicit(&table->items[id], item, memory_order_release);
	return item;
}

/* Found in the index, by whoever comes first: what sl_intern() returned, sl_intern_get() finds. */
static struct sl_interned *listed(struct sl_interned *item)
{
	if (!atomic_load_explicit(&item->is_listed, memory_order_relaxed))
		atomic_store_explicit(&item->is_listed, true, memory_order_relaxed);
	return item;
}

struct sl_interned *sl_intern(struct sl_intern *table, uint64_t hash, const void *key)
{
	struct sl_interned *mine = NULL;
	for (uint32_t probe = (uint32_t)hash;; probe++) {
		_Atomic uint32_t *slot = &table->index[probe & table->index_mask];
		uint32_t id = atomic_load_explicit(slot, memory_order_acquire);
		if (id == 0) {
			if (!mine)
				mine = item_new(table, hash, key);
			if (!mine) {
				atomic_fetch_add(&table->dropped, 1);
				return NULL;
			}
			if (atomic_compare_exchange_strong(slot, &id, mine->id))
				return listed(mine);
		}
		struct sl_interned *item = item_at(table, id);
		if (item->hash == hash && table->equal(item, key))
			return listed(item);
	}
}

struct sl_interned *sl_intern_get(const struct sl_intern *table, uint32_t id)
{
	if (id == 0 || id > table->capacity)
		return NULL;
	struct sl_interned *item = item_at(table, id);
	return item && atomic_load_explicit(&item->is_listed, memory_order_relaxed) ? item : NULL;
}

uint32_t sl_intern_last(const struct sl_intern *table)
{
	uint32_t count = atomic_load(&table->count);
	return count < table->capacity ? count : table->capacity;
}
