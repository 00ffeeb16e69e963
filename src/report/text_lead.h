/* text_lead.h - the header and the eight lines that every text report begins with.
 *
 * Verdict, WHERE, TO, RUNS OUT, DONE, NOT SEEN, NOW, FIX: always all of them, always in this order,
 * each at most SL_TEXT_COLUMNS wide. They say nothing that the snapshot does not know.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here,
 * if the flush function of the writer is.
 */
#ifndef SL_REPORT_TEXT_LEAD_H
#define SL_REPORT_TEXT_LEAD_H

#include <stdbool.h>

#include "base/out.h"
#include "report/snapshot.h"

/* Header, an empty line, the eight lines. */
void sl_text_lead(struct sl_out *out, const struct sl_snapshot *s, bool colour);

/* The peer has connections in CLOSE_WAIT, or stuck ones. */
bool sl_text_lead_peer_is_suspect(const struct sl_snapshot_peer *peer);

#define SL_TEXT_PEER_BYTES 128

/* The address of a peer as people write it: "1.2.3.4:80", "[::1]:80", "10.0.0.7 to local port
 * 8080",
 * "(others)". Not escaped yet. */
void sl_text_lead_peer(char text[SL_TEXT_PEER_BYTES], const struct sl_snapshot_peer *peer);

#endif
