/* kinds.h - the words of the ledger that all layers above it share.
 *
 * Layer: ledger. Plain enumerations.
 */
#ifndef SL_LEDGER_KINDS_H
#define SL_LEDGER_KINDS_H

/* What a tracked fd is. Only SL_KIND_TCP is ever judged; the rest are counted. */
enum sl_kind {
	SL_KIND_NONE,
	SL_KIND_TCP,
	SL_KIND_UDP,
	SL_KIND_UNIX,
	SL_KIND_NETLINK,
	SL_KIND_OTHER,
	SL_KIND_COUNT,
};

/* Who began the connection. */
enum sl_direction {
	SL_DIRECTION_UNKNOWN,
	SL_DIRECTION_OUT, /* this program connected */
	SL_DIRECTION_IN,  /* this program accepted */
	SL_DIRECTION_COUNT,
};

/* How a site's stack was walked. */
enum sl_stack_kind {
	SL_STACK_NONE,
	SL_STACK_NATIVE,
	SL_STACK_JAVA,
};

#endif
