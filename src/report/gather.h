/* gather.h - makes the snapshot: looks at every socket, then sums by peer and by site.
 *
 * Layer: report. Locks: none: the worker only. Owner: everything lies in the arena given. Fork: nothing outlives a
 * report. errno: untouched.
 */
#ifndef SL_REPORT_GATHER_H
#define SL_REPORT_GATHER_H

#include "base/arena.h"
#include "report/snapshot.h"
#include "watch/limits.h"
#include "watch/sweep.h"
#include "watch/worker.h"

/* What a snapshot is made from; now_ms is the clock of its survey. */
struct sl_gathering {
	struct sl_arena *arena;
	const struct sl_survey *survey;
	struct sl_limits limits;
	uint64_t now_ms;
	uint32_t pressed; /* peer that a call failed to reach for want of ports; 0: none */
	bool is_pressing; /* ports to somebody, or fds, have run out */
};

/* Blocks: as long as a survey takes. Errors: what memory does not allow is left out and counted in totals.dropped. */
void sl_gather(struct sl_arena *arena, enum sl_trigger trigger, const struct sl_pressure *pressure,
               struct sl_snapshot *snapshot);

/* The parts, each in a file of its own. */
void sl_gather_peers(const struct sl_gathering *from, struct sl_snapshot *snapshot);
/* After the peers: their ports, and the fds. */
void sl_gather_ports(const struct sl_gathering *from, struct sl_snapshot *snapshot);
/* After ports and sites: what is no leak of the program's. */
void sl_gather_elsewhere(const struct sl_gathering *from, struct sl_snapshot *snapshot);
void sl_gather_sites(const struct sl_gathering *from, struct sl_snapshot *snapshot);
/* The member `peer` of sites, which stand at their ids. */
void sl_gather_site_peers(const struct sl_gathering *from, struct sl_snapshot_site *sites,
                          uint32_t ids);
void sl_gather_sockets(const struct sl_gathering *from, struct sl_snapshot *snapshot);

/* "1.2.3.4:80" from the arena; NULL: no memory. */
const char *sl_gather_endpoint(struct sl_arena *arena, const struct sl_endpoint *endpoint);

/* Since the program's last call on it, as far back as sweeps remember, or since the last data, whichever is less. SL_UNKNOWN. */
int64_t sl_gather_last_use_ms(const struct sl_gathering *from, const struct sl_survey_row *row);

/* The order of peers and sites: stuck, then CLOSE_WAIT, then open, most first; as sl_sort_fn wants it. */
int sl_gather_worse(const uint64_t a[3], const uint64_t b[3]);

#endif
