/* inject_target.h - the process that a library is brought into: what was found out of it, before it is touched.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_INJECT_TARGET_H
#define SL_CLI_INJECT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/inject.h"
#include "cli/inject_machine.h"
#include "cli/inject_maps.h"

struct sl_target {
	int pid;
	int view;        /* the thread whose files in /proc tell of it: the first may have ended */
	bool is_dynamic; /* its program names a loader */
	int memory;      /* /proc/PID/mem; -1: not open */
	struct sl_maps maps;
	struct sl_target_calls calls;
	uint64_t libc_start, libc_end; /* the code of its libc */
	uint64_t restorer;             /* where libc's signal handlers return to; 0: not found */
	uint64_t mask_start, mask_end; /* pthread_sigmask(), where it is libc's; else 0 */
};

/* Says why it does not go on; returns `error`. */
int sl_target_fail(struct sl_injected *injected, int error, enum sl_exit code, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));
/* "attach 4242", or the words of the command as it was called, where it was to attach or detach: for "this would be: sockleak ...". */
const char *sl_target_again(int pid);
/* As sl_target_fail(), for what ptrace or /proc did not permit; for a process that has ended. */
int sl_target_denied(int pid, struct sl_injected *injected);
int sl_target_gone(int pid, struct sl_injected *injected);

/* inject_refuse.c: who cannot be helped. Sets pid and view. */
int sl_target_refuse(const struct sl_injection *injection, struct sl_target *target,
                     struct sl_injected *injected);
/* A thread of it that has not ended, for `view`; false: there is none. */
bool sl_target_find_view(struct sl_target *target);
/* inject_libc.c: reads mappings, and finds the functions. */
int sl_target_read_libc(struct sl_target *target, struct sl_injected *injected);

/* The pid of who traces a thread of it other than `but`, and is not us; 0: nobody. -1: it has ended. */
int sl_target_tracer(int pid, int but);

void sl_target_close(struct sl_target *target);

#endif
