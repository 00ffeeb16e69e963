/* intern.h - a lock-free table that only grows: each distinct key once, found by its hash.
 *
 * Any thread may add to it, from hooks and signal handlers; nothing is ever moved or removed, so an item found
 * stays valid and constant. The index is an open-addressed array of ids, twice as long as there can be items,
 * so a probe always ends. Two threads that add the same key at once both make an item; one wins, the other's
 * is an orphan: it keeps its id, but no look-up finds it and no walk shows it, at no time.
 *
 * Layer: ledger. Locks: none. Fork: the child keeps all. errno: untouched.
 * Async-signal-safe: everything here (memory comes from an arena, perhaps by mmap: before the real call).
 */
#ifndef SL_LEDGER_INTERN_H
#define SL_LEDGER_INTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* The head of every item; the owner's struct begins with one. */
struct sl_interned {
	uint64_t hash;
	uint32_t id;            /* 1..capacity; constant */
	_Atomic bool is_listed; /* false for a moment, and for ever in an orphan */
};

/* Is this item the one that `key` names? */
typedef bool sl_intern_equal_fn(const struct sl_interned *item, const void *key);
/* A new item for `key`, from `arena`, its head still empty. NULL: no memory. */
typedef struct sl_interned *sl_intern_make_fn(struct sl_arena *arena, const void *key);

struct sl_intern {
	uint32_t capacity;        /* constant */
	uint32_t index_mask;      /* constant: length of the index, a power of two, minus 1 */
	_Atomic uint32_t count;   /* ids given; may run past capacity */
	_Atomic uint64_t dropped; /* keys that found no room */
	_Atomic(struct sl_interned *) *items; /* by id; items[0] unused */
	_Atomic uint32_t *index;              /* ids; 0: empty */
	struct sl_arena *arena;
	sl_intern_equal_fn *equal;
	sl_intern_make_fn *make;
};

/* Defines a static table `name` for `cap` items, cap a power of two. */
#define SL_INTERN(name, cap, arena_, equal_, make_)                   \
	static _Atomic(struct sl_interned *) name##_items[(cap) + 1]; \
	static _Atomic uint32_t name##_index[2 * (cap)];              \
	static struct sl_intern name = {.capacity = (cap),            \
	                                .index_mask = 2 * (cap)-1,    \
	                                .items = name##_items,        \
	                                .index = name##_index,        \
	                                .arena = (arena_),            \
	                                .equal = (equal_),            \
	                                .make = (make_)}

/* The item of this key, made if need be. NULL: the table is full, or memory is out: counted. */
struct sl_interned *sl_intern(struct sl_intern *table, uint64_t hash, const void *key);

/* The item with this id, or NULL: not there, not yet there, or an orphan. */
struct sl_interned *sl_intern_get(const struct sl_intern *table, uint32_t id);

/* Ids run from 1 to this, orphans included. */
uint32_t sl_intern_last(const struct sl_intern *table);

#endif
