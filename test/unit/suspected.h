/* suspected.h - connections whose peer has closed its half, recorded as the doors would; sweeps and turns over them, and what
 * the ladder tells of them.
 *
 * Whatever fails, fails the test that called.
 */
#ifndef SL_TEST_SUSPECTED_H
#define SL_TEST_SUSPECTED_H

#include "ledger/fdtable.h"
#include "reclaim/act.h"
#include "reclaim/event.h"
#include "tcp.h"
#include "watch/suspects.h"

#define SUSPECTED_OUT (SL_FD_OUT | SL_FD_CONNECTED)
#define SUSPECTED_IN (SL_FD_IN | SL_FD_CONNECTED)

/* Nothing is recorded, suspected, done or told, no number above stderr's is taken, and every option is at its default. */
void suspected_reset(void);

/* A connection whose outbound end, pair->client, is recorded with this site and in CLOSE_WAIT. */
void suspected_open_at(struct tcp_pair *pair, uint32_t site);
void suspected_open(struct tcp_pair *pair);
/* The same inbound: pair->server is recorded, with an end of file that the program has seen. */
void suspected_open_inbound(struct tcp_pair *pair);

/* The peer at this end closes, and its kernel forgets the connection: takes about two seconds. */
void suspected_forget_peer(struct tcp_pair *pair);

/* Start the clerk, and wait until its threads run: nobody should fork while a thread is about to begin. */
void start_clerk(void);

/* Skips the test, and says so, where some process of this user can never be read: then nobody can tell who shares a socket. Needs
 * the clerk. */
void need_readable_proc(void);

/* Runs `run`, the rest of main(), with a /proc of its own, where no other process comes and goes that might share a socket; where
 * that is not allowed, and no process stands in the way, here. Returns what main() returns. */
int run_alone(int (*run)(void));

struct sl_fd_record suspected_record(int fd);
uint32_t suspected_marks(int fd);
/* The connection at fd with this number alone, as it is now. */
struct sl_target suspected_target(int fd);

/* Nothing is held there, and nothing of the program's lies on a number of ours. */
void suspected_check_free(int fd);

/* What hooked calls leave. */
void suspected_touch(int fd, enum sl_io io);

/* One sweep at this time, and a turn of the ladder with it. */
uint64_t suspected_turn(uint64_t now_ms);

/* What was told since suspected_reset() or told_forget(). */
#define TOLD_MAX 512
extern struct sl_event told[TOLD_MAX];
extern unsigned told_count;
void told_note(const struct sl_event *event); /* an sl_event_fn */
void told_forget(void);
unsigned told_of(enum sl_event_kind kind);
const struct sl_event *told_last(enum sl_event_kind kind);

#endif
