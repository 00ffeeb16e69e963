/* entry.h - what every door does before it lets the program through.
 *
 * A door has two halves. Before the real call it may make system calls, walk the stack, start the worker: all of it
 * under the guard, nothing of it held when the real call begins. After the real call it only publishes with atomics:
 * no system call, no lock, no memory from the kernel. errno is what the real call left.
 *
 * Layer: hooks. Locks: none of its own. Fork: no state. Async-signal-safe: everything here.
 */
#ifndef SL_HOOKS_ENTRY_H
#define SL_HOOKS_ENTRY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "ledger/fdtable.h"
#include "stack/stack.h"

/* False until start is done, and where sockleak is switched off or dormant: then every door only passes through. */
extern _Atomic bool sl_hooks_are_live;

/* May this call touch the ledger? Not in a vfork child: the ledger there is its parent's. Nor in a thread that has an fd table of its
 * own. One system call. */
bool sl_entry_is_ours(void);

/* ... where something is recorded at fd: else no question, and no. */
bool sl_entry_is_ours_at(int fd);

/* May this call record a new socket? Not while the library is switched off either (control/power.h). */
bool sl_entry_is_watching(void);

/* For a call that may open a socket, if it is ours. Makes room in the fd table, starts the worker if the socket is TCP,
 * and says who is calling. */
void sl_entry_opening(const void *caller, bool is_tcp, struct sl_origin *origin);

/* Record what the real call opened. */
void sl_entry_opened(int fd, enum sl_kind kind, uint32_t flags, const struct sl_origin *origin);

/* For a call that ends what is at fd: its record, between the phases, if there is one and this call is ours. */
struct sl_fd_forgotten sl_entry_closing(int fd);

/* After a read that met the end of file: where is that, if its site is one that goes on to leave such connections open? The one
 * place where a stack is taken behind the real call (docs/architecture.md, "The three exceptions"). */
void sl_entry_at_end(const void *caller, const struct sl_fd_record *record);

/* After a call that failed: out of ports or fds? Only notes it; the worker sees it at its next look. */
void sl_entry_failed(int error, int fd);

/* The address that the current function returns to. */
#define SL_CALLER() __builtin_return_address(0)

#endif
