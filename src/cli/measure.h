/* measure.h - the three counts that pictures are drawn of, and names for what has none.
 *
 * Layer: cli. Locks: none. Fork: no state. errno: untouched. Pure functions of a snapshot.
 */
#ifndef SL_CLI_MEASURE_H
#define SL_CLI_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "report/snapshot.h"

enum sl_measure {
	SL_MEASURE_STUCK,
	SL_MEASURE_CLOSE_WAIT,
	SL_MEASURE_OPEN,
	SL_MEASURE_COUNT,
	SL_MEASURE_AUTO = SL_MEASURE_COUNT, /* stuck, or open where nothing is stuck */
};

/* "stuck", "close_wait", "open", "auto", as --value takes them. */
const char *sl_measure_word(enum sl_measure measure);
bool sl_measure_parse(const char *word, enum sl_measure *measure);

/* SL_MEASURE_AUTO resolved for this snapshot; any other is returned as it is. */
enum sl_measure sl_measure_of(enum sl_measure measure, const struct sl_snapshot *s);

uint64_t sl_measure_site(enum sl_measure measure, const struct sl_snapshot_site *site);
uint64_t sl_measure_total(enum sl_measure measure, const struct sl_snapshot *s);
/* What the total has and no site: connections of sites that were left out, or did not fit the site table. */
uint64_t sl_measure_siteless(enum sl_measure measure, const struct sl_snapshot *s);

/* A frame as one shows it: its text, else its function, its module or "?". Never NULL. */
const char *sl_measure_frame(const struct sl_frame *frame);
/* What stands in place of a stack where a site has none, and for the siteless. */
extern const char sl_measure_no_stack[];
const char *sl_measure_no_site(const struct sl_snapshot *s);
extern const char sl_measure_cut[]; /* above the outermost frame of a stack that was cut */

/* The socket counts as stuck in its snapshot. */
bool sl_measure_is_stuck(const struct sl_snapshot *s, const struct sl_snapshot_socket *socket);

#endif
