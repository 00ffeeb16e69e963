/* text.h - the report for a person: a snapshot as text.
 *
 * What an engineer needs first comes first: a header and eight lines with fixed labels, at most 100
 * columns wide. A healthy process gets one line. Then, in the short form, the worst sites; in the
 * full form every state, peer and site.
 *
 * Everything that came from outside is escaped for the terminal; nothing is cut without a line that
 * says how much.
 *
 * Layer: report. Locks: none. Fork: no state. errno: untouched.
 * Async-signal-safe: everything here, if the writer's flush function is.
 */
#ifndef SL_REPORT_TEXT_H
#define SL_REPORT_TEXT_H

#include <stdbool.h>

#include "base/out.h"
#include "report/snapshot.h"

enum sl_text_form {
	SL_TEXT_SHORT, /* for stderr: at most SL_TEXT_SHORT_LINES lines */
	SL_TEXT_FULL,  /* for a file */
};

#define SL_TEXT_SHORT_LINES 40
#define SL_TEXT_SHORT_SITES 3
#define SL_TEXT_SHORT_ADVICE 1
#define SL_TEXT_SHORT_FRAMES 4 /* of each site, the blamed one among them */

/* The full form's bounds: no report fills a disk. */
#define SL_TEXT_FULL_PEERS 200
#define SL_TEXT_FULL_SITES 100
#define SL_TEXT_FULL_LISTENERS 50

/* `colour` adds ANSI SGR sequences, and nothing else changes.
 * Context: one thread; `s` must not change meanwhile. */
void sl_text_render(struct sl_out *out, const struct sl_snapshot *s, enum sl_text_form form,
                    bool colour);

#endif
