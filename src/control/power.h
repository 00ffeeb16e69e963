/* power.h - the switch: enabled=, while the program runs, and children=.
 *
 * Off: no thread, handler or socket of ours is left, no new socket is recorded, no stack taken. What is recorded already stays until
 * the program closes it, so that an ended connection goes on being one, and its number is known to be free afterwards.
 * On again: the worker starts, and adopts what was opened meanwhile.
 *
 * Layer: control. Locks: SL_LOCK_DISPOSITION, by control/signal.h. Fork: the child is as its parent was, but for children=off.
 */
#ifndef SL_CONTROL_POWER_H
#define SL_CONTROL_POWER_H

#include <stdatomic.h>
#include <stdbool.h>

/* Read by each door that records a new socket. */
extern _Atomic bool sl_power_is_on;

/* Once, when start is done: before it, and where the process is left out, there is nothing to switch. */
void sl_power_start(void);

/* Switch. The same way twice does nothing. 1: it was on before, 0: off; -1: this process was left out at start, or is sandboxed.
 * Context: a thread of the program; not async-signal-safe. Blocks: until our threads are gone, a second at most. errno: untouched. */
int sl_power_switch(bool on);

/* In a forked child, which has no thread of ours: off, for good. */
void sl_power_off_in_child(void);

#endif
