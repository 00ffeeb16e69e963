/* mangled.h - in which namespace is a function, by its name as the object exports it?
 *
 * No demangler: only the leading names of a nested one, by the Itanium C++ ABI (5.1.2), which older Rust follows too.
 *
 * Layer: stack. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_STACK_MANGLED_H
#define SL_STACK_MANGLED_H

#include <stddef.h>

/* "boost::asio::detail::socket_ops::socket" of "_ZN5boost4asio6detail10socket_ops6socketE..."; as much as there is room
 * for. A name that is not mangled is given back without what may stand before its namespace ("<", "&", "virtual thunk
 * to "). The result lies in `scope` or in `function`. */
const char *sl_mangled_scope(const char *function, char *scope, size_t n);

#endif
