/* guilty.c - see guilty.h. */
#include "report/guilty.h"

#include <string.h>

#include "report/text_lead.h" /* a peer as people write it */

#include "base/poison.h"

bool sl_guilty_is_suspect(const struct sl_snapshot_site *site)
{
	return site->stuck || site->close_wait || site->causes[SL_CAUSE_DEAD_BUT_OPEN] ||
	       site->reclaimed;
}

/* What we have ended would be stuck now. Where nothing was stuck yet, the first of them in its order. */
const struct sl_snapshot_site *sl_guilty_site(const struct sl_snapshot *s)
{
	const struct sl_snapshot_site *worst = s->site_count ? &s->sites[0] : NULL;
	for (uint32_t i = 1; i < s->site_count; i++)
		if (s->sites[i].stuck + s->sites[i].reclaimed > worst->stuck + worst->reclaimed)
			worst = &s->sites[i];
	return worst && sl_guilty_is_suspect(worst) ? worst : NULL;
}

const char *sl_guilty_reader(const struct sl_snapshot *s, const struct sl_snapshot_site *site)
{
	for (uint32_t i = 0; site->eof_site && i < s->reader_count; i++)
		if (s->readers[i].id == site->eof_site)
			return s->readers[i].blame;
	for (uint32_t i = 0; site->eof_site && i < s->site_count; i++)
		if (s->sites[i].id == site->eof_site)
			return s->sites[i].blame;
	return NULL;
}

const struct sl_snapshot_peer *sl_guilty_peer(const struct sl_snapshot *s,
                                              const struct sl_snapshot_site *site)
{
	char name[SL_TEXT_PEER_BYTES];
	/* Not known: that of most of all. */
	if (!site->peer)
		return s->peer_count && s->peers[0].direction != SL_DIRECTION_IN &&
		                       2 * s->peers[0].close_wait > s->totals.close_wait
		               ? &s->peers[0]
		               : NULL;
	for (uint32_t i = 0; i < s->peer_count; i++) {
		const struct sl_snapshot_peer *peer = &s->peers[i];
		if (peer->direction == SL_DIRECTION_IN || !peer->address)
			continue;
		sl_text_lead_peer(name, peer);
		if (!strcmp(name, site->peer))
			return peer;
	}
	return NULL;
}
