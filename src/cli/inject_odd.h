/* inject_odd.h - threads for which the kernel keeps something else than for their process: a call that one of them makes would open,
 * see or start something else than is meant, or end it.
 *
 * Layer: cli. Context: one thread. Source: proc(5), kcmp(2). What the kernel does not tell counts as usual.
 */
#ifndef SL_CLI_INJECT_ODD_H
#define SL_CLI_INJECT_ODD_H

#include <stdbool.h>

/* Has thread `tid` another fd table than `view`, another root, mount or network namespace, or a narrower sandbox? Or is it a worker of the
 * kernel's (io_uring), which nobody can trace? */
bool sl_task_is_odd(int view, int tid);

/* Do two processes share their memory, as one does that was made by vfork() with its parent? */
bool sl_task_shares_memory(int pid, int other);

#endif
