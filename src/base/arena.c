#include "base/arena.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/sys.h"

#include "base/poison.h"

struct sl_arena_chunk {
	struct sl_arena_chunk *older;
	size_t bytes; /* of the whole mapping */
	_Atomic size_t used;
};

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static struct sl_arena_chunk *chunk_new(struct sl_arena *arena, size_t room)
{
	size_t bytes = round_up(room + sizeof(struct sl_arena_chunk), 4096);
	if (bytes < arena->chunk_bytes)
		bytes = arena->chunk_bytes;
	size_t taken = atomic_fetch_add(&arena->taken_bytes, bytes) + bytes;
	struct sl_arena_chunk *chunk = NULL;
	if (arena->limit_bytes == 0 || taken <= arena->limit_bytes)
		chunk = sl_sys_map(bytes);
	if (!chunk) {
		arena->taken_bytes -= bytes;
		return NULL;
	}
	chunk->bytes = bytes;
	chunk->used = round_up(sizeof(*chunk), 16);
	return chunk;
}

static void *chunk_take(struct sl_arena_chunk *chunk, size_t n)
{
	size_t at = chunk->used;
	do {
		if (n > chunk->bytes - at)
			return NULL;
	} while (!atomic_compare_exchange_weak(&chunk->used, &at, at + n));
	return (char *)chunk + at;
}

void *sl_arena_alloc(struct sl_arena *arena, size_t n)
{
	n = round_up(n, 8);
	for (;;) {
		struct sl_arena_chunk *newest = arena->newest;
		void *piece = newest ? chunk_take(newest, n) : NULL;
		if (piece)
			return piece;
		struct sl_arena_chunk *chunk = chunk_new(arena, n);
		if (!chunk)
			return NULL;
		chunk->older = newest;
		if (!atomic_compare_exchange_strong(&arena->newest, &newest, chunk)) {
			/* Another thread was first: use its chunk. */
			arena->taken_bytes -= chunk->bytes;
			sl_sys_unmap(chunk, chunk->bytes);
		}
	}
}

char *sl_arena_text(struct sl_arena *arena, const char *text, size_t n)
{
	char *copy = sl_arena_alloc(arena, n + 1);
	if (copy)
		memcpy(copy, text, n);
	return copy;
}

void sl_arena_free(struct sl_arena *arena)
{
	struct sl_arena_chunk *chunk = arena->newest;
	arena->newest = NULL;
	arena->taken_bytes = 0;
	while (chunk) {
		struct sl_arena_chunk *older = chunk->older;
		sl_sys_unmap(chunk, chunk->bytes);
		chunk = older;
	}
}

static unsigned class_of(size_t n)
{
	unsigned class = 0;
	while (((size_t)16 << class) < n)
		class++;
	return class;
}

void *sl_pool_alloc(struct sl_pool *pool, size_t n)
{
	unsigned class = class_of(n);
	if (class >= SL_POOL_CLASSES)
		return NULL;
	void *piece = pool->free_lists[class];
	if (piece)
		memcpy(&pool->free_lists[class], piece, sizeof(void *));
	else
		piece = sl_arena_alloc(&pool->arena, (size_t)16 << class);
	return piece;
}

void sl_pool_free(struct sl_pool *pool, void *piece, size_t n)
{
	if (!piece)
		return;
	unsigned class = class_of(n);
	memcpy(piece, &pool->free_lists[class], sizeof(void *));
	pool->free_lists[class] = piece;
}

void sl_pool_reset(struct sl_pool *pool)
{
	memset(pool->free_lists, 0, sizeof(pool->free_lists));
	sl_arena_free(&pool->arena);
}
