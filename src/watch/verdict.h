/* verdict.h - from evidence to one word: pure functions.
 *
 * What tells a leak from a pool is not how many connections lie in CLOSE_WAIT but what the program does meanwhile. A pool opens a
 * connection to a peer only when it has none left to that peer, alive or not: it meets those that the peer has closed on its
 * way to a new one. A leak opens although others lie there. So we count the connections that were opened although an earlier one
 * to the same peer had been closed by it, and lay there still: they have piled up.
 *
 * Layer: watch. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_WATCH_VERDICT_H
#define SL_WATCH_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

/* So many must have piled up: fewer may be chance. */
#define SL_VERDICT_LEAK_MIN 10
/* So many lie nowhere by chance, even where none was opened behind another: all at once, or each at a peer of its own. It is more than
 * pools keep by default, and four times as many more than they keep at all. */
#define SL_VERDICT_MANY 256
/* Quiet times of this many deadlines are settled: no longer just slow. */
#define SL_VERDICT_SETTLED_DEADLINES 3
/* Heights that a pool, which is bounded, does not reach again and again. */
#define SL_VERDICT_RECORDS 5
/* Closed late so often: then it is a habit. */
#define SL_VERDICT_SLOW_MIN 3

enum sl_verdict {
	SL_VERDICT_OK,
	SL_VERDICT_POOL,  /* idle connections of a pool, which the peer has closed */
	SL_VERDICT_BURST, /* opened together, and none since */
	SL_VERDICT_UNKNOWN,
	SL_VERDICT_LEAK,
	SL_VERDICT_NOT_ACCEPTING, /* accepting.h */
	SL_VERDICT_COUNT,
};

enum sl_site_verdict {
	SL_SITE_OK,
	SL_SITE_SLOW, /* closes what the peer has closed, but late */
	SL_SITE_POOL,
	SL_SITE_BURST,
	SL_SITE_UNKNOWN,
	SL_SITE_LEAK,
	SL_SITE_VERDICT_COUNT,
};

/* What is known of one site at one moment. Suspects are connections in CLOSE_WAIT or dead-but-open that are not meant to be; those
 * that we ended ourselves count as they would have: stuck. */
struct sl_evidence {
	uint64_t waiting; /* suspects, stuck or not; a half-close in use is none */
	uint64_t stuck;
	uint64_t
		settled; /* stuck ones that have been quiet for so long that the program is not merely slow */
	uint64_t
		piled; /* settled ones that were opened although a settled one to the same peer lay there */
	uint64_t
		following; /* as `piled`, of `waiting`: opened although one lay there, settled or not */
	uint64_t
		replaced; /* ones to those same peers that the program closed itself since: stuck ones, or on its way to new ones */
	uint64_t reused;  /* suspects that had been used again and again, as those of a pool are */
	uint64_t retracted; /* stuck ones, ever, that the program closed or used after all */
	uint64_t exchanged; /* of those, the ones closed while the site opened others */
	bool is_apart;      /* `waiting` were opened over more time than a burst takes */
	bool is_pressing;   /* ports or fds have run out */
	uint32_t
		records; /* samples at which `settled` was higher than ever before, and enough had piled up; since none was */
};

enum sl_site_verdict sl_verdict_of_site(const struct sl_evidence *evidence);

/* Of all connections of a process together, where nobody saw when they were opened: only more of them than pools keep make a leak. */
enum sl_verdict sl_verdict_from_outside(uint64_t waiting, uint64_t stuck);

/* The process: a leak anywhere makes it one. Else the site with the most stuck speaks for it: call this with the sites worst
 * first, beginning with SL_VERDICT_OK. */
enum sl_verdict sl_verdict_of_process(enum sl_verdict so_far, enum sl_site_verdict site);

#endif
