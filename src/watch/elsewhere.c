#include "watch/elsewhere.h"

#include <netinet/tcp.h>

#include "base/poison.h"

#define SL_OTHERS_MIN 8
#define SL_OTHERS_PART 4

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Since a byte or an acknowledgement went either way; what a keepalive of the peer's brings counts too. */
static uint64_t silent_ms(const struct sl_kernel_tcp *tcp)
{
	return least(least(tcp->last_data_sent_ms, tcp->last_data_recv_ms), tcp->last_ack_recv_ms);
}

/* For how long, and how long it takes to be one. */
static bool look(const struct sl_elsewhere_seen *seen, uint64_t deadline_ms,
                 enum sl_elsewhere_kind *kind, uint64_t *age_ms, uint64_t *least_ms)
{
	const struct sl_kernel_tcp *tcp = seen->tcp;
	*least_ms = deadline_ms;
	*age_ms = seen->age_ms;
	switch (tcp->state) {
	case TCP_FIN_WAIT2:
		/* Its last word was the acknowledgement of our FIN. */
		*kind = SL_ELSEWHERE_FIN_WAIT2;
		*age_ms = least(tcp->last_data_recv_ms, tcp->last_ack_recv_ms);
		return true;
	case TCP_ESTABLISHED:
		*kind = SL_ELSEWHERE_HALF_OPEN;
		*age_ms = silent_ms(tcp);
		*least_ms = deadline_ms * SL_ELSEWHERE_SILENT_DEADLINES;
		return !tcp->has_unsent; /* else it will time out by itself */
	case TCP_SYN_SENT:
		*kind = SL_ELSEWHERE_CONNECTING;
		*least_ms = least(deadline_ms, SL_ELSEWHERE_CONNECTING_MS);
		return tcp->retransmits > 0;
	case TCP_CLOSE:
		*kind = seen->has_tried ? SL_ELSEWHERE_CONNECT_FAILED
		                        : SL_ELSEWHERE_NEVER_CONNECTED;
		return !seen->was_connected && !tcp->was_established;
	default:
		return false;
	}
}

bool sl_elsewhere_is(const struct sl_elsewhere_seen *seen, uint64_t deadline_ms,
                     enum sl_elsewhere_kind *kind, uint64_t *age_ms)
{
	uint64_t least_ms;
	return look(seen, deadline_ms, kind, age_ms, &least_ms) && *age_ms >= least_ms;
}

bool sl_elsewhere_has_others(int64_t others, int64_t range)
{
	return others >= SL_OTHERS_MIN && others * SL_OTHERS_PART >= range;
}

bool sl_elsewhere_is_notable(enum sl_elsewhere_kind kind, uint64_t count)
{
	return count >= SL_ELSEWHERE_MANY || kind == SL_ELSEWHERE_CONNECTING;
}
