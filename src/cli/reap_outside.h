/* reap_outside.h - end connections in CLOSE_WAIT of a process that has no library in it: shutdown(2) on a copy of each.
 *
 * Nothing is put into the process, its fd numbers stay as they are; a shut-down connection frees its port and its kernel memory
 * goes with the program's close(). The rules of the ladder hold here as well: never a listener, never with unread data beyond a lone
 * TLS close_notify, never with unsent data, never one that another process shares; and each is looked at again just before,
 * by its cookie.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_REAP_OUTSIDE_H
#define SL_CLI_REAP_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rule.h"
#include "cli/outside.h"
#include "cli/proc.h"

enum sl_reap_skip {
	SL_REAP_NOT, /* it is ended */
	SL_REAP_YOUNG,
	SL_REAP_RULE,    /* another peer than --peer */
	SL_REAP_INBOUND, /* or not known: only with --inbound */
	SL_REAP_END_UNREAD, /* inbound, and the program has not read the end: it may be busy with an answer */
	SL_REAP_UNREAD,
	SL_REAP_UNSENT,
	SL_REAP_SHARED,     /* another process has it too, or may have */
	SL_REAP_PEER_WAITS, /* an inbound peer has answered the probe */
	SL_REAP_GONE,       /* closed, or used by the program, meanwhile */
	SL_REAP_FAILED,
	SL_REAP_COUNT,
};

struct sl_reap_wish {
	uint64_t older_than_ms;
	const struct sl_rule *peer; /* NULL: any */
	bool is_inbound;            /* those too */
	bool is_dry;
};

struct sl_reap_done {
	uint64_t shut_down; /* dry: would be */
	uint64_t ended_by_probe;
	uint64_t probed;
	uint64_t skipped[SL_REAP_COUNT]; /* of those in CLOSE_WAIT */
};

/* The word of JSON and of the text: "unread-data". */
const char *sl_reap_word(enum sl_reap_skip skip);

/* May it be ended, as far as it can be told without the others? Pure. */
enum sl_reap_skip sl_reap_may(const struct sl_outside_socket *socket,
                              const struct sl_reap_wish *wish);

/* Did data come last, and none go since? Then the peer may wait for an answer. In doubt it is asked: ages are as coarse as the
 * kernel's ticks. Pure. */
bool sl_reap_needs_probe(const struct sl_outside_socket *socket);

/* 0; -ESRCH; -EACCES, -EPERM: its fds may not be copied. Blocks: a second for each batch of probes, of 8,192 or the limit of fds. */
int sl_reap_outside(const struct sl_proc *proc, const struct sl_reap_wish *wish,
                    struct sl_reap_done *done);

/* Does the program neither ignore nor catch SIGPIPE? Then a late write to what was shut down ends it. */
bool sl_reap_would_kill(int pid);

#endif
