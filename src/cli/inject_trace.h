/* inject_trace.h - one thread under ptrace: seized, held, let go; and why it stopped.
 *
 * A signal that reaches it meanwhile is passed on at once, unless the caller wants to see it. A group stop is not waited for:
 * the kernel stops the thread again when it is let go.
 *
 * Layer: cli. Context: the thread that seized it. Source: ptrace(2).
 */
#ifndef SL_CLI_INJECT_TRACE_H
#define SL_CLI_INJECT_TRACE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum sl_stop_kind {
	SL_STOP_HELD,    /* as asked for by sl_tracee_hold(); on the way out of the kernel */
	SL_STOP_ENTRY,   /* of a system call */
	SL_STOP_RETURN,  /* from a system call, with its result */
	SL_STOP_PROGRAM, /* it has become another program */
};

struct sl_tracee {
	int tid;
	int how;        /* it was let run: a request of ptrace */
	bool is_wanted; /* to stand still, asked for and not yet so */
	bool is_held;   /* it stands still, at `kind` */
	enum sl_stop_kind kind;
	uint64_t pc;      /* at ENTRY and RETURN */
	uint64_t held_us; /* CLOCK_MONOTONIC since when it does not go its own way; 0: it does */
};

/* What sl_trace_begin() changes in us. */
struct sl_trace_before {
	sigset_t mask;
	struct sigaction child; /* of SIGCHLD */
};

/* SIGCHLD, which tells of stops, is caught from here on, and waited for below. Where it is ignored, as a parent may have left it to us,
 * the kernel would not send it. */
void sl_trace_begin(struct sl_trace_before *before);
void sl_trace_end(const struct sl_trace_before *before);

uint64_t sl_trace_now_us(void);

/* 0: it is ours and runs on; or -errno of ptrace(PTRACE_SEIZE). */
int sl_tracee_seize(struct sl_tracee *tracee, int tid);

/* It shall stop: in a system call, which that interrupts, or where it computes. Blocks: never. */
void sl_tracee_hold(struct sl_tracee *tracee);
/* Let it run: to the next entry or return of a system call; or until it is held again. */
int sl_tracee_step_call(struct sl_tracee *tracee);
int sl_tracee_run(struct sl_tracee *tracee);

/* Until it stops: 0; -ETIME: it has not by then; -ESRCH: it has ended. */
int sl_tracee_wait(struct sl_tracee *tracee, uint64_t until_us);

/* Is it traced by us? */
bool sl_tracee_is_ours(int tid);

/* Detach, from wherever it is. One that does not stop within a second, as in the middle of vfork(), stays traced until we end. */
void sl_tracee_release(struct sl_tracee *tracee);

#endif
