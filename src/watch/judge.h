/* judge.h - what a connection's observations mean: a pure function.
 *
 * Layer: watch. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 * Units: *_ms. Times named *_at_ms are readings of sl_clock_ms().
 */
#ifndef SL_WATCH_JUDGE_H
#define SL_WATCH_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/kinds.h"

enum sl_cause {
	SL_CAUSE_NONE,         /* not a suspect */
	SL_CAUSE_EOF_IGNORED,  /* a read returned 0, no close followed */
	SL_CAUSE_NEVER_LOOKED, /* the FIN came, nothing touched the fd since */
	SL_CAUSE_UNREAD_DATA,  /* bytes wait unread (a lone TLS close_notify does not count) */
	SL_CAUSE_DEAD_BUT_OPEN,
	SL_CAUSE_COUNT,
};

/* Why a dead-but-open connection died. */
enum sl_death {
	SL_DEATH_NONE,
	SL_DEATH_RST,
	SL_DEATH_TIMEOUT,
	SL_DEATH_KEEPALIVE,
	SL_DEATH_ORDERLY, /* both sides closed their halves; only the fd is left */
	SL_DEATH_COUNT,
};

/* What is known of one TCP socket at one moment. */
struct sl_observation {
	uint8_t state;               /* TCP_* of netinet/tcp.h, as TCP_INFO says */
	bool was_established;        /* it was connected once: accept, connect, or seen so */
	bool shut_write;             /* the program called shutdown() for writing */
	bool eof_seen;               /* a read-family call of non-zero length returned 0 */
	bool touched_since_fin;      /* any hooked call or kernel-seen activity after the FIN */
	uint8_t retransmits;         /* tcpi_retransmits */
	uint8_t keepalive_probes;    /* tcpi_probes */
	uint64_t fin_at_ms;          /* arrival of the FIN, or of the death; 0: unknown */
	uint64_t activity_at_ms;     /* latest activity; 0: none seen */
	uint32_t unread_bytes;       /* SIOCINQ */
	bool unread_is_close_notify; /* those bytes can only be a lone TLS close_notify */
	uint32_t unsent_bytes;       /* SIOCOUTQ: not sent, or sent and not acknowledged */
	bool peer_answers;           /* tcpi_last_ack_recv shows a live peer */
};

struct sl_judgement {
	bool is_close_wait;
	bool is_dead; /* dead-but-open */
	enum sl_death death;
	enum sl_cause cause;    /* of a CLOSE_WAIT or dead connection, stuck or not */
	uint64_t quiet_ms;      /* 0 for any other state */
	uint64_t close_wait_ms; /* since the FIN; 0 for any other state */
	bool is_stuck;          /* quiet_ms >= deadline_ms, and CLOSE_WAIT or dead */
};

void sl_judge(const struct sl_observation *seen, uint64_t deadline_ms, uint64_t now_ms,
              struct sl_judgement *judgement);

#endif
