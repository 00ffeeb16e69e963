/* cfi.h - how to get from a frame to its caller: the unwind information of the objects (.eh_frame), read without a lock.
 *
 * Most code follows one pattern: the frame's end (CFA, canonical frame address) lies at a constant distance from the stack
 * pointer or from %rbp, the return address just below it, and %rbp is saved at a constant distance from it, or was not touched. Only
 * that is told here; whatever else is for libunwind (native.h).
 *
 * Source: DWARF 5, 6.4; the Linux Standard Base, .eh_frame and .eh_frame_hdr; System V ABI for x86-64, 3.6.2 (the registers' numbers).
 *
 * Layer: stack. Locks: none. Fork: no state that changes. errno: untouched.
 */
#ifndef SL_STACK_CFI_H
#define SL_STACK_CFI_H

#include <stdbool.h>
#include <stdint.h>

enum sl_cfi_kind {
	SL_CFI_OTHER,  /* not of the pattern */
	SL_CFI_SIGNAL, /* the kernel called it: a signal handler's return */
	SL_CFI_END,    /* nobody called it */
	SL_CFI_BROKEN, /* the object's tables lead out of it, or are none: nobody should follow them */
	SL_CFI_FROM_SP, /* cfa_offset is the distance from the stack pointer */
	SL_CFI_FROM_FP, /* ... from %rbp */
};

/* Of one return address. */
struct sl_cfi_rule {
	uint8_t kind;
	int16_t saved_fp; /* the caller's %rbp lies so far from the CFA (below it); 0: it is still there */
	int32_t cfa_offset; /* the return address lies 8 bytes below the CFA */
};

/* Context: the constructor: libc is asked for a function. Where it has none (before glibc 2.35; other processors) nothing is found. */
void sl_cfi_open(void);

/* The rule at this return address. False: it is in no object, or what the object says cannot be read.
 * Async-signal-safe: yes. */
bool sl_cfi_find(uintptr_t return_address, struct sl_cfi_rule *rule);

#endif
