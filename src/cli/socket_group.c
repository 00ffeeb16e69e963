/* socket_group.c - see socket_group.h. */
#include "cli/socket_group.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "cli/heap.h"
#include "cli/measure.h"

struct member {
	struct sl_socket_group group;
	struct member *next; /* of the same site */
	UT_hash_handle hh;
	char key[];
};

/* The groups of a site, and what of its counts they hold. */
struct by_site {
	uint32_t id;
	const struct sl_snapshot_site *site;
	struct member *first, *last;
	uint64_t open, close_wait, stuck;
	UT_hash_handle hh;
};

struct cookie {
	uint64_t value;
	UT_hash_handle hh;
};

struct grouping {
	const struct sl_snapshot *s;
	struct by_site *sites;
	struct member *members;
	struct cookie *shared;
};

/* "1.2.3.4:80" up to the colon before the port; without brackets. */
static void split(const char *endpoint, int *address, const char **from, const char **port)
{
	const char *colon = strrchr(endpoint, ':');
	size_t n = colon ? (size_t)(colon - endpoint) : strlen(endpoint);
	bool has_brackets = n > 2 && endpoint[0] == '[';
	*from = endpoint + has_brackets;
	*address = (int)(has_brackets ? n - 2 : n);
	*port = colon ? colon + 1 : "?";
}

/* A client's own port says nothing: as in peers[]. */
static const char *peer_of(const struct sl_snapshot_socket *socket, char *text, size_t bytes)
{
	if (!socket->peer)
		return NULL;
	if (socket->direction != SL_DIRECTION_IN)
		return socket->peer;
	int peer_length, local_length;
	const char *peer, *peer_port, *local, *local_port;
	split(socket->peer, &peer_length, &peer, &peer_port);
	split(socket->local ? socket->local : "?", &local_length, &local, &local_port);
	(void)snprintf(text, bytes, "%.*s to local port %s", peer_length, peer, local_port);
	return text;
}

/* Several fds of one connection: one of them counts. */
static bool is_seen(struct grouping *grouping, const struct sl_snapshot_socket *socket)
{
	struct cookie *cookie;
	if (!socket->shared || !socket->cookie)
		return false;
	HASH_FIND(hh, grouping->shared, &socket->cookie, sizeof(socket->cookie), cookie);
	if (cookie)
		return true;
	cookie = sl_heap_grow(NULL, sizeof(*cookie));
	cookie->value = socket->cookie;
	HASH_ADD(hh, grouping->shared, value, sizeof(cookie->value), cookie);
	return false;
}

static struct member *member_of(struct grouping *grouping, struct by_site *at,
                                const struct sl_snapshot_socket *socket)
{
	char shown[256];
	const char *peer = peer_of(socket, shown, sizeof(shown));
	const char *thread = socket->thread;
	size_t peer_bytes = peer ? strlen(peer) + 1 : 0;
	size_t thread_bytes = thread ? strlen(thread) + 1 : 0;
	uint32_t head[] = {at->id, socket->direction, socket->cause, (uint32_t)peer_bytes};
	size_t n = sizeof(head) + peer_bytes + thread_bytes;
	struct member *found, *member = sl_heap_grow(NULL, sizeof(*member) + n);
	memcpy(member->key, head, sizeof(head));
	if (peer)
		memcpy(member->key + sizeof(head), peer, peer_bytes);
	if (thread)
		memcpy(member->key + sizeof(head) + peer_bytes, thread, thread_bytes);
	HASH_FIND(hh, grouping->members, member->key, n, found);
	if (found) {
		free(member);
		return found;
	}
	member->next = NULL;
	member->group = (struct sl_socket_group){
		.site = at->site,
		.direction = socket->direction,
		.peer = peer ? member->key + sizeof(head) : NULL,
		.cause = socket->cause,
		.thread = thread ? member->key + sizeof(head) + peer_bytes : NULL,
	};
	HASH_ADD_KEYPTR(hh, grouping->members, member->key, n, member);
	*(at->last ? &at->last->next : &at->first) = member;
	at->last = member;
	return member;
}

