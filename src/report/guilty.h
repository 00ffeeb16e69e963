/* guilty.h - the site that a report speaks of: which it is, where it reads, whom it talks to.
 *
 * Layer: report. No state: pure functions of a snapshot. Async-signal-safe.
 */
#ifndef SL_REPORT_GUILTY_H
#define SL_REPORT_GUILTY_H

#include <stdbool.h>

#include "report/snapshot.h"

/* Something of this site waits for a close, or was ended by us. */
bool sl_guilty_is_suspect(const struct sl_snapshot_site *site);

/* The site that the lines speak of: that with most connections stuck or ended by us; NULL: none is suspect. */
const struct sl_snapshot_site *sl_guilty_site(const struct sl_snapshot *s);

/* Where most of the ends of file that this site ignores were read: the blame of that, or NULL. */
const char *sl_guilty_reader(const struct sl_snapshot *s, const struct sl_snapshot_site *site);

/* The outbound peer of most of what is suspect at this site, whose habit is advised on. NULL: there is not one. */
const struct sl_snapshot_peer *sl_guilty_peer(const struct sl_snapshot *s,
                                              const struct sl_snapshot_site *site);

#endif
