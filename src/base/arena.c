#include "base/arena.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/sys.h"

#include "base/poison.h"

/* All atomic: a chunk that came too late goes back, and the kernel may give its address to another thread at once, which a
 * race detector does not see. */
struct sl_arena_chunk {
	_Atomic(struct sl_arena_chunk *) older;
	_Atomic size_t bytes; /* of the whole mapping */
	_Atomic size_t used;
};

#define SL_PAGE_BYTES 4096
#define SL_ALLOC_MAX (SIZE_MAX / 4) /* sums with it do not wrap */

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static struct sl_arena_chunk *chunk_new(struct sl_arena *arena, size_t room)
{
	size_t header = round_up(sizeof(struct sl_arena_chunk), 16);
	size_t bytes = round_up(room + header, SL_PAGE_BYTES);
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
	chunk->used = header;
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
	if (n > SL_ALLOC_MAX)
		return NULL;
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
	char *copy = n < SIZE_MAX ? sl_arena_alloc(arena, n + 1) : NULL;
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

static unsigned order_of(size_t n)
{
	unsigned order = 0;
	while (order < SL_POOL_CLASSES && ((size_t)16 << order) < n)
		order++;
	return order;
}

void *sl_pool_alloc(struct sl_pool *pool, size_t n)
{
	unsigned order = order_of(n);
	if (order >= SL_POOL_CLASSES)
		return NULL;
	void *piece = pool->free_lists[order];
	if (piece)
		memcpy(&pool->free_lists[order], piece, sizeof(void *));
	else
		piece = sl_arena_alloc(&pool->arena, (size_t)16 << order);
	return piece;
}

void sl_pool_free(struct sl_pool *pool, void *piece, size_t n)
{
	if (!piece)
		return;
	unsigned order = order_of(n);
	memcpy(piece, &pool->free_lists[order], sizeof(void *));
	pool->free_lists[order] = piece;
}

void sl_pool_reset(struct sl_pool *pool)
{
	memset(pool->free_lists, 0, sizeof(pool->free_lists));
	sl_arena_free(&pool->arena);
}