static void count(struct grouping *grouping, const struct sl_snapshot_socket *socket)
{
	struct by_site *at;
	HASH_FIND(hh, grouping->sites, &socket->site, sizeof(socket->site), at);
	if (!at || is_seen(grouping, socket))
		return;
	struct sl_socket_group *group = &member_of(grouping, at, socket)->group;
	const bool is_close_wait = socket->state == TCP_CLOSE_WAIT;
	const bool is_stuck = sl_measure_is_stuck(grouping->s, socket);
	group->open++;
	group->close_wait += is_close_wait;
	group->stuck += is_stuck;
	at->open++;
	at->close_wait += is_close_wait;
	at->stuck += is_stuck;
}

static uint64_t beyond(uint64_t all, uint64_t counted)
{
	return all > counted ? all - counted : 0;
}

/* The cause of all suspects of a site, where they have one in common. */
static enum sl_cause only_cause(const struct sl_snapshot_site *site)
{
	enum sl_cause only = SL_CAUSE_NONE;
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++) {
		if (!site->causes[cause])
			continue;
		if (only != SL_CAUSE_NONE)
			return SL_CAUSE_NONE;
		only = (enum sl_cause)cause;
	}
	return only;
}

static void tell_rest(const struct by_site *at, sl_socket_group_fn *each, void *context)
{
	const struct sl_snapshot_site *site = at->site;
	struct sl_socket_group rest = {
		.site = site,
		.direction = site->direction,
		.thread = site->thread_count == 1 && site->thread_names == 1 ? site->threads[0]
	                                                                     : NULL,
		.open = beyond(site->open, at->open),
		.close_wait = beyond(site->close_wait, at->close_wait),
		.stuck = beyond(site->stuck, at->stuck),
	};
	const enum sl_cause cause = at->first ? SL_CAUSE_NONE : only_cause(site);
	if (cause != SL_CAUSE_NONE) {
		struct sl_socket_group suspects = rest;
		suspects.cause = cause;
		suspects.open = site->causes[cause];
		each(&suspects, context);
		rest.open = beyond(rest.open, suspects.open);
		rest.close_wait = rest.stuck = 0;
	}
	if (rest.open || rest.close_wait || rest.stuck)
		each(&rest, context);
}

static void tell(const struct grouping *grouping, sl_socket_group_fn *each, void *context)
{
	for (const struct by_site *at = grouping->sites; at; at = at->hh.next) {
		for (const struct member *member = at->first; member; member = member->next)
			each(&member->group, context);
		tell_rest(at, each, context);
	}
	const struct sl_socket_group siteless = {
		.open = sl_measure_siteless(SL_MEASURE_OPEN, grouping->s),
		.close_wait = sl_measure_siteless(SL_MEASURE_CLOSE_WAIT, grouping->s),
		.stuck = sl_measure_siteless(SL_MEASURE_STUCK, grouping->s),
	};
	if (siteless.open || siteless.close_wait || siteless.stuck)
		each(&siteless, context);
}

static void end(struct grouping *grouping)
{
	struct member *member = grouping->members;
	struct cookie *cookie = grouping->shared;
	struct by_site *at = grouping->sites;
	HASH_CLEAR(hh, grouping->members);
	while (member) {
		struct member *next = member->hh.next;
		free(member);
		member = next;
	}
	HASH_CLEAR(hh, grouping->shared);
	while (cookie) {
		struct cookie *next = cookie->hh.next;
		free(cookie);
		cookie = next;
	}
	HASH_CLEAR(hh, grouping->sites);
	while (at) {
		struct by_site *next = at->hh.next;
		free(at);
		at = next;
	}
}

void sl_socket_groups(const struct sl_snapshot *s, sl_socket_group_fn *each, void *context)
{
	struct grouping grouping = {.s = s};
	for (uint32_t i = 0; i < s->site_count; i++) {
		struct by_site *at;
		HASH_FIND(hh, grouping.sites, &s->sites[i].id, sizeof(s->sites[i].id), at);
		if (at)
			continue;
		at = sl_heap_grow(NULL, sizeof(*at));
		*at = (struct by_site){.id = s->sites[i].id, .site = &s->sites[i]};
		HASH_ADD(hh, grouping.sites, id, sizeof(at->id), at);
	}
	for (uint32_t i = 0; i < s->socket_count; i++)
		count(&grouping, &s->sockets[i]);
	tell(&grouping, each, context);
	end(&grouping);
}
