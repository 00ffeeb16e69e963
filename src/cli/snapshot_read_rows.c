/* snapshot_read_rows.c - see snapshot_read_rows.h. */
#include "cli/snapshot_read_rows.h"

#include <string.h>

#include "report/words.h"

static enum sl_direction read_direction(struct sl_json_get *get, json_t *row)
{
	int direction =
		SL_JSON_GET_WORD(get, row, "direction", sl_words_direction, SL_DIRECTION_COUNT);
	return direction < 0 ? SL_DIRECTION_UNKNOWN : (enum sl_direction)direction;
}

static void read_peers(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	json_t *array = sl_json_get_array(get, root, "peers");
	struct sl_snapshot_peer *peers =
		sl_json_get_room(get, json_array_size(array), sizeof(*peers));
	get->place = "peers[]";
	for (size_t i = 0; peers && i < json_array_size(array); i++) {
		json_t *row = json_array_get(array, i);
		peers[i] = (struct sl_snapshot_peer){
			.direction = read_direction(get, row),
			.address = sl_json_get_text(get, row, "address"),
			.port = sl_json_get_known(get, row, "port"),
			.open = sl_json_get_count(get, row, "open"),
			.close_wait = sl_json_get_count(get, row, "close_wait"),
			.stuck = sl_json_get_count(get, row, "stuck"),
			.established = sl_json_get_count(get, row, "established"),
			.growth_per_min = sl_json_get_known(get, row, "growth_per_min"),
			.idle_before_fin_ms_p50 =
				sl_json_get_known(get, row, "idle_before_fin_ms_p50"),
			.idle_before_fin_ms_p10 =
				sl_json_get_known(get, row, "idle_before_fin_ms_p10"),
			.idle_before_fin_ms_p90 =
				sl_json_get_known(get, row, "idle_before_fin_ms_p90"),
			.idle_before_fin_count =
				sl_json_get_count(get, row, "idle_before_fin_count"),
			.ports_left = sl_json_get_known(get, row, "ports_left"),
			.exhausted_in_ms = sl_json_get_known(get, row, "exhausted_in_ms"),
		};
		sl_snapshot_read_ports(get, row, &peers[i].ports);
		s->peer_count = (uint32_t)i + 1;
	}
	s->peers = peers;
	get->place = "";
}

static const struct sl_frame *read_frame(struct sl_json_get *get, json_t *row)
{
	struct sl_frame *frame = sl_json_get_room(get, 1, sizeof(*frame));
	if (!frame)
		return NULL;
	int role = SL_JSON_GET_WORD(get, row, "role", sl_words_role, SL_ROLE_COUNT);
	int64_t line = sl_json_get_known(get, row, "line");
	*frame = (struct sl_frame){
		.role = role < 0 ? SL_ROLE_APPLICATION : (enum sl_role)role,
		.text = sl_json_get_text(get, row, "text"),
		.class_name = sl_json_get_text(get, row, "class"),
		.method = sl_json_get_text(get, row, "method"),
		.function = sl_json_get_text(get, row, "function"),
		.file = sl_json_get_text(get, row, "file"),
		.line = line > 0 && line <= INT32_MAX ? (int32_t)line : 0,
		.module = sl_json_get_text(get, row, "module"),
		.build_id = sl_json_get_text(get, row, "build_id"),
		.offset = sl_json_get_count(get, row, "offset"),
	};
	return frame;
}

static void read_frames(struct sl_json_get *get, json_t *row, struct sl_snapshot_site *site)
{
	json_t *array = sl_json_get_array(get, row, "frames");
	size_t n = json_array_size(array);
	const struct sl_frame **frames = sl_json_get_room(get, n, sizeof(struct sl_frame *));
	get->place = "sites[].frames[]";
	for (size_t i = 0; frames && i < n; i++) {
		frames[i] = read_frame(get, json_array_get(array, i));
		if (frames[i])
			site->frame_count = (uint32_t)i + 1;
	}
	site->frames = frames;
	get->place = "sites[]";
}

static void read_causes(struct sl_json_get *get, json_t *row, struct sl_snapshot_site *site)
{
	json_t *causes = sl_json_get_object(get, row, "causes");
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++)
		site->causes[cause] =
			sl_json_get_count(get, causes, sl_words_cause((enum sl_cause)cause));
}

