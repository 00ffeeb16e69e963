/* orders.h - what the control thread asks of the worker: one thing at a time.
 *
 * Only the worker looks, judges and changes options; the control thread speaks with clients. So it hands an order over, waits a
 * bounded time, and renders what came back while the worker goes on.
 *
 * Layer: control. Locks: none: a mailbox. Fork: sl_orders_forked(). errno: untouched.
 */
#ifndef SL_CONTROL_ORDERS_H
#define SL_CONTROL_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "control/live.h"
#include "control/reap.h"
#include "report/snapshot.h"

enum sl_order_kind {
	SL_ORDER_SNAPSHOT, /* a snapshot, in the arena */
	SL_ORDER_SET,      /* change options */
	SL_ORDER_POWER,    /* switch on or off */
	SL_ORDER_REAP,     /* end what is quiet */
	SL_ORDER_DETACH,   /* leave the process */
};

#define SL_SWITCHED_OFF "the library is switched off there: set enabled=1 first"

#define SL_ANSWER_BYTES (64u << 10)

struct sl_order {
	enum sl_order_kind kind;
	struct sl_live_change change; /* set */
	struct sl_arena *arena;       /* snapshot: memory for it */
	struct sl_snapshot snapshot;
	bool is_on;            /* power: what it is to be */
	bool is_forced;        /* detach: whatever becomes of what we ended */
	struct sl_reap reap;   /* reap */
	bool is_under_way;     /* reap: more turns are needed */
	struct sl_out *answer; /* all but a snapshot: the JSON, or why not */
	const char *refusal;   /* NULL, or the protocol's word for why it was not done */
};

/* Leave the process: `answer` gets the JSON of what was done, or why not in words, and false. NULL: it cannot be left. Called once,
 * before there is a worker. */
typedef bool sl_orders_detach_fn(bool is_forced, struct sl_out *answer);
void sl_orders_prepare(sl_orders_detach_fn *detach);

/* Have it done. False: not within the time, or the worker ends; then it will not be done either. `order` must stay where it is.
 * Context: the control thread. Blocks: that long, and for as long as one that was begun takes. */
bool sl_orders_place(struct sl_order *order, uint64_t wait_ms);

/* Do what is asked; and, when the worker has drawn its own conclusions, let who asked go on. Context: the worker. */
void sl_orders_take(void);
/* Returns the ms until the next turn is wanted; UINT64_MAX: none is. */
uint64_t sl_orders_finish(void);

/* The worker ends: who waits is told. */
void sl_orders_cancel(void);

void sl_orders_forked(void);

#endif
