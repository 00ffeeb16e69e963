/* thread.h - threads of ours: detached, named, and with every signal blocked, so that none of the program's is ever
 * delivered to them.
 *
 * Layer: base. Locks: none. Fork: the child has none of them. errno: untouched.
 * Context: pthread_create() allocates: one of the three exceptions named in docs/architecture.md.
 */
#ifndef SL_BASE_THREAD_H
#define SL_BASE_THREAD_H

#include <stdbool.h>

typedef void sl_thread_fn(void);

/* Run `work` on a new thread; at most 15 bytes of name. False: no thread is to be had. */
bool sl_thread_start(const char *name, sl_thread_fn *work);

#endif
