/* adopt.h - the sockets that nobody saw open: inherited across exec, by raw system calls, through io_uring.
 *
 * Found by listing the fds of the process, through the clerk, and recorded as adopted if they are still not recorded a moment later: the
 * hooks record a socket a few instructions after it was opened. What a hook may yet record waits for the next look (watch/doubts.h).
 *
 * Layer: watch. Locks: none: the worker only. Fork: no state. errno: untouched.
 */
#ifndef SL_WATCH_ADOPT_H
#define SL_WATCH_ADOPT_H

#include <stdint.h>

/* While all is well the fds are listed at least so often. What is found after a longer time may be old: SL_FD_UNDATED. */
#define SL_ADOPT_GAP_MS 40000u

/* List the fds, adopt what is new. Returns how many fds the process has, ours not counted; -errno. */
int64_t sl_adopt_scan(uint64_t now_ms);

/* What the program does is not seen from here on: the library is about to be detached. When it is attached again, what is recorded
 * still, and is not the same socket any more by its cookie, is dropped; so is what was never identified. Context: the worker. */
void sl_adopt_begin_gap(void);
void sl_adopt_end_gap(void);

/* At start, before any thread of ours: does the process have a TCP socket already? */
int sl_adopt_at_start(uint64_t now_ms);

#endif
