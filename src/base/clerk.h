/* clerk.h - the two threads that open files: one for those that are written, on disks that may hang, and one for /proc, which never
 * does, so that no output holds up what is looked at and acted on.
 *
 * Any file that the library opened among the program's own would, for a moment, take the lowest free number: a program that
 * closes all its fds could close it, one that counts on its next number would get another, and with none left there would be
 * no report. So threads of ours do it, each with an fd table of its own: close_range(2) with
 * CLOSE_RANGE_UNSHARE gives it an empty one, without a reference to any socket of the program. Its fds bear no relation
 * to the program's: neither must ever be given one.
 *
 * Layer: base. Locks: none: one mailbox each, filled by the worker only. Fork: the child has no clerk: sl_clerk_forked().
 * errno: untouched.
 */
#ifndef SL_BASE_CLERK_H
#define SL_BASE_CLERK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void sl_clerk_fn(void *context);

/* Start both. Context: the worker. Errors: without a thread, or on a kernel before 5.9, there is none. */
void sl_clerk_start(void);

/* Run `task` on the clerk. Waits until it is done, at most wait_ms. `context` must live until the task is done, even if that
 * is later. Returns true if it is done; false: it is not, or it was never begun (is_begun tells), for the clerk is busy
 * with an earlier one or there is none.
 * Context: the worker. Blocks: up to wait_ms. */
bool sl_clerk_do(sl_clerk_fn *task, void *context, uint64_t wait_ms, bool *is_begun);

/* The same for what only reads /proc. */
bool sl_clerk_ask(sl_clerk_fn *task, void *context, uint64_t wait_ms, bool *is_begun);

/* Is a task under way? */
bool sl_clerk_is_busy(void);
bool sl_clerk_is_asked(void);
/* Is there a clerk? */
bool sl_clerk_is_there(void);
/* How many threads there are of it. */
unsigned sl_clerk_threads(void);

/* Read a file of /proc into `text`, n bytes with the NUL, through the clerk. Returns the length; 0: it cannot be read. */
size_t sl_clerk_read(const char *path, char *text, size_t n);

/* The process is about to end with the worker: the clerk's threads end, and are gone on return. False: one is busy, ask again. */
bool sl_clerk_end(void);

/* In a forked child. */
void sl_clerk_forked(void);

#endif
