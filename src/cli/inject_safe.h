/* inject_safe.h - is a call safe at this point of a thread?
 *
 * It is where the thread holds no lock that the loader or the allocator needs: in, or right behind, one of the system calls of
 * inject_calls.c, made by libc, not by the loader, not within a signal handler, with stack enough.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_INJECT_SAFE_H
#define SL_CLI_INJECT_SAFE_H

#include <stddef.h>

#include "cli/inject_calls.h"
#include "cli/inject_target.h"

/* NULL: it is. Else why not, as in "it is <in a signal handler>". The thread is held: its registers, which say where it is, and its
 * stack stand still. `need` bytes of stack are written below its stack pointer. */
const char *sl_safe_why_not(struct sl_target *target, int tid, const struct sl_registers *registers,
                            size_t need);

/* Is it worth holding, seen from outside while it waits? SL_CALL_LAST and SL_CALL_WAITING say that it is. */
enum sl_call_use sl_safe_promise(const struct sl_target *target, const struct sl_point *point);

#endif
