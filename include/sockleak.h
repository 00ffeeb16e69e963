/* sockleak.h - what a program may ask of the library, if it was preloaded.
 *
 * No program needs this. All functions are weak: where the library is not there, their address is NULL, and nothing has to be
 * linked:
 *
 *     if (sockleak_enable)
 *         sockleak_enable(0);
 *
 * Thread safety: all may be called from any thread. Signal safety: none may be called from a signal handler. errno: untouched.
 * All return -1 in a process that the library has nothing to say of: it was left out at start by enabled=0, programs= or
 * children=, or a seccomp filter forbids it; and in the child of vfork().
 */
#ifndef SOCKLEAK_H
#define SOCKLEAK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Switch the library off (0) or on (anything else), as enabled= does at start. Off, it has no thread, no signal handler and no
 * socket of its own in the process, and records no new connection. On, it adopts those that were opened meanwhile.
 * Blocks: while its threads end, a second at most.
 * Returns 1 if it was on before, 0 if it was off; -1: it cannot be switched in this process. */
int sockleak_enable(int on) __attribute__((weak));

/* Ask for a report now, as the report signal does: to stderr and the files of report= and json=, with the trigger "command".
 * Blocks: until it is written, at most wait_ms; 0 or less: not at all, the report comes by itself.
 * Returns 1: a report that was begun after the call is written, or its file is on a disk that hangs; 0: it is asked for, and was not
 * written within the time; -1: none will come, for the library is off, or no TCP socket was opened in this process yet. */
int sockleak_report(int wait_ms) __attribute__((weak));

/* Counts of this process's TCP connections, as of the library's last sweep: at most `interval` ago, mostly. The words mean what they
 * mean in the totals of a report. */
struct sockleak_totals {
	size_t size;           /* set by the caller: sizeof(struct sockleak_totals) */
	uint64_t sweep_age_ms; /* how long ago that sweep was */
	uint64_t opened;       /* since start */
	uint64_t closed;       /* of those */
	uint64_t open;         /* a connection that several descriptors share is one */
	uint64_t close_wait;
	uint64_t stuck;
	uint64_t retracted; /* were stuck, and were used or closed after all */
	uint64_t regretted; /* ended by the library, and used all the same */
};

/* Fill it in. A later library may know more, an earlier one less: it writes no more than `size` bytes, and sets `size` to how many it
 * has written.
 * Blocks: never.
 * Returns 0; -1: not known, for the library is off, has not swept yet (no TCP socket was opened in this process), or `size` is
 * smaller than the first member. */
int sockleak_totals(struct sockleak_totals *totals) __attribute__((weak));

/* Name the connection at fd, "db-pool": the name stands in reports, at the socket (with detail=1) and, where all open connections of
 * a line of code share one, there. It ends with the connection, and stands for copies of the descriptor that are made later. Bytes
 * behind the 31st are left out; NULL or "" takes a name back. There may be about a thousand different names: name kinds, not single
 * connections.
 * Blocks: never.
 * Returns 0; -1: the library is off, or does not know a socket at fd, or has no room for another name. */
int sockleak_name_fd(int fd, const char *name) __attribute__((weak));

/* Say that the connection at fd is meant to stay as it is until it is closed, whatever its peer does: it is not stuck, is no part of
 * the verdict, and no action or rescue touches it (the event "skipped" says "intended"). It still counts in CLOSE_WAIT, and holds its
 * port. It is said for all descriptors of the connection, also those that are made later.
 * Blocks: while an action on it is under way, a few system calls; none begins afterwards. One that is over is not taken back.
 * Returns 0; -1: the library is off, or does not know a TCP socket at fd. */
int sockleak_intend_fd(int fd) __attribute__((weak));

#ifdef __cplusplus
}
#endif

#endif
