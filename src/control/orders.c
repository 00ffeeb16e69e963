#include "control/orders.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/sys.h"
#include "control/power.h"
#include "control/reap.h"
#include "report/events.h"
#include "report/triggers.h"
#include "watch/worker.h"

#include "base/poison.h"

#define SL_UNDER_WAY_MS 100
#define SL_NOT_ATTACHED "it was preloaded, not attached: 'sockleak off' switches it off"

/* Futex word. The control thread takes it from idle to placed, and back; the worker from placed through begun to done. */
enum { SL_IDLE, SL_PLACED, SL_BEGUN, SL_DONE, SL_CANCELLED };

static _Atomic uint32_t state;
static struct sl_order *placed; /* the control thread's while idle, the worker's while begun */

static sl_orders_detach_fn *detach; /* constant after start */

void sl_orders_prepare(sl_orders_detach_fn *given)
{
	detach = given;
}

static bool move(uint32_t from, uint32_t to)
{
	if (!atomic_compare_exchange_strong(&state, &from, to))
		return false;
	sl_sys_futex_wake(&state);
	return true;
}

bool sl_orders_place(struct sl_order *order, uint64_t wait_ms)
{
	uint64_t until_ms = sl_clock_ms() + wait_ms;
	placed = order;
	if (!sl_worker_is_running() || !move(SL_IDLE, SL_PLACED))
		return false;
	sl_worker_want(0);
	for (;;) {
		uint32_t now = atomic_load(&state);
		uint64_t now_ms = sl_clock_ms();
		if (now == SL_DONE || now == SL_CANCELLED)
			return move(now, SL_IDLE) && now == SL_DONE;
		if (now == SL_PLACED && now_ms >= until_ms && move(SL_PLACED, SL_IDLE))
			return false;
		sl_sys_futex_wait(&state, now,
		                  now_ms < until_ms ? (until_ms - now_ms) * 1000000u : 0);
	}
}

static void act(struct sl_order *order)
{
	if (order->kind == SL_ORDER_POWER) {
		if (!sl_live_power(order->is_on, &order->change, order->answer))
			order->refusal = "busy";
	} else if (order->kind == SL_ORDER_DETACH) {
		if (!detach)
			sl_out_text(order->answer, SL_NOT_ATTACHED);
		if (!detach || !detach(order->is_forced, order->answer))
			order->refusal = "value";
	} else if (!atomic_load(&sl_power_is_on)) {
		if (order->answer)
			sl_out_text(order->answer, SL_SWITCHED_OFF);
		order->refusal = "busy";
	} else if (order->kind == SL_ORDER_SNAPSHOT) {
		sl_triggers_snapshot(order->arena, &order->snapshot);
	} else if (order->kind == SL_ORDER_REAP) {
		order->is_under_way = sl_reap_begin(&order->reap, order->answer);
		order->refusal = order->is_under_way ? NULL : "value";
	} else if (!sl_live_set(&order->change, order->answer)) {
		order->refusal = "value";
	}
	sl_events_flush();
}

void sl_orders_take(void)
{
	if (move(SL_PLACED, SL_BEGUN))
		act(placed);
}

uint64_t sl_orders_finish(void)
{
	if (atomic_load(&state) == SL_BEGUN && placed->is_under_way) {
		if (!atomic_load(&sl_power_is_on)) {
			sl_reap_abort();
			placed->refusal = "busy";
			sl_out_text(placed->answer, SL_SWITCHED_OFF);
		} else if (!sl_reap_turn(sl_clock_ms(), placed->answer)) {
			return SL_UNDER_WAY_MS;
		}
		placed->is_under_way = false;
	}
	(void)move(SL_BEGUN, SL_DONE);
	return UINT64_MAX;
}

void sl_orders_cancel(void)
{
	(void)move(SL_PLACED, SL_CANCELLED);
	if (atomic_load(&state) != SL_BEGUN || !placed->is_under_way)
		return;
	sl_reap_abort();
	(void)move(SL_BEGUN, SL_CANCELLED);
}

void sl_orders_forked(void)
{
	sl_reap_abort();
	atomic_store(&state, SL_IDLE);
}
