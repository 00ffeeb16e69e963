/* scope.h - is this a process to work in? programs= and children=, at start.
 *
 * Layer: control. Locks: none. Fork: no state. errno: untouched.
 */
#ifndef SL_CONTROL_SCOPE_H
#define SL_CONTROL_SCOPE_H

#include <stdbool.h>

/* Context: the constructor, in the only thread: opens files of /proc among the program's own for a moment. */
bool sl_scope_is_ours(void);

/* Does one of the comma separated globs fit? An empty list fits all. Pure. */
bool sl_scope_fits(const char *globs, const char *program);

#endif
