/* request.h - one line that a client of the control socket says, taken apart. docs/control.md has the protocol.
 *
 * Layer: control. Pure. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_CONTROL_REQUEST_H
#define SL_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#define SL_REQUEST_BYTES 4096 /* of a line, its newline too */

enum sl_request_kind {
	SL_REQUEST_VERSION,
	SL_REQUEST_SNAPSHOT_JSON,
	SL_REQUEST_SNAPSHOT_TEXT,
	SL_REQUEST_SNAPSHOT_SHORT,
	SL_REQUEST_SET,
	SL_REQUEST_REAP,
	SL_REQUEST_DETACH,
};

/* How long a change lasts. */
#define SL_FOR_UNSAID (-1)
#define SL_FOR_EVER (-2)

struct sl_request {
	enum sl_request_kind kind;
	int64_t for_ms; /* set: SL_FOR_UNSAID, SL_FOR_EVER or a duration; reap: how old, SL_FOR_UNSAID: as deadline= says */
	bool is_dry;     /* set, reap: only say what would be done */
	bool is_forced;  /* detach */
	bool is_inbound; /* reap: those that the program has accepted too */
	char pairs
		[SL_REQUEST_BYTES]; /* set: "key=value key=value"; reap: the rule of peer=, or "" */
};

/* Take a line apart, without its newline. NULL, or why not; *code is then the word of the protocol for it. */
const char *sl_request_read(const char *line, struct sl_request *request, const char **code);

#endif
