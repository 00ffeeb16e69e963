/* power.h - the switch: enabled=, while the program runs, and children=.
 *
 * Off: no handler, no clerk and no socket of ours is left, no new socket is recorded, no stack taken. What is recorded already
 * stays until the program closes it, so that an ended connection goes on being one, and its number is known to be free
 * afterwards. On again: the worker adopts what was opened meanwhile.
 *
 * Switched off from within (sl_power_switch()), all our threads end. Switched off through the control socket, the worker stays,
 * parked, and the control thread: to be asked to switch on again.
 *
 * Layer: control. Locks: SL_LOCK_POWER; SL_LOCK_DISPOSITION, by control/signal.h. Fork: the child is as its parent was, but for
 * children=off.
 */
#ifndef SL_CONTROL_POWER_H
#define SL_CONTROL_POWER_H

#include <stdatomic.h>
#include <stdbool.h>

/* Read by each door that records a new socket. */
extern _Atomic bool sl_power_is_on;

/* When start is done: before it, and where the process is left out, there is nothing to switch. */
void sl_power_start(void);

/* Off, until it is started again: nobody can switch it on. The worker parks at this turn, and may then be retired. Context: the
 * worker. */
void sl_power_end(void);

/* Is it between those two? Not in a child that children=off leaves out. */
bool sl_power_is_started(void);

/* Switch, for the program. The same way twice does nothing. 1: it was on before, 0: off; -1: this process was left out at
 * start, or is sandboxed. Context: a thread of the program; not async-signal-safe. Blocks: until our threads are gone, a second at
 * most. errno: untouched. */
int sl_power_switch(bool on);

/* The same for the control socket. -1 also while the program switches. Context: the worker. */
int sl_power_order(bool on);

/* May the program ask anything of us here? Not where the process was left out at start, is sandboxed, or is not ours. */
bool sl_power_may_ask(void);

/* At each turn: park, or go on. True: parked, and nothing else is to be done. `start` is what a worker does as it starts. Context: the
 * worker. */
bool sl_power_turn(void (*start)(void));

/* In a forked child, which has no thread of ours: off, for good. */
void sl_power_off_in_child(void);

#endif
