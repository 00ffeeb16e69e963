/* act.h - the actions themselves, each only while {fd, generation, cookie} name the same socket.
 *
 * What goes to the description (probe, shutdown, keepalive) goes through a private duplicate (base/desk.h) whose cookie is
 * checked: it can never hit a number that was given out again. What goes to the number (neutralize, close) is done where that cookie
 * was seen. All the while every number of the socket is held: the program's own close() or dup2() of one waits that long.
 *
 * Layer: reclaim. Locks: SL_LOCK_ACTION, taken by the worker: no fork comes in between. errno: untouched.
 * Errors: -ESTALE: it is another socket by now. -EBUSY: the program is in a call on it, or has used it since it was looked at.
 */
#ifndef SL_RECLAIM_ACT_H
#define SL_RECLAIM_ACT_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/fdtable.h"

#define SL_FORKS_ANY 0u

struct sl_number {
	int fd;
	uint32_t generation;
	uint32_t last_io; /* as it was looked at; SL_IO_ANY: any will do */
};

/* One place in an epoll set of this process. */
#define SL_REGISTRATIONS 4
struct sl_registration {
	int set;
	int fd;
};

/* One connection, under all its numbers in this process. */
struct sl_target {
	uint64_t cookie;
	uint64_t bytes_sent; /* as it was looked at */
	uint32_t
		forks; /* sl_process_forks() as sharing was looked at; SL_FORKS_ANY: it does not matter */
	bool is_cut; /* there are more numbers than can be held: nothing can be done */
	uint32_t count;
	struct sl_number numbers[SL_HELD_MAX];
	uint8_t registrations;
	struct sl_registration in[SL_REGISTRATIONS];
};

/* Run `act` on a private copy of the socket, all its numbers held; `marks` are set on them first. Returns what `act` does, or why
 * it was not run. */
typedef int sl_act_fn(int copy, void *context);
int sl_act_on_copy(const struct sl_target *target, sl_act_fn *act, void *context, uint32_t marks);

/* Integer socket options, past libc. */
int sl_act_set_int(int fd, int level, int name, int value);
int sl_act_get_int(int fd, int level, int name, int *value);

/* The program's own keepalive settings, while a probe is under way. */
struct sl_probe_saved {
	int32_t is_on;
	int32_t idle_s;
	bool was_own; /* the program had set it itself before */
};

/* One keepalive probe, at once (tcp_keepalive_timer() in net/ipv4/tcp_timer.c). A peer that has forgotten the connection answers
 * RST, one that waits acknowledges. */
int sl_act_probe(const struct sl_target *target, struct sl_probe_saved *saved);
/* Put the settings back, but for what the program has set meanwhile. is_answered: the peer knows the connection: what ends it from
 * now on is not our doing, and the mark goes. */
int sl_act_probe_end(const struct sl_target *target, const struct sl_probe_saved *saved,
                     bool is_answered);

/* shutdown(SHUT_RDWR): sends our FIN, frees the port once that is acknowledged, wakes a healthy program. Only in CLOSE_WAIT with
 * nothing unsent, else -EBUSY. */
int sl_act_shutdown(const struct sl_target *target);

/* dup3() of a dead socket over each of the numbers. -EBUSY: bytes are unread, or an error is pending that the program should see.
 * is_lone: no other process has the description: lingering is then switched off, for a dup2() over a lingering socket would
 * block. is_error_ours: a pending error can only come of what we did. */
int sl_act_neutralize(const struct sl_target *target, bool is_lone, bool is_error_ours);

/* Both in one, and only with a dead socket at hand: of what an epoll set would report for ever once it is shut down. A program that
 * the shutdown wakes waits with its close() or epoll_ctl() until the number is dead (*is_dead), and keeps nothing from becoming so. No
 * error may be pending, and no other process may have it. */
int sl_act_end(const struct sl_target *target, bool *is_dead);

/* Close the neutralized number. */
int sl_act_close(const struct sl_number *number);

/* Reserve what actions need. Tried again at each action if it fails. */
int sl_act_start(void);

#endif
