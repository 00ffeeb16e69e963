/* inject_unwind.h - the stack of a held thread, walked by the unwind information of its objects.
 *
 * Layer: cli. Context: one thread. Source: DWARF 5, 6.4; the LSB for .eh_frame.
 */
#ifndef SL_CLI_INJECT_UNWIND_H
#define SL_CLI_INJECT_UNWIND_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/inject_target.h"

/* Is there no signal handler on it for certain? True: it was walked to the function that nobody called, beyond the address `beyond`,
 * and none of the functions was the return from a handler. False: one was, or some function is not known well enough to walk on, as
 * code that was made at run time, or an object that was replaced on disk. */
bool sl_unwind_is_clear(const struct sl_target *target, const struct sl_registers *registers,
                        uint64_t beyond);

#endif
