#include "ledger/threads.h"

#include <string.h>

#include "ledger/intern.h"
#include "ledger/sites.h"

#include "base/poison.h"

struct thread_name {
	struct sl_interned head;
	char *text;
	size_t n;
};

struct name_key {
	const char *text;
	size_t n;
};

static bool name_equal(const struct sl_interned *item, const void *key)
{
	const struct thread_name *name = (const struct thread_name *)item;
	const struct name_key *k = key;
	return name->n == k->n && memcmp(name->text, k->text, k->n) == 0;
}

static struct sl_interned *name_make(struct sl_arena *arena, const void *key)
{
	const struct name_key *k = key;
	struct thread_name *name = sl_arena_alloc(arena, sizeof(*name));
	if (!name)
		return NULL;
	name->text = sl_arena_text(arena, k->text, k->n);
	name->n = k->n;
	return name->text ? &name->head : NULL;
}

SL_INTERN(names, SL_THREADS_MAX, &sl_ledger_arena, name_equal, name_make);

uint32_t sl_thread_intern(const char *text, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3ULL;
	struct name_key key = {text, n};
	const struct sl_interned *item = sl_intern(&names, hash, &key);
	return item && item->id < SL_THREADS_MAX ? item->id : 0;
}

const char *sl_thread_name(uint32_t id)
{
	const struct sl_interned *item = sl_intern_get(&names, id);
	return item ? ((const struct thread_name *)item)->text : NULL;
}
