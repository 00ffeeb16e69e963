/* sharing.h - does another process hold the same socket, and does an epoll set of ours?
 *
 * No hook sees every fork (system(), _Fork(), clone()), nor every SCM_RIGHTS message. What counts is known only from /proc, at the
 * time of an action: the socket's inode among the fds of every process that can be read, and in the fdinfo of our own
 * epoll sets (proc(5)). Read once for all actions of a sweep, through the clerk.
 *
 * Layer: reclaim. Locks: none: the worker only. Owner: memory of the arena given. errno: untouched.
 */
#ifndef SL_RECLAIM_SHARING_H
#define SL_RECLAIM_SHARING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "reclaim/act.h"
#include "reclaim/ladder.h"

/* One socket that was asked about. */
struct sl_shared {
	uint64_t inode; /* 0: an empty place */
	bool is_elsewhere;
	bool is_in_epoll;
	bool is_level_triggered; /* there, and would spin on a hang-up */
	uint8_t registrations;   /* of those, as many as there is room for */
	struct sl_registration in[SL_REGISTRATIONS];
};

struct sl_sharing {
	struct sl_shared *slots; /* open-addressed, by inode */
	uint32_t mask;
	char task[48];   /* "/proc/self/task/TID" of the thread whose fd table is the program's */
	bool is_unknown; /* a process that may share could not be read, or it was too much */
	bool is_older_unknown; /* the same, of one that was there before this process: it may have what this one inherited */
	bool is_epoll_unknown; /* the same for our own epoll sets */
	uint64_t cost_us;      /* processor time of the reading */
	bool is_abandoned;     /* the clerk is still at it: the memory is not free yet */
};

/* Room for `count` sockets. False: no memory. */
bool sl_sharing_begin(struct sl_sharing *sharing, struct sl_arena *arena, uint32_t count);
void sl_sharing_ask(struct sl_sharing *sharing, uint64_t inode);

/* Read all of /proc, through the clerk. False: not done within wait_ms, or the clerk is busy: nothing is known.
 * Blocks: up to wait_ms; bounded by SL_SHARING_MOST_FDS too. */
bool sl_sharing_read(struct sl_sharing *sharing, uint64_t wait_ms);

/* The socket's inode; 0: not to be had. */
uint64_t sl_sharing_inode(int fd);

enum sl_sharing_answer sl_sharing_of(struct sl_sharing *sharing, uint64_t inode);
/* This one; NULL: nobody asked about it. */
struct sl_shared *sl_sharing_get(struct sl_sharing *sharing, uint64_t inode);
bool sl_sharing_is_in_epoll(struct sl_sharing *sharing, uint64_t inode);
bool sl_sharing_is_level_triggered(struct sl_sharing *sharing, uint64_t inode);

#endif
