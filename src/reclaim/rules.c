#include "reclaim/rules.h"

#include <string.h>

#include "base/options.h"
#include "base/rule.h"
#include "ledger/peers.h"
#include "watch/kernel.h"

#include "base/poison.h"

static bool is_listed(const char *list, const struct sl_endpoint *peer, uint16_t local_port)
{
	while (*list) {
		struct sl_rule rule;
		size_t n = strcspn(list, ",");
		/* The parser of the options let only readable rules in. */
		if (!sl_rule_read(list, n, &rule) &&
		    sl_rule_covers(&rule, peer->address, peer->port, local_port))
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

bool sl_rules_cover(uint32_t id, int fd)
{
	struct sl_endpoint peer, local = {.port = 0};
	const struct sl_peer *known = sl_peer_get(id);
	if (!*sl_options.only && !*sl_options.never)
		return true;
	if (!sl_kernel_local(fd, &local))
		return false;
	/* A dead connection has no peer any more, but the ledger knows it: outbound, with its port. */
	if (!sl_kernel_peer(fd, &peer)) {
		if (!known || known->direction != SL_DIRECTION_OUT)
			return false;
		peer = known->at;
	}
	if (*sl_options.never && is_listed(sl_options.never, &peer, local.port))
		return false;
	return !*sl_options.only || is_listed(sl_options.only, &peer, local.port);
}
