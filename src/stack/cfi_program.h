/* cfi_program.h - the programs of unwind information: what holds at one instruction of a function, as a rule.
 *
 * Source: DWARF 5, 6.4.2 and 7.24; System V ABI for x86-64, 3.6.2 (the registers' numbers). Layer: stack. No state.
 */
#ifndef SL_STACK_CFI_PROGRAM_H
#define SL_STACK_CFI_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/cfi.h"
#include "stack/cfi_bytes.h"

/* The column of the return address. */
#define SL_CFI_RETURN 16

/* By what the numbers of the programs are multiplied. */
struct sl_cfi_units {
	uint64_t code; /* bytes */
	int64_t data;
};

/* The program that all functions of an object share, then the function's own, up to `until` bytes behind the function's begin.
 * False: there is something that is not understood. Async-signal-safe. */
bool sl_cfi_program_run(const struct sl_cfi_units *units, struct sl_cfi_bytes common,
                        struct sl_cfi_bytes own, uint64_t until, struct sl_cfi_rule *rule);

#endif
