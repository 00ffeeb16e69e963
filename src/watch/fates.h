/* fates.h - what became of the suspects of each site, and of each site's connections to one peer.
 *
 * A suspect ends in one of three ways: the program closes or uses it after all, we end it, or the process ends. What the program
 * does, and how late, tells a slow site and a pool from a leak.
 *
 * Layer: watch. Locks: none: the worker only. Fork: the child forgets them (sl_fates_forked). errno: untouched.
 * Units: *_ms milliseconds; times named *_at_ms are readings of sl_clock_ms().
 */
#ifndef SL_WATCH_FATES_H
#define SL_WATCH_FATES_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/fdtable.h"

#define SL_FATES_DELAYS 32u

/* One site and one of its peers; inbound, all clients together, for a server's clients are not pooled. */
struct sl_lane {
	uint32_t site;
	uint32_t peer; /* 0: inbound; SL_PEER_OVERFLOW: several, or not known */
	uint32_t
		replaced; /* stuck ones that the program closed or used, while others lay here; and those
	                    * that it closed, stuck or not, in the sweep in which it opened others */
	uint32_t ended;           /* those that we ended and that are gone */
	uint32_t ended_piled;     /* ... of them, opened although one lay here */
	uint64_t ended_fin_at_ms; /* the earliest peer FIN of them; UINT64_MAX: none */
	/* The evidence's own, made anew each time: the earliest peer FIN of those that lie here. UINT64_MAX: none. */
	uint64_t fin_at_ms;
	uint64_t settled_fin_at_ms;
	uint32_t lying;
};

/* Connections opened so shortly after an earlier one's FIN may have been on their way already. */
uint64_t sl_fates_apart_ms(void);

/* Accepted; of one that nobody saw open, its peer tells. */
bool sl_fates_is_inbound(const struct sl_fd_record *record);

/* Was it opened although one lay in its lane whose peer had sent a FIN then? Only where both are known to have the same peer. */
bool sl_fates_is_behind(const struct sl_lane *lane, const struct sl_fd_record *record,
                        uint64_t fin_at_ms);

/* The lane of this record, found or made. NULL: no memory, then it counts as alone. */
struct sl_lane *sl_lane_of(const struct sl_fd_record *record);
/* Calls `each` with every lane; false: it is forgotten. */
typedef bool sl_lane_fn(struct sl_lane *lane);
void sl_lanes_each(sl_lane_fn *each);

/* The program closed this stuck connection, or used it: so long after the peer's FIN. Or it closed one that we had shut down
 * long before. */
void sl_fates_retracted(const struct sl_fd_record *record, uint64_t delay_ms);
/* A suspect of this site was met for the first time. */
void sl_fates_met(const struct sl_fd_record *record);
/* The program closed a suspect: the site has one less. */
void sl_fates_closed(const struct sl_fd_record *record, bool was_stuck);
/* At the end of a sweep: what is opened from now on is new. */
void sl_fates_swept(void);
/* We ended it, and it is gone. */
void sl_fates_ended(const struct sl_fd_record *record, uint64_t fin_at_ms);

/* How often the program closed or used stuck ones of this site after all, since start. */
uint64_t sl_fates_late_by(uint32_t site);
/* The median of the last SL_FATES_DELAYS delays at this site, and how many there were since start. False: none. */
bool sl_fates_delay(uint32_t site, uint64_t *median_ms, uint64_t *count);
/* Suspects that the program closed, since start. */
uint64_t sl_fates_closed_by(uint32_t site);
/* Of them, stuck ones that it closed while the site opened others, as it meets them on its way to a new one; outbound. */
uint64_t sl_fates_exchanged_by(uint32_t site);

void sl_fates_forked(void);

#endif
