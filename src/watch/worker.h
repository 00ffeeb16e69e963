/* worker.h - the one thread of the library: it alone looks, judges, acts and reports.
 *
 * Started by the first TCP socket, with all signals blocked, named "sockleak". It sleeps on a futex, and
 * leaves files to the clerk (base/clerk.h): no fd of ours. What
 * it does at each turn is handed to it by start.c, so that nothing here reaches up to the reports.
 *
 * Layer: watch. Locks: SL_LOCK_WORKER, tried by hooks, while the thread is started. errno: untouched.
 * Fork: the child has no worker; its next TCP socket starts one.
 */
#ifndef SL_WATCH_WORKER_H
#define SL_WATCH_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/guard.h"

/* Why somebody wants a report; bits. */
enum sl_wanted {
	SL_WANTED_BY_SIGNAL = 1 << 0,
	SL_WANTED_BY_EXIT = 1 << 1,
	SL_WANTED_BY_PRESSURE = 1 << 2,
	SL_WANTED_BY_PROGRAM = 1 << 3,
};

/* Out of ports or fds: what the hooks noted since the last turn. */
struct sl_pressure {
	int error;     /* EADDRNOTAVAIL, EMFILE, ENFILE; 0: none */
	uint32_t dest; /* peer id of the destination; 0: none */
};

struct sl_worker_duties {
	/* Before the thread is made, by the one of the program that makes it: what takes low numbers for a moment, which would be in
	 * the way of a program that runs. NULL: nothing. */
	void (*ready)(void);
	/* The same one asks: is this no place to make a thread, in a signal handler that has come into malloc()? NULL: it never is. */
	bool (*is_amidst)(void);
	void (*start)(void); /* once, before the first turn: what takes the loader's lock */
	/* Each turn; returns how many ms the worker may sleep. */
	uint64_t (*turn)(unsigned wanted, const struct sl_pressure *pressure);
	/* End what other threads `start` made; true: they are gone. Asked again until they are. */
	bool (*end)(void);
	/* How many there are of them. */
	unsigned (*threads)(void);
};

/* Hand over the duties. Called once at start; starts no thread. */
void sl_worker_prepare(const struct sl_worker_duties *duties);

/* See to it that the worker runs, and wait, 50 ms at most in a process's life, until it has done its start: then the
 * first socket has its stack too. Waiting longer could be a deadlock: the caller may hold the loader's lock.
 * Context: hooks before the real call. pthread_create() allocates: one of the three exceptions named in
 * docs/architecture.md. Errors: no thread to be had: tried again at the next socket; no place for it: put off. */
void sl_worker_ensure(const struct sl_guard *g);

/* The same without the wait. */
void sl_worker_begin(const struct sl_guard *g);

/* It should run, and was only asked for where it could not be started: any hook that is elsewhere may do it. */
bool sl_worker_is_put_off(void);

bool sl_worker_is_running(void);
/* Could the last one that was to begin not be made? */
bool sl_worker_is_refused(void);

/* End all threads of ours, at their leisure; in this process none starts again before sl_worker_forked(), which may be called when they
 * are gone. Context: any thread. */
void sl_worker_retire(void);
bool sl_worker_is_gone(void);

/* End all threads of ours, so that the kernel sees the process as the program made it; what they know is kept. True: one ran, and
 * is gone; sl_worker_resume() must follow, which starts it anew where `again` says so. False: none ran, or a disk keeps
 * one busy; resume all the same.
 * Context: hooks before the real call. Blocks: some ms, SL_REST_WAIT_MS at most. */
bool sl_worker_rest(void);
/* The same in a sandbox, for good: without any system call of the caller's, which looks again and again for as long. */
void sl_worker_rest_in_sandbox(void);
void sl_worker_resume(bool again);

/* The worker's thread id: its fd table is the program's. */
int sl_worker_tid(void);

/* From the hook of pthread_exit(): the first thread of the process ends, and the rest goes on. Async-signal-safe. */
void sl_worker_main_is_gone(void);
/* It may have ended before there was a hook: the worker looks. */
void sl_worker_main_may_be_gone(void);

/* Ask for a report and wake the worker. Async-signal-safe; one system call, in a sandbox none: seen at its next turn. */
void sl_worker_want(unsigned wanted);

/* The same without a system call: seen at the next turn. */
void sl_worker_note_pressure(int error, uint32_t dest);

/* Wait until the report asked for by `wanted` is written, at most that long. */
void sl_worker_wait(unsigned wanted, uint64_t timeout_ms);

/* Ask for a report for the program, and wait for it, at most that long. True: one that was begun after the call is done. Context: a
 * thread of the program, outside a sandbox. */
bool sl_worker_ask(uint64_t timeout_ms);

/* In a forked child, or after it was retired: the thread is gone. */
void sl_worker_forked(void);

#endif