static void read_deaths(struct sl_json_get *get, json_t *row, struct sl_snapshot_site *site)
{
	/* Older snapshots have none. */
	json_t *deaths =
		json_object_get(row, "deaths") ? sl_json_get_object(get, row, "deaths") : NULL;
	for (int death = SL_DEATH_NONE + 1; deaths && death < SL_DEATH_COUNT; death++)
		site->deaths[death] =
			sl_json_get_count(get, deaths, sl_words_death((enum sl_death)death));
}

/* 0: not known. */
static uint32_t read_eof_site(struct sl_json_get *get, json_t *row)
{
	int64_t id = sl_json_get_known(get, row, "eof_site");
	return id > 0 && id <= UINT32_MAX ? (uint32_t)id : 0;
}

static void read_site(struct sl_json_get *get, json_t *row, struct sl_snapshot_site *site)
{
	int kind = SL_JSON_GET_WORD(get, row, "kind", sl_words_stack_kind, SL_STACK_JAVA + 1);
	int verdict =
		SL_JSON_GET_WORD(get, row, "verdict", sl_words_site_verdict, SL_SITE_VERDICT_COUNT);
	int64_t blame = sl_json_get_known(get, row, "blame_frame");
	site->id = (uint32_t)sl_json_get_count_to(get, row, "id", UINT32_MAX);
	site->kind = kind < 0 ? SL_STACK_NONE : (enum sl_stack_kind)kind;
	site->direction = read_direction(get, row);
	site->verdict = verdict < 0 ? SL_SITE_UNKNOWN : (enum sl_site_verdict)verdict;
	site->blame = sl_json_get_text(get, row, "blame");
	site->blame_where = sl_json_get_text(get, row, "blame_where");
	site->peer = sl_json_get_text(get, row, "peer");
	site->opened = sl_json_get_count(get, row, "opened");
	site->closed = sl_json_get_count(get, row, "closed");
	site->open = sl_json_get_count(get, row, "open");
	site->close_wait = sl_json_get_count(get, row, "close_wait");
	site->stuck = sl_json_get_count(get, row, "stuck");
	site->retracted = sl_json_get_count(get, row, "retracted");
	site->regretted = sl_json_get_count(get, row, "regretted");
	site->reclaimed = sl_json_get_count(get, row, "reclaimed");
	site->intended = sl_json_get_count(get, row, "intended");
	site->name = sl_json_get_text(get, row, "name");
	site->oldest_close_wait_ms = sl_json_get_known(get, row, "oldest_close_wait_ms");
	site->piled = sl_json_get_count(get, row, "piled");
	site->growth_per_min = sl_json_get_known(get, row, "growth_per_min");
	site->open_growth_per_min = sl_json_get_known(get, row, "open_growth_per_min");
	site->half_life_ms = sl_json_get_known(get, row, "half_life_ms");
	site->late_ms_p50 = sl_json_get_known(get, row, "late_ms_p50");
	site->threads = sl_json_get_texts(get, row, "threads", &site->thread_names);
	site->thread_count = sl_json_get_count(get, row, "thread_count");
	site->frames_cut = sl_json_get_bool(get, row, "frames_cut");
	site->unseen = sl_json_get_text(get, row, "unseen");
	site->unread_bytes = sl_json_get_count(get, row, "unread_bytes");
	site->last_use_ms = sl_json_get_known(get, row, "last_use_ms");
	site->eof_site = read_eof_site(get, row);
	read_causes(get, row, site);
	read_deaths(get, row, site);
	read_frames(get, row, site);
	site->blame_frame = blame >= 0 && blame < site->frame_count ? (uint32_t)blame : UINT32_MAX;
}

static void read_sites(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	json_t *array = sl_json_get_array(get, root, "sites");
	struct sl_snapshot_site *sites =
		sl_json_get_room(get, json_array_size(array), sizeof(*sites));
	s->sites_cut = (uint32_t)sl_json_get_count_to(get, root, "sites_cut", UINT32_MAX);
	s->no_sites = sl_json_get_text(get, root, "no_sites");
	if (!array && !s->no_sites)
		s->no_sites = "the snapshot has none";
	get->place = "sites[]";
	for (size_t i = 0; sites && i < json_array_size(array); i++) {
		read_site(get, json_array_get(array, i), &sites[i]);
		/* Those that opened nothing stand last: they are readers. */
		if (sites[i].opened || sites[i].open)
			s->site_count = (uint32_t)i + 1;
		else
			s->reader_count = (uint32_t)i + 1 - s->site_count;
	}
	s->sites = sites;
	s->readers = s->reader_count ? sites + s->site_count : NULL;
	get->place = "";
}

