/* sweep.h - one look at every TCP socket of the process.
 *
 * Most sockets cost a place in a poll() of 1,024; only those whose peer has gone are asked for more. A survey, for a
 * report, asks all of them, and gives back a row for each.
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child starts anew. errno: untouched.
 */
#ifndef SL_WATCH_SWEEP_H
#define SL_WATCH_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "ledger/fdtable.h"
#include "watch/kernel.h"
#include "watch/suspects.h"

/* One connection; a duplicated descriptor has a row too, with is_duplicate set. */
struct sl_survey_row {
	struct sl_fd_record record;
	struct sl_kernel_tcp tcp;
	struct sl_suspicion suspicion; /* all zero: not a suspect */
	enum sl_direction direction;
	bool is_suspect;
	bool is_shared;    /* another descriptor of this process is the same connection */
	bool is_duplicate; /* ... and was counted already */
};

struct sl_survey {
	struct sl_survey_row *rows;
	uint32_t count;
	uint32_t capacity;
	uint64_t by_kind
		[SL_KIND_COUNT]; /* open sockets, duplicates counted once each for TCP only */
	bool is_cut;             /* memory ran out */
};

/* Look at all sockets: update the suspects, identify the new, drop what is closed. */
void sl_sweep(uint64_t deadline_ms, uint64_t now_ms);

/* The same, asking every socket, with a row for each; memory from the arena. */
void sl_sweep_survey(uint64_t deadline_ms, uint64_t now_ms, struct sl_arena *arena,
                     struct sl_survey *survey);

/* When the sweep began that gave its tick to what the hooks note (sl_fd_tick). 0: longer ago than SL_SWEEP_TICKS sweeps. Context: the
 * worker. */
#define SL_SWEEP_TICKS 256u
uint64_t sl_sweep_tick_at_ms(uint32_t last_io);

/* TCP sockets that the last of either met: one for all numbers of it, as far as they were seen made. Context: the worker. */
uint32_t sl_sweep_open(void);

#endif
