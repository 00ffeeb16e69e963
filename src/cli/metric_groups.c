/* metric_groups.c - see metric_groups.h. */
#include "cli/metric_groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/heap.h"
#include "report/text_lead.h"
#include "report/words.h"

static const char others[] = "others";

char *sl_metric_label(const char *name, const char *value)
{
	char *shown = sl_heap_shown(value ? value : "?");
	char *label = sl_heap_grow(NULL, strlen(name) + 2 * strlen(shown) + 4);
	char *end = label + sprintf(label, "%s=\"", name);
	for (const char *c = shown; *c; c++) {
		if (*c == '\\' || *c == '"')
			*end++ = '\\';
		*end++ = *c;
	}
	*end++ = '"';
	*end = '\0';
	free(shown);
	return label;
}

char *sl_metric_labels(unsigned n, char **labels)
{
	size_t room = 1;
	for (unsigned i = 0; i < n; i++)
		room += strlen(labels[i]) + 1;
	char *joined = sl_heap_grow(NULL, room);
	*joined = '\0';
	for (unsigned i = 0, at = 0; i < n; i++) {
		at += (unsigned)sprintf(joined + at, "%s%s", i ? "," : "", labels[i]);
		free(labels[i]);
	}
	return joined;
}

/* The group of these labels, which are freed or kept; NULL: there are `top` others already. */
static struct sl_metric_group *group_of(struct sl_metric_groups *groups, char *labels)
{
	for (unsigned i = 0; i < groups->count; i++) {
		if (strcmp(groups->rows[i].labels, labels) == 0) {
			free(labels);
			return &groups->rows[i];
		}
	}
	if (groups->count == groups->top) {
		free(labels);
		return NULL;
	}
	groups->rows = sl_heap_grow(groups->rows, (groups->count + 1) * sizeof(*groups->rows));
	struct sl_metric_group *group = &groups->rows[groups->count++];
	*group = (struct sl_metric_group){
		.labels = labels, .ports_left = SL_UNKNOWN, .exhausted_in_ms = SL_UNKNOWN};
	return group;
}

/* The sum of what has no group; the last row, and only where there is any. */
static void put_others(struct sl_metric_groups *groups, const struct sl_metric_group *rest,
                       unsigned n, const char *const *names)
{
	char *labels[3];
	if (!rest->open)
		return;
	for (unsigned i = 0; i < n; i++)
		labels[i] = sl_metric_label(names[i], others);
	groups->top = groups->count + 1;
	struct sl_metric_group *group = group_of(groups, sl_metric_labels(n, labels));
	if (!group)
		return;
	group->open += rest->open;
	group->established += rest->established;
	group->close_wait += rest->close_wait;
	group->stuck += rest->stuck;
}

static void add_peer(struct sl_metric_group *group, const struct sl_snapshot_peer *peer)
{
	group->open += (int64_t)peer->open;
	group->established += (int64_t)peer->established;
	group->close_wait += (int64_t)peer->close_wait;
	group->stuck += (int64_t)peer->stuck;
}

void sl_metric_groups_peers(struct sl_metric_groups *groups, const struct sl_snapshot *s,
                            unsigned top)
{
	struct sl_metric_group rest = {0};
	*groups = (struct sl_metric_groups){.top = top};
	for (uint32_t i = 0; i < s->peer_count; i++) {
		const struct sl_snapshot_peer *peer = &s->peers[i];
		char name[SL_TEXT_PEER_BYTES];
		if (peer->direction != SL_DIRECTION_OUT)
			continue;
		sl_text_lead_peer(name, peer);
		struct sl_metric_group *group =
			peer->address ? group_of(groups, sl_metric_label("peer", name)) : NULL;
		add_peer(group ? group : &rest, peer);
		if (group) {
			group->ports_left = peer->ports_left;
			group->exhausted_in_ms = peer->exhausted_in_ms;
		}
	}
	put_others(groups, &rest, 1, (const char *const[]){"peer"});
}

void sl_metric_groups_inbound(struct sl_metric_groups *groups, const struct sl_snapshot *s,
                              unsigned top)
{
	struct sl_metric_group rest = {0};
	*groups = (struct sl_metric_groups){.top = top};
	for (uint32_t i = 0; i < s->peer_count; i++) {
		const struct sl_snapshot_peer *peer = &s->peers[i];
		char port[24];
		if (peer->direction != SL_DIRECTION_IN)
			continue;
		(void)snprintf(port, sizeof(port), "%" PRId64, peer->port);
		struct sl_metric_group *group =
			peer->port != SL_UNKNOWN ? group_of(groups, sl_metric_label("port", port))
						 : NULL;
		add_peer(group ? group : &rest, peer);
	}
	put_others(groups, &rest, 1, (const char *const[]){"port"});
}

static const char *blame_of(const struct sl_snapshot_site *site)
{
	return site->blame         ? site->blame
	       : site->frame_count ? "[no frame of the application]"
	                           : "[no stack]";
}

void sl_metric_groups_sites(struct sl_metric_groups *groups, const struct sl_snapshot *s,
                            unsigned top)
{
	struct sl_metric_group rest = {0};
	*groups = (struct sl_metric_groups){.top = top};
	for (uint32_t i = 0; i < s->site_count; i++) {
		const struct sl_snapshot_site *site = &s->sites[i];
		if (!site->open)
			continue;
		char *labels[] = {
			sl_metric_label("blame", blame_of(site)),
			sl_metric_label("kind", sl_words_stack_kind(site->kind)),
			sl_metric_label("direction", sl_words_direction(site->direction)),
		};
		struct sl_metric_group *group = group_of(groups, sl_metric_labels(3, labels));
		group = group ? group : &rest;
		group->open += (int64_t)site->open;
		group->close_wait += (int64_t)site->close_wait;
		group->stuck += (int64_t)site->stuck;
	}
	put_others(groups, &rest, 3, (const char *const[]){"blame", "kind", "direction"});
}

void sl_metric_groups_free(struct sl_metric_groups *groups)
{
	for (unsigned i = 0; i < groups->count; i++)
		free(groups->rows[i].labels);
	free(groups->rows);
	*groups = (struct sl_metric_groups){0};
}