static void read_listeners(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	json_t *array = sl_json_get_array(get, root, "listeners");
	struct sl_snapshot_listener *listeners =
		sl_json_get_room(get, json_array_size(array), sizeof(*listeners));
	get->place = "listeners[]";
	for (size_t i = 0; listeners && i < json_array_size(array); i++) {
		json_t *row = json_array_get(array, i);
		listeners[i] = (struct sl_snapshot_listener){
			.local = sl_json_get_text(get, row, "local"),
			.fd = (int)sl_json_get_count_to(get, row, "fd", INT32_MAX),
			.backlog = sl_json_get_count(get, row, "backlog"),
			.limit = sl_json_get_count(get, row, "limit"),
		};
		s->listener_count = (uint32_t)i + 1;
	}
	s->listeners = listeners;
	get->place = "";
}

static void read_socket(struct sl_json_get *get, json_t *row, struct sl_snapshot_socket *socket)
{
	int state = SL_JSON_GET_WORD(get, row, "state", sl_words_state, SL_WORDS_STATES);
	int cause = SL_JSON_GET_WORD(get, row, "cause", sl_words_cause, SL_CAUSE_COUNT);
	int death = SL_JSON_GET_WORD(get, row, "death", sl_words_death, SL_DEATH_COUNT);
	int call = SL_JSON_GET_WORD(get, row, "last_call", sl_words_call, SL_IO_WRITE + 1);
	int rung = SL_JSON_GET_WORD(get, row, "rung", sl_words_rung, SL_RUNG_COUNT);
	*socket = (struct sl_snapshot_socket){
		.fd = (int)sl_json_get_count_to(get, row, "fd", INT32_MAX),
		.cookie = sl_json_get_identity(get, row, "cookie"),
		.direction = read_direction(get, row),
		.state = state < 0 ? 0 : (uint8_t)state,
		.local = sl_json_get_text(get, row, "local"),
		.peer = sl_json_get_text(get, row, "peer"),
		.site = (uint32_t)sl_json_get_count_to(get, row, "site", UINT32_MAX),
		.age_ms = sl_json_get_count(get, row, "age_ms"),
		.close_wait_ms = sl_json_get_known(get, row, "close_wait_ms"),
		.quiet_ms = sl_json_get_known(get, row, "quiet_ms"),
		.cause = cause < 0 ? SL_CAUSE_NONE : (enum sl_cause)cause,
		.unread_bytes = sl_json_get_known(get, row, "unread_bytes"),
		.unsent_bytes = sl_json_get_known(get, row, "unsent_bytes"),
		.eof_seen = sl_json_get_bool(get, row, "eof_seen"),
		.eof_site = read_eof_site(get, row),
		.death = death < 0 ? SL_DEATH_NONE : (enum sl_death)death,
		.last_use_ms = sl_json_get_known(get, row, "last_use_ms"),
		.last_call = call < 0 ? SL_IO_NONE : (enum sl_io)call,
		.thread = sl_json_get_text(get, row, "thread"),
		.shared = sl_json_get_bool(get, row, "shared"),
		.name = sl_json_get_text(get, row, "name"),
		.intended = sl_json_get_bool(get, row, "intended"),
		.rung = rung < 0 ? SL_RUNG_NONE : (enum sl_rung)rung,
	};
}

static void read_sockets(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	json_t *array = sl_json_get_array(get, root, "sockets");
	if (!array)
		return;
	/* Room for one more: an empty array is there as well. */
	struct sl_snapshot_socket *sockets =
		sl_json_get_room(get, json_array_size(array) + 1, sizeof(*sockets));
	get->place = "sockets[]";
	for (size_t i = 0; sockets && i < json_array_size(array); i++) {
		read_socket(get, json_array_get(array, i), &sockets[i]);
		s->socket_count = (uint32_t)i + 1;
	}
	s->sockets = sockets;
	get->place = "";
}

void sl_snapshot_read_rows(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	read_peers(get, root, s);
	read_sites(get, root, s);
	read_listeners(get, root, s);
	read_sockets(get, root, s);
}
