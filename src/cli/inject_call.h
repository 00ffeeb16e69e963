/* inject_call.h - the call itself, made by a thread that is held at a safe point.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_INJECT_CALL_H
#define SL_CLI_INJECT_CALL_H

#include "cli/inject_target.h"
#include "cli/inject_trace.h"

/* Where the code of the call can lie in the target: behind the code of an object of its own, in no segment. 0: nowhere. */
uint64_t sl_call_place(const struct sl_target *target);

/* Make the call; the thread is let go in any case. 0, or -errno, said. */
int sl_call_make(struct sl_target *target, struct sl_tracee *tracee,
                 const struct sl_registers *registers, struct sl_machine_call *call,
                 struct sl_injected *injected);

#endif
