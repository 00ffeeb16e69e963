/* diff.h - two snapshots, one after the other: which sites and peers grew.
 *
 * A site is matched by kind and blame, the line of code that it is; one without a blame by the words of its
 * stack. Its number would not do: it differs from process to process. Peers are matched by direction, address and
 * port. What has the same key is one row.
 *
 * Layer: cli. Context: one thread. Locks: none. Owner: names lie in the two snapshots, which must outlive the diff;
 * the rest is freed by sl_diff_free(). Errors: out of memory ends the command.
 */
#ifndef SL_CLI_DIFF_H
#define SL_CLI_DIFF_H

#include <stdbool.h>
#include <stdint.h>

#include "report/snapshot.h"

struct sl_diff_counts {
	int64_t stuck, close_wait, open;
};

struct sl_diff_row {
	const struct sl_snapshot_site
		*site; /* one that it stands for, the later where there are two; or ... */
	const struct sl_snapshot_peer *peer;
	struct sl_diff_counts before, after;
	bool was, is; /* there, in the one and the other */
};

struct sl_diff_rows {
	struct sl_diff_row *rows; /* by growth of stuck, then close_wait, then open, descending */
	uint32_t count;
};

struct sl_diff {
	const struct sl_snapshot *before, *after;
	bool is_same_process; /* pid, host and start */
	int64_t elapsed_ms;   /* negative: the second was taken first */
	struct sl_diff_rows sites, peers;
};

void sl_diff_make(struct sl_diff *diff, const struct sl_snapshot *before,
                  const struct sl_snapshot *after);
void sl_diff_free(struct sl_diff *diff);

/* "new", "gone", "grew", "shrank", "same". */
const char *sl_diff_word(const struct sl_diff_row *row);

#endif
