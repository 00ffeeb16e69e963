#include "ledger/fdnames.h"

#include <stdatomic.h>
#include <string.h>

#include "ledger/fdtable.h"
#include "ledger/intern.h"
#include "ledger/sites.h"

#include "base/poison.h"

struct fd_name {
	struct sl_interned head;
	const char *text;
	size_t n;
};

struct name_key {
	const char *text;
	size_t n;
};

static bool name_equal(const struct sl_interned *item, const void *key)
{
	const struct fd_name *name = (const struct fd_name *)item;
	const struct name_key *k = key;
	return name->n == k->n && memcmp(name->text, k->text, k->n) == 0;
}

static struct sl_interned *name_make(struct sl_arena *arena, const void *key)
{
	const struct name_key *k = key;
	struct fd_name *name = sl_arena_alloc(arena, sizeof(*name));
	if (!name)
		return NULL;
	name->text = sl_arena_text(arena, k->text, k->n);
	name->n = k->n;
	return name->text ? &name->head : NULL;
}

SL_INTERN(names, SL_FDNAMES_MAX, &sl_ledger_arena, name_equal, name_make);

/* By number: generation << 32 | name id; 0: none. */
static _Atomic(_Atomic uint64_t *) chunks[SL_FD_CHUNKS];

/* NULL: no name was given near it. */
static _Atomic uint64_t *word_of(int fd)
{
	unsigned chunk = (unsigned)fd / SL_FD_CHUNK_SLOTS;
	_Atomic uint64_t *words = chunk < SL_FD_CHUNKS ? atomic_load(&chunks[chunk]) : NULL;
	return words ? &words[(unsigned)fd % SL_FD_CHUNK_SLOTS] : NULL;
}

/* ... or no memory. */
static _Atomic uint64_t *word_made(int fd)
{
	unsigned chunk = (unsigned)fd / SL_FD_CHUNK_SLOTS;
	_Atomic uint64_t *none = NULL;
	if (chunk >= SL_FD_CHUNKS || atomic_load(&chunks[chunk]))
		return word_of(fd);
	_Atomic uint64_t *made =
		sl_arena_alloc(&sl_ledger_arena, SL_FD_CHUNK_SLOTS * sizeof(*made));
	/* Of two threads one wins; the other's memory is lost. */
	if (made)
		(void)atomic_compare_exchange_strong(&chunks[chunk], &none, made);
	return word_of(fd);
}

/* Not over the name of a later record of that number: who was overtaken comes too late. */
static void put(_Atomic uint64_t *word, uint32_t generation, uint32_t id)
{
	uint64_t now = atomic_load(word);
	do {
		if (now != 0 && (int32_t)((uint32_t)(now >> 32) - generation) > 0)
			return;
	} while (!atomic_compare_exchange_weak(word, &now, (uint64_t)generation << 32 | id));
}

static uint32_t intern(const char *text, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3ULL;
	struct name_key key = {text, n};
	const struct sl_interned *item = sl_intern(&names, hash, &key);
	return item ? item->id : 0;
}

bool sl_fdname_set(int fd, const char *name, size_t n)
{
	struct sl_fd_record record;
	if (!sl_fdtable_get(fd, &record))
		return false;
	_Atomic uint64_t *word = n > 0 ? word_made(fd) : word_of(fd);
	uint32_t id = n > 0 ? intern(name, n < SL_FDNAME_BYTES ? n : SL_FDNAME_BYTES) : 0;
	if (n > 0 && (!word || id == 0))
		return false;
	if (word)
		put(word, record.generation, id);
	return true;
}

const char *sl_fdname_get(int fd, uint32_t generation)
{
	const _Atomic uint64_t *word = word_of(fd);
	uint64_t now = word ? atomic_load(word) : 0;
	const struct sl_interned *item =
		now >> 32 == generation ? sl_intern_get(&names, (uint32_t)now) : NULL;
	return item ? ((const struct fd_name *)item)->text : NULL;
}

void sl_fdname_copy(int from, uint32_t from_generation, int to, uint32_t to_generation)
{
	const _Atomic uint64_t *word = word_of(from);
	uint64_t now = word ? atomic_load(word) : 0;
	_Atomic uint64_t *copy = word_of(to);
	if (copy && now >> 32 == from_generation && (uint32_t)now != 0)
		put(copy, to_generation, (uint32_t)now);
}
