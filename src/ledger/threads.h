/* threads.h - the names of the threads that open sockets.
 *
 * Layer: ledger. Locks: none. Fork: the child keeps all. errno: untouched.
 * Async-signal-safe: everything here (memory perhaps by mmap: before the real call).
 */
#ifndef SL_LEDGER_THREADS_H
#define SL_LEDGER_THREADS_H

#include <stddef.h>
#include <stdint.h>

#define SL_THREADS_MAX 1024u /* names; one bit of each site for each */

/* The id of this name, 1..1023. 0: the table is full. */
uint32_t sl_thread_intern(const char *name, size_t n);

/* The name, or NULL. Constant. */
const char *sl_thread_name(uint32_t id);

#endif
