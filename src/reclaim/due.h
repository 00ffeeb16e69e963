/* due.h - one suspect that an action may be due for, with all that is known of it.
 *
 * Layer: reclaim. Locks: none: the worker only. Fork: sl_due_forked(). errno: untouched.
 */
#ifndef SL_RECLAIM_DUE_H
#define SL_RECLAIM_DUE_H

#include "reclaim/act.h"
#include "reclaim/event.h"
#include "reclaim/ladder.h"
#include "reclaim/sharing.h"
#include "watch/suspects.h"

struct sl_due {
	struct sl_suspect_view view;
	struct sl_case known;
	uint64_t inode;
	uint32_t forks; /* sl_process_forks() before sharing was read */
};

/* Those of one turn. */
struct sl_due_list {
	struct sl_due *of;
	uint32_t count;
	uint32_t capacity;
};

/* An empty list with room for every suspect; memory from the arena. False: there is none, or no memory. */
bool sl_due_begin(struct sl_due_list *list, struct sl_arena *arena);

/* The cheap facts. */
void sl_due_look(const struct sl_suspect_view *view, struct sl_case *known);

void sl_due_add(struct sl_due_list *list, const struct sl_suspect_view *view,
                const struct sl_case *known);

/* Longest quiet first; those that were spared before come last: they must not keep the others from being asked about. */
void sl_due_sort(struct sl_due_list *list);

/* The costly facts, of all of them: sharing and epoll sets (through the clerk), rules, pending errors. False: not to be had now. Blocks: up
 * to wait_ms. */
bool sl_due_complete(struct sl_due_list *list, uint64_t wait_ms);

/* All numbers of the connection, guarded. False: one of them is guarded only from now on or was used since the sweep, or there are
 * too many: not yet. */
bool sl_due_target(const struct sl_due *due, struct sl_target *target);

/* The event of this kind about it. */
struct sl_event sl_due_event(const struct sl_suspect_view *view, enum sl_event_kind kind);

/* Processor time that the last sl_due_complete() took where it was done. */
uint64_t sl_due_cost_us(void);

void sl_due_forked(void);

#endif
