/* suspects.h - connections whose peer has gone: CLOSE_WAIT and dead-but-open, by socket cookie.
 *
 * Owned by the worker, in its own memory. What the kernel said at the last sweep is kept here, so that the next one can
 * tell what moved.
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child forgets them (sl_suspects_forked) and finds them anew.
 * errno: untouched.
 */
#ifndef SL_WATCH_SUSPECTS_H
#define SL_WATCH_SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/fdtable.h"
#include "watch/judge.h"
#include "watch/kernel.h"

struct sl_suspect;

/* A suspect as the rest of the worker sees it. */
struct sl_suspicion {
	struct sl_judgement judgement;
	int64_t idle_before_fin_ms; /* -1: not known */
	uint64_t fin_at_ms;
	uint32_t unread_bytes;
	uint32_t unsent_bytes;
	bool is_new;    /* first seen in this sweep */
	bool is_shared; /* a second descriptor of it was met in this sweep */
};

/* Begin a sweep, at this tick: those not met in it are gone at its end. */
void sl_suspects_begin(uint32_t tick);

/* This socket is in CLOSE_WAIT or CLOSE: bring its record up to date and judge it. False: it has gone, or there is no
 * memory: the latter is counted. */
bool sl_suspects_meet(const struct sl_fd_record *record, const struct sl_kernel_tcp *tcp,
                      uint64_t deadline_ms, uint64_t now_ms, struct sl_suspicion *suspicion);

/* End the sweep: forget those that were not met; the stuck ones among them are retracted. */
void sl_suspects_end(void);

/* Calls `each` with the peer id of every suspect in CLOSE_WAIT at the last sweep; 0: peer not known. */
typedef void sl_suspects_each_fn(uint32_t peer);
void sl_suspects_each_close_wait(sl_suspects_each_fn *each);

uint32_t sl_suspects_stuck(void); /* at the end of the last sweep */
uint32_t sl_suspects_close_wait(void);
uint64_t sl_suspects_retracted(void); /* since start */
uint64_t sl_suspects_dropped(void);

/* In a forked child, before its worker starts. */
void sl_suspects_forked(void);

#endif
