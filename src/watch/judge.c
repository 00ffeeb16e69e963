#include "watch/judge.h"

#include <netinet/tcp.h>

#include "base/poison.h"

/* Clocks read on two processors, or before a fork, may disagree by a little: never below zero. */
static uint64_t elapsed_ms(uint64_t since_ms, uint64_t now_ms)
{
	return since_ms != 0 && now_ms > since_ms ? now_ms - since_ms : 0;
}

static enum sl_death death_of(const struct sl_observation *seen)
{
	if (seen->shut_write)
		return SL_DEATH_ORDERLY;
	if (seen->keepalive_probes > 0)
		return SL_DEATH_KEEPALIVE;
	if (seen->retransmits > 0)
		return SL_DEATH_TIMEOUT;
	return SL_DEATH_RST;
}

static enum sl_cause close_wait_cause(const struct sl_observation *seen)
{
	if (seen->unread_bytes > 0 && !seen->unread_is_close_notify)
		return SL_CAUSE_UNREAD_DATA;
	return seen->eof_seen ? SL_CAUSE_EOF_IGNORED : SL_CAUSE_NEVER_LOOKED;
}

static uint64_t quiet_ms(const struct sl_observation *seen, bool is_close_wait, uint64_t now_ms)
{
	/* A peer that takes our data is the half-close of RFC 9293 in use. */
	if (is_close_wait && seen->unsent_bytes > 0 && seen->peer_answers)
		return 0;
	uint64_t latest =
		seen->fin_at_ms > seen->activity_at_ms ? seen->fin_at_ms : seen->activity_at_ms;
	return elapsed_ms(latest, now_ms);
}

void sl_judge(const struct sl_observation *seen, uint64_t deadline_ms, uint64_t now_ms,
              struct sl_judgement *judgement)
{
	*judgement = (struct sl_judgement){
		.is_close_wait = seen->state == TCP_CLOSE_WAIT,
		/* A fresh socket and a refused connect are in state CLOSE as well. */
		.is_dead = seen->state == TCP_CLOSE && seen->was_established,
	};
	if (judgement->is_close_wait) {
		judgement->cause = close_wait_cause(seen);
		judgement->close_wait_ms = elapsed_ms(seen->fin_at_ms, now_ms);
	} else if (judgement->is_dead) {
		judgement->death = death_of(seen);
		judgement->cause = SL_CAUSE_DEAD_BUT_OPEN;
	} else {
		return;
	}
	judgement->quiet_ms = quiet_ms(seen, judgement->is_close_wait, now_ms);
	judgement->is_stuck = judgement->quiet_ms >= deadline_ms;
}
