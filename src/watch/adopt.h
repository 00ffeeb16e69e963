/* adopt.h - the sockets that nobody saw open: inherited across exec, by raw system calls, through io_uring.
 *
 * Found by listing /proc/self/fd through a directory fd that is kept open (it works when the process is out of
 * fds), and recorded as adopted.
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child opens the directory anew. errno: untouched.
 */
#ifndef SL_WATCH_ADOPT_H
#define SL_WATCH_ADOPT_H

#include <stdint.h>

/* List the fds, adopt what is new. Returns how many fds the process has, ours not counted; -errno. */
int64_t sl_adopt_scan(uint64_t now_ms);

/* At start, before any thread of ours: does the process have a TCP socket already? */
int sl_adopt_at_start(uint64_t now_ms);

void sl_adopt_forked(void);

#endif
