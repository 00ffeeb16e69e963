/* arena.h - memory that is ours: chunks from the kernel, handed out from the front, never malloc.
 *
 * An arena gives memory and takes none back, but for all of it at once. A pool is an arena that takes pieces
 * back by size class, for tables that grow and shrink (uthash).
 *
 * Layer: base. Locks: none. Fork: the child keeps all. errno: untouched.
 * Context: sl_arena_alloc() from any thread and signal handler (it may call mmap: not after the program's real
 * call). Everything else: one thread only.
 */
#ifndef SL_BASE_ARENA_H
#define SL_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct sl_arena_chunk;

struct sl_arena {
	_Atomic(struct sl_arena_chunk *) newest;
	size_t chunk_bytes; /* constant: the least size of a chunk */
	size_t limit_bytes; /* constant: no more than this is ever taken from the kernel; 0: no limit */
	_Atomic size_t taken_bytes;
};

#define SL_ARENA(chunk, limit)                                 \
	{                                                      \
		.chunk_bytes = (chunk), .limit_bytes = (limit) \
	}

/* n zeroed bytes, aligned to 8. NULL when the kernel or the limit says no. */
void *sl_arena_alloc(struct sl_arena *arena, size_t n);

/* A copy of n bytes of text with a NUL behind. NULL when out of memory. */
char *sl_arena_text(struct sl_arena *arena, const char *text, size_t n);

/* Gives everything back to the kernel. */
void sl_arena_free(struct sl_arena *arena);

#define SL_POOL_CLASSES 28

struct sl_pool {
	struct sl_arena arena;
	void *free_lists[SL_POOL_CLASSES]; /* by power of two, from 16 bytes */
};

#define SL_POOL(chunk, limit)                   \
	{                                       \
		.arena = SL_ARENA(chunk, limit) \
	}

/* n bytes, not zeroed, aligned to 16. NULL when out of memory. */
void *sl_pool_alloc(struct sl_pool *pool, size_t n);
/* Takes back what sl_pool_alloc(pool, n) gave; NULL is fine. */
void sl_pool_free(struct sl_pool *pool, void *piece, size_t n);
/* Everything back to the kernel: nothing that was given may be used again. */
void sl_pool_reset(struct sl_pool *pool);

#endif
