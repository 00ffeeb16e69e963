/* table.h - uthash on the worker's own memory.
 *
 * uthash ends the program when memory runs out, unless told otherwise before it is included: here its memory is a pool of ours
 * and a failed insert leaves the new element's hh.tbl NULL.
 *
 * Layer: watch. Owner: the worker. Include last but for poison.h.
 */
#ifndef SL_WATCH_TABLE_H
#define SL_WATCH_TABLE_H

#include "base/arena.h"

/* All tables of the worker. */
extern struct sl_pool sl_worker_pool;

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(n) sl_pool_alloc(&sl_worker_pool, n)
#define uthash_free(piece, n) sl_pool_free(&sl_worker_pool, piece, n)
#define uthash_nonfatal_oom(element) ((void)(element))
#define uthash_fatal(text) __builtin_trap() /* not compiled in with HASH_NONFATAL_OOM */
#include <uthash.h>

#endif
