/* place.h - where the control socket of this process lives.
 *
 * In the first directory that is ours, with mode 0700: dir=, $XDG_RUNTIME_DIR/sockleak, /run/sockleak, /tmp/sockleak-UID; it is
 * made where it is missing and its parent allows that. Else an abstract socket. The name is PID.START.sock, START the start time as
 * /proc/PID/stat has it (proc(5), field 22). No link is followed, and what others own is not used.
 *
 * Layer: control. Locks: none: the control thread only, in an fd table of its own. Fork: sl_place_forked(). errno: untouched.
 */
#ifndef SL_CONTROL_PLACE_H
#define SL_CONTROL_PLACE_H

#include <stdint.h>

/* Remember $XDG_RUNTIME_DIR. Context: the constructor: the environment may change later. */
void sl_place_start(const char *runtime_dir);

/* Make the listening socket; removes those of processes that are gone. A descriptor or -errno. */
int sl_place_listen(void);

/* The start time that the name tells; 0: not known. */
uint64_t sl_place_start_ticks(void);

/* Remove the name, if there is one. Async-signal-safe. Context: any thread, when the socket is closed, or the process ends. */
void sl_place_remove(void);

/* In a forked child: the name is its parent's. */
void sl_place_forked(void);

#endif
