/* openings.h - calls of the program that may open a socket, while they are under way.
 *
 * Between the real call and the record of what it opened lies a moment in which the kernel has a socket that the fd table has not; where the
 * thread loses its processor there, a long one. So the hook says before the call that it is on its way, and after the record that it is
 * back: who finds a socket that is not recorded can ask whether it may yet be.
 *
 * A fixed number of places, each a cache line; a thread begins to look for a free one where it found one the last time, so threads do
 * not meet. What finds no place goes unannounced. A call that never comes back (its thread was cancelled, or left by longjmp) keeps its
 * place until the next one of that thread, from the same depth or above: nobody may wait for one without end.
 *
 * Layer: ledger. Locks: none. Fork: the child's begin anew. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_LEDGER_OPENINGS_H
#define SL_LEDGER_OPENINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/kinds.h"

#define SL_OPENINGS_MAX 128

/* One call; word 0: it found no place. */
struct sl_openings_call {
	unsigned place;
	uint64_t word;
};

/* What is known of a call. */
struct sl_opening_under_way {
	enum sl_kind kind;
	int listener; /* that it accepts from; -1: it makes a new socket, or copies one */
};

/* Those of one moment. */
struct sl_openings {
	uint64_t words[SL_OPENINGS_MAX];
};

/* From a hook, last before the real call. `listener`: as above. */
struct sl_openings_call sl_openings_begin(enum sl_kind kind, int listener);
/* After the record. No system call. */
void sl_openings_end(const struct sl_openings_call *call);

/* Those that are under way now. What they open is found in the kernel, or in the fd table, or is not there yet. */
void sl_openings_look(struct sl_openings *seen);
/* The first at *at or above of those seen that is under way still; false: no more. Walks begin with 0, *at goes on by itself. Of one that is
 * not, the record is to be seen. */
bool sl_openings_next(const struct sl_openings *seen, unsigned *at,
                      struct sl_opening_under_way *opening);

/* In a forked child: they go on in the parent only. */
void sl_openings_forked(void);

#endif
