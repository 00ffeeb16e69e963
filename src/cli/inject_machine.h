/* inject_machine.h - what bringing a library in asks of a machine. One file for each: inject_x86_64.c.
 *
 * Layer: cli. Context: the thread that traces. Source: the psABI, the kernel's ptrace and signal code.
 */
#ifndef SL_CLI_INJECT_MACHINE_H
#define SL_CLI_INJECT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

/* Where a thread is. */
struct sl_point {
	int64_t call;          /* the system call it is in or has just left; -1: none */
	uint64_t arguments[6]; /* of the call */
	int64_t result; /* where it has left it, or was made to: -errno, the kernel's own too */
	uint64_t pc, sp, tls;
};

/* A thread's registers, as they were when it was held. */
struct sl_registers {
	struct user_regs_struct user;
};

/* The functions of the target that are called, by address. */
struct sl_target_calls {
	uint64_t dlopen, dlsym, dlerror; /* dlerror: 0 where it has none to call */
	uint64_t errno_location;
};

/* What is to be called, and where things lie in the target. */
struct sl_machine_call {
	struct sl_target_calls calls;
	const char *library, *function, *options; /* options may be NULL */
	uint64_t code;                            /* where sl_machine_code() has been put */
	uint64_t frame, mask;                     /* set by sl_machine_begin() */
};

/* Does ELF's e_machine name a program that runs on this machine, and is it one that is known here? */
bool sl_machine_is_ours(uint16_t elf_machine);

/* The code that runs in the target; the same bytes at each time, and at any address. */
const unsigned char *sl_machine_code(size_t *n);
/* The first bytes of any version of it. */
#define SL_MACHINE_MARK_BYTES 8

/* The bytes of a signal handler's return, to be found in libc; how many. */
const unsigned char *sl_machine_restorer(size_t *n);
/* Is it such a frame that lies at `address`, whose first word is the address of the restorer? `is_code` tells of addresses. Then
 * where the handler came in: in, or right behind, a call where the code there says which; else point->call is -1. */
typedef bool sl_machine_is_code_fn(void *context, uint64_t address);
bool sl_machine_is_signal_frame(int memory, uint64_t address, sl_machine_is_code_fn *is_code,
                                void *context, struct sl_point *point);

/* A function's registers by their DWARF numbers, as bits where a set of them is meant. */
#define SL_DWARF_REGISTERS 32
struct sl_dwarf_registers {
	uint64_t values[SL_DWARF_REGISTERS];
	uint32_t known;  /* those that have a value */
	uint32_t kept;   /* those that a function hands on to its caller, and where that goes on */
	unsigned sp, ra; /* the stack pointer; where it goes on: at first where the thread is */
};

int sl_machine_read(int tid, struct sl_registers *registers);
/* False: it is not known how. */
bool sl_machine_dwarf(const struct sl_registers *registers, struct sl_dwarf_registers *dwarf);
void sl_machine_point(const struct sl_registers *registers, struct sl_point *point);
/* Is the instruction before `pc` one that calls the kernel? */
bool sl_machine_is_behind_call(int memory, uint64_t pc);

/* The system call that the code there asked for. One that was interrupted, by a stop of the process or by us before, the kernel begins
 * again under a number of its own (restart_syscall(2)): then it is read from the code, where that says it; else point->call. */
int64_t sl_machine_asked(int memory, const struct sl_point *point);

/* A held thread that is to go on as if it had not been: where the stop alone ended its system call with EINTR, the kernel
 * begins the call again, unless a signal is to be handled first. */
int sl_machine_uninterrupt(int tid);

/* Bytes below the thread's stack pointer that a call takes, without what the library uses. */
size_t sl_machine_frame_bytes(const struct sl_machine_call *call);
/* Write the call's frame to the stack of a held thread, then send the thread into the code: from the one ptrace request that does
 * this on, it goes through with the call and back to where it was, whether we are there or not. 0 or -errno, and then nothing
 * but bytes below the stack has changed. */
int sl_machine_begin(int tid, int memory, const struct sl_registers *registers,
                     struct sl_machine_call *call);

/* Has the function come back? Then its result, or -1 and the address of the loader's text (0: none), which stay there for
 * a second, until the thread goes on by itself. */
bool sl_machine_is_over(int memory, const struct sl_machine_call *call, int *result,
                        uint64_t *error_text);
/* Is this an address in the code? */
bool sl_machine_is_inside(const struct sl_machine_call *call, uint64_t pc);
/* Once it is over, and the thread held in the code: mask and registers as they were at the begin, so that the kernel ends the
 * interrupted system call as it would have. */
int sl_machine_finish(int tid, const struct sl_registers *registers,
                      const struct sl_machine_call *call);

#endif
