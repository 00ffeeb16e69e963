/* process.h - whose memory is this, and may we make system calls?
 *
 * A child of vfork() shares our memory until it execs: its close() must not touch the ledger. A child of
 * fork() owns a copy. Children of _Fork() or clone() own a copy as well, but no fork handler told us. The
 * pid says that we are a child; a page that the kernel wipes at fork (MADV_WIPEONFORK, madvise(2)) says
 * whether the memory is our own.
 *
 * Layer: base. Locks: none (atomics). errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_BASE_PROCESS_H
#define SL_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Called once in a child that owns its memory, before anything else of ours runs there. Until it has returned the
 * process is not ours yet, for other threads and for handlers: they pass through. */
typedef void sl_process_child_fn(void);

/* Remember this process. Called once at start. */
void sl_process_start(sl_process_child_fn *in_child);

/* Is this memory this process's own? In a forked child that nobody told us of, the child function runs
 * first. One system call, none once the process is sandboxed: what it forks from then on is never ours, and a child of vfork()
 * is taken for the process itself. */
bool sl_process_is_ours(void);

/* For the fork handler: this is a forked child. The child function runs, once. */
void sl_process_forked(void);

/* The program is about to make a thread; it has made one, here or in a process that this one was forked from. */
void sl_process_note_threads(void);
bool sl_process_has_threads(void);

/* May a thread of ours be made? Not in a child of a process with threads that no fork handler told of: a lock of libc that
 * pthread_create() wants may be held there for ever (fork(2)). */
bool sl_process_may_make_threads(void);

/* How many times this process, and those it was forked from, have forked: through libc's fork(), posix_spawn(), system() and popen().
 * Never 0. Counted with SL_LOCK_ACTION held (locks.h), and once more after the last three. */
void sl_process_count_fork(void);
uint32_t sl_process_forks(void);

/* When this process was forked; 0: it was not, or had no socket then. A reading of sl_clock_ms(). */
uint64_t sl_process_forked_at_ms(void);

/* Is this the thread whose end is not the end of the process alone? In a sandbox without a system call. */
bool sl_process_is_first_thread(void);

/* The library came into it while it ran. */
void sl_process_attached(void);
bool sl_process_is_attached(void);

/* From now on system calls of ours may end the process (seccomp): hooks make none any more. */
void sl_process_sandboxed(void);
bool sl_process_is_sandboxed(void);

/* The calling thread has an fd table of its own from now on (unshare(2), CLONE_FILES): its numbers are not those of the ledger, and
 * it may hold what the ledger shows as closed. Never taken back. */
void sl_process_thread_separated(void);
bool sl_process_is_separate_thread(void);

/* May anything be done about a connection? Not in a sandbox, nor when a thread has a table of its own: what that one
 * holds is not to be known. */
bool sl_process_may_act(void);

#endif
