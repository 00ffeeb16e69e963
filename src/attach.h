/* attach.h - the way in for a process that runs already: dlopen() by somebody else's hand, then one call.
 *
 * Brought in so, no symbol of ours is found before libc's, and the constructor does nothing. The call starts everything, and
 * redirects each object's table of addresses to the doors (hooks/got.h). Sockets that are open then are adopted. Detaching restores the
 * tables, ends our threads, and leaves the object mapped: calls in flight return into it, and attaching again finds it.
 *
 * Stands above all folders. Locks: none (atomics). Fork: a child is as its parent was; forked while its
 * parent moves from one to the other, it is settled by the next call. errno: untouched.
 */
#ifndef SL_ATTACH_H
#define SL_ATTACH_H

#include <stdbool.h>

#include "base/attach.h"

/* Were we there before the program's symbols were bound: preloaded, or linked? `here`: any address of ours. Context: the constructor. */
bool sl_attach_is_first(void (*here)(void));

/* Attach. `options` as in SOCKLEAK_OPTIONS; NULL: none. An enum sl_attach_result.
 * Context: a thread of the program that is inside no allocator and not in the loader, as one that waits in a system call is. Blocks: for
 * some milliseconds. */
__attribute__((visibility("default"))) int sockleak_attach(const char *options);

/* Detach, where nobody listens at a control socket: our threads end first, then the tables lead back. `words`: SL_DETACH_FORCED, or NULL.
 * An enum sl_attach_result. Context: as above. Blocks: until our threads are gone, a second at most; else it is SL_ATTACH_BUSY, and
 * nothing was changed. */
__attribute__((visibility("default"))) int sockleak_detach(const char *words);

/* Both, as a JVM's dynamic agent (JVM TI, "Agent Start-Up (OnAttach phase)"): load, agentpath, options. */
__attribute__((visibility("default"))) int Agent_OnAttach(void *vm, char *options, void *reserved);

#endif
