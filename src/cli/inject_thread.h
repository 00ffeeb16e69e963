/* inject_thread.h - which thread, and when: finds one at a safe point and holds it there.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_INJECT_THREAD_H
#define SL_CLI_INJECT_THREAD_H

#include <stddef.h>
#include <stdint.h>

#include "cli/inject_target.h"
#include "cli/inject_trace.h"

/* 0: `tracee` stands still, its registers are in `registers`, `need` bytes below its stack pointer may be written. Else -errno,
 * said, and nobody is held. Blocks: until `until_us` at most. */
int sl_thread_find(struct sl_target *target, size_t need, uint64_t until_us,
                   struct sl_tracee *tracee, struct sl_registers *registers,
                   struct sl_injected *injected);

#endif
