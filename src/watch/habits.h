/* habits.h - after how long an idle connection is closed by each peer.
 *
 * A server ends a kept-alive connection after an idle time of its own. It shows as the time between the last data and the FIN,
 * which the kernel dates to the millisecond.
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child forgets them (sl_habits_forked). errno: untouched. Units: ms.
 */
#ifndef SL_WATCH_HABITS_H
#define SL_WATCH_HABITS_H

#include <stdbool.h>
#include <stdint.h>

#define SL_HABIT_KEPT 32u /* of each peer, the latest */

/* Of the idle times of `count` connections: the middle, and what four of five lie between. */
struct sl_habit {
	int64_t p10_ms, p50_ms, p90_ms;
	uint64_t count;
};

struct sl_kernel_tcp;
/* How long a connection in CLOSE_WAIT had been idle when its FIN came, by what the kernel says; -1: not known. `unread_bytes`: what
 * came since the program last read, 0 where it wrote after that. A few of them that came with the FIN are no answer but the
 * goodbye, why the session is ended or a TLS close_notify: before it the peer was idle since our last data. Pure. */
int64_t sl_habit_idle_ms(const struct sl_kernel_tcp *tcp, uint32_t unread_bytes);

/* Of n sorted times, n > 0; pure. */
struct sl_habit sl_habit_of(const int64_t *sorted_ms, uint32_t n);

/* A connection to this peer was closed by it after that idle time. Peer 0 is none. */
void sl_habits_note(uint32_t peer, int64_t idle_ms);

/* Of the latest SL_HABIT_KEPT. False: nothing was noted. */
bool sl_habits_of_peer(uint32_t peer, struct sl_habit *habit);

void sl_habits_forked(void);

#endif
