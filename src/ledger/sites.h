/* sites.h - one record for each distinct allocating stack.
 *
 * A stack is kept as the words that were captured: return addresses for a native one, pairs of {method id,
 * location} for a Java one. Two stacks are the same site if kind and words are equal. What the words mean
 * (frames) is attached later or at once, by whoever can tell: see stack/.
 *
 * Three sites exist from the start, for sockets without a stack of their own.
 *
 * Layer: ledger. Locks: none. Fork: the child keeps all. errno: untouched.
 * Async-signal-safe: everything here (memory perhaps by mmap: before the real call).
 */
#ifndef SL_LEDGER_SITES_H
#define SL_LEDGER_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "ledger/intern.h"
#include "ledger/kinds.h"
#include "ledger/threads.h"

#define SL_SITES_MAX 4096u
#define SL_STACK_MAX 256u /* frames */

enum {
	SL_SITE_OVERFLOW = 0, /* the table was full, or memory was out: counted */
	SL_SITE_ADOPTED = 1,  /* opened before us, or past the hooks */
	SL_SITE_NO_STACK = 2, /* stacks=none, or the stack could not be had */
};

/* Frames of a site, innermost first, in words: made once, then constant. */
struct sl_frame;
struct sl_site_frames {
	uint32_t count;
	uint32_t blame; /* index of the guilty frame; UINT32_MAX: none */
	const struct sl_frame *frames[];
};

/* Constant once published, but for what is marked atomic. */
struct sl_site {
	struct sl_interned head;
	enum sl_stack_kind kind;
	uint32_t frame_count;
	bool is_cut;                                  /* the stack was deeper than depth= */
	_Atomic(const struct sl_site_frames *) named; /* NULL until named */
	_Atomic uint64_t opened;                      /* TCP connections, not descriptors */
	_Atomic bool
		ignores_eof; /* one of its connections had its end of file read, and lay there all the same */
	_Atomic uint64_t closed_late; /* connections that we had closed, and the program later */
	_Atomic uint64_t threads[SL_THREADS_MAX / 64]; /* bit: name id; bit 0: any without an id */
	uint64_t retracted;                            /* the worker's, as the next two */
	uint64_t regretted;
	uint64_t reclaimed; /* connections that we ended */
	uint64_t words[];   /* frame_count, or twice that for Java */
};

/* A captured stack. */
struct sl_stack {
	enum sl_stack_kind kind;
	uint32_t frame_count;
	bool is_cut;
	const uint64_t *words;
};

/* All of the ledger's lasting memory but the fd table. */
extern struct sl_arena sl_ledger_arena;

/* Make the three sites above. Called once at start. */
void sl_sites_start(void);

/* The site of this stack, found or made. is_unnamed: nobody has named its frames yet. SL_SITE_OVERFLOW: no
 * room. */
uint32_t sl_site_intern(const struct sl_stack *stack, bool *is_unnamed);

/* NULL: no such id. SL_SITE_OVERFLOW has a record too. */
struct sl_site *sl_site_get(uint32_t id);

/* One more connection from this site, opened by this thread (0: unknown name). */
void sl_site_count_opened(uint32_t id, uint32_t thread);
/* The program closed a connection that we had closed before. */
void sl_site_count_closed_late(uint32_t id);
/* One less: it was counted by mistake. */
void sl_site_uncount_opened(uint32_t id);
/* Has this thread been counted there? */
bool sl_site_knows_thread(uint32_t id, uint32_t thread);

uint32_t sl_site_last(void);     /* ids run from 1 to this */
uint64_t sl_sites_dropped(void); /* stacks that found no room */

/* Words that a site of this kind has for each frame. */
static inline uint32_t sl_stack_words_per_frame(enum sl_stack_kind kind)
{
	return kind == SL_STACK_JAVA ? 2 : 1;
}

#endif
