/* evidence.h - what the worker knows of each site's suspects, now and over time: what verdicts are made of.
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child starts anew (sl_evidence_forked). errno: untouched.
 * Cost: two looks at a table for each suspect, every second sweep and at each report.
 */
#ifndef SL_WATCH_EVIDENCE_H
#define SL_WATCH_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "watch/verdict.h"

#define SL_TREND_UNKNOWN INT64_MIN

/* How a site goes, from a sample every SL_HISTORY_GAP_MS. SL_TREND_UNKNOWN: not known (yet). */
struct sl_trend {
	int64_t waiting_per_min; /* suspects */
	int64_t open_per_min;
	int64_t half_life_ms; /* after which the program has closed half of its suspects, at this rate; unknown: closes none */
	int64_t late_ms_p50; /* from the peer's FIN to the program's late close */
	uint64_t late;       /* how often, since start */
};

/* Take the evidence from the suspects as the last sweep left them. */
void sl_evidence_take(void);
/* After a sweep: the same, now and then, and keep a sample of each site. */
void sl_evidence_sample(uint64_t now_ms);

/* What was taken last of this site. All zero: it has no suspects. */
void sl_evidence_of_site(uint32_t site, struct sl_evidence *evidence);
/* ... which has so many open now. */
void sl_evidence_trend(uint32_t site, uint64_t now_ms, uint64_t open, struct sl_trend *trend);

/* Quiet time from which a connection of this site is settled. */
uint64_t sl_evidence_settled_ms(uint32_t site, bool is_inbound);

/* Stuck connections of sites that are neither pools nor slow, as they were taken last; with those that we ended. */
uint64_t sl_evidence_stuck_in_doubt(bool *has_leak);

void sl_evidence_forked(void);

#endif
