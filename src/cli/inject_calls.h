/* inject_calls.h - the system calls of libc at which a thread of the target can be borrowed.
 *
 * Layer: cli. Context: any. Pure.
 */
#ifndef SL_CLI_INJECT_CALLS_H
#define SL_CLI_INJECT_CALLS_H

#include <stdbool.h>
#include <stdint.h>

/* Results that only the kernel and a tracer see. Source: linux/errno.h, the kernel's own. */
#define SL_ERESTARTSYS 512
#define SL_ERESTARTNOHAND 514
#define SL_ERESTART_RESTARTBLOCK 516

enum sl_call_use {
	SL_CALL_NO,
	SL_CALL_BEHIND, /* once it has come back by itself: interrupted, it would do less than it was asked to */
	SL_CALL_LAST,    /* while it waits, where nobody better is found */
	SL_CALL_WAITING, /* while it waits, too */
};

/* Not among them is what an allocator or the loader calls while it holds a lock. */
enum sl_call_use sl_call_use(int64_t call, const uint64_t arguments[6]);

/* Does a stop end it with EINTR, where the kernel would begin most others again? */
bool sl_call_is_cut_by_stop(int64_t call);

#endif
