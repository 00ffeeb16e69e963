/* socket_group.h - the connections of a snapshot, put together where they have all in common that one asks for:
 * site, direction, peer, cause, thread.
 *
 * Where sockets are listed (detail=1) they are counted one by one. What a site has beyond them, which without
 * detail=1 is everything, makes one more group, of which only is known what holds for the whole site.
 *
 * Layer: cli. Locks: none. Fork: no state. Errors: out of memory ends the command.
 */
#ifndef SL_CLI_SOCKET_GROUP_H
#define SL_CLI_SOCKET_GROUP_H

#include <stdint.h>

#include "report/snapshot.h"

struct sl_socket_group {
	const struct sl_snapshot_site *site; /* NULL: past the site table */
	enum sl_direction direction;
	const char *
		peer; /* out: "1.2.3.4:80"; in: "1.2.3.4 to local port 80"; NULL: not known, or several */
	enum sl_cause cause; /* SL_CAUSE_NONE: none, not known, or several */
	const char *thread;  /* NULL: not known, or several */
	uint64_t open, close_wait, stuck;
};

typedef void sl_socket_group_fn(const struct sl_socket_group *group, void *context);

/* Calls `each` for every group, by site, worst first. What it is given lives until it returns. */
void sl_socket_groups(const struct sl_snapshot *s, sl_socket_group_fn *each, void *context);

#endif
