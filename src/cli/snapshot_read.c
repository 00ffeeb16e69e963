/* snapshot_read.c - see snapshot_read.h. */
#include "cli/snapshot_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "base/version.h"
#include "cli/json_get.h"
#include "cli/snapshot_read_rows.h"
#include "report/json.h"
#include "report/words.h"

#define SL_SCHEMA_FAMILY "sockleak-snapshot/"
#define SL_DEADLINE_STANDARD_MS 60000

static void read_process(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	json_t *process = sl_json_get_object(get, root, "process");
	uint32_t arguments;
	get->place = "process";
	int64_t pid = sl_json_get_known(get, process, "pid");
	if (pid < 1 || pid > INT32_MAX)
		sl_json_get_fail(get, "pid", "is no process id");
	else
		s->process.pid = (int)pid;
	s->process.exe = sl_json_get_text(get, process, "exe");
	s->process.name = sl_json_get_text(get, process, "name");
	s->process.argv = sl_json_get_texts(get, process, "argv", &arguments);
	s->process.started_wall_ms = sl_json_get_wall_ms(get, process, "started_at");
	s->process.uptime_ms = sl_json_get_count(get, process, "uptime_ms");
	s->process.hostname = sl_json_get_text(get, process, "hostname");
	const char *runtime = sl_json_get_text(get, process, "runtime");
	s->process.is_jvm = runtime && strcmp(runtime, "jvm") == 0;
	get->place = "";
}

static void read_options(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	static struct sl_options parsed; /* large, and read at once */
	json_t *options = sl_json_get_object(get, root, "options");
	struct sl_snapshot_option *rows =
		sl_json_get_room(get, json_object_size(options) + 1, sizeof(*rows));
	const char *key;
	json_t *value;
	get->place = "options";
	sl_options_defaults(&parsed);
	json_object_foreach(options, key, value)
	{
		(void)value;
		const char *text = sl_json_get_text(get, options, key);
		const char *name = sl_arena_text(get->arena, key, strlen(key));
		if (!rows || !text || !name)
			continue;
		rows[s->option_count++] = (struct sl_snapshot_option){name, text};
		s->reclaim.has_control |= strcmp(key, "control") == 0 && strcmp(text, "on") == 0;
		const struct sl_option *option = sl_option_find(key, strlen(key));
		if (option && strlen(text) < SL_OPTION_TEXT_MAX)
			(void)sl_option_read(option, text, &parsed);
	}
	s->options = rows;
	s->deadline_ms = (uint64_t)parsed.deadline_ms;
	if (s->mode != SL_MODE_EXTERNAL)
		s->settled_ms = SL_VERDICT_SETTLED_DEADLINES * s->deadline_ms;
	s->reclaim.asked = (enum sl_action)parsed.action;
	get->place = "";
}

static void read_reclaim(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	json_t *reclaim = sl_json_get_object(get, root, "reclaim");
	get->place = "reclaim";
	int action = SL_JSON_GET_WORD(get, reclaim, "action", sl_words_action, SL_ACTION_CLOSE + 1);
	s->reclaim.action = action < 0 ? SL_ACTION_REPORT : (enum sl_action)action;
	s->reclaim.is_stopped = sl_json_get_bool(get, reclaim, "stopped");
	s->reclaim.is_dry_run = sl_json_get_bool(get, reclaim, "dry_run");
	get->place = "";
}

static void read_states(struct sl_json_get *get, json_t *totals, struct sl_snapshot *s)
{
	json_t *states = sl_json_get_object(get, totals, "by_state");
	json_t *kinds = sl_json_get_object(get, totals, "by_kind");
	get->place = "totals.by_state";
	for (unsigned state = 1; state < SL_WORDS_STATES; state++)
		if (sl_words_state(state))
			s->totals.by_state[state] =
				sl_json_get_count(get, states, sl_words_state(state));
	s->totals.by_state[0] = sl_json_get_count(get, states, "unknown");
	get->place = "totals.by_kind";
	for (int kind = SL_KIND_TCP; kind < SL_KIND_COUNT; kind++)
		s->totals.by_kind[kind] =
			sl_json_get_count(get, kinds, sl_words_kind((enum sl_kind)kind));
}

static void read_reclaimed(struct sl_json_get *get, json_t *totals, struct sl_snapshot *s)
{
	json_t *reclaimed = sl_json_get_object(get, totals, "reclaimed");
	get->place = "totals.reclaimed";
	s->totals.probed = sl_json_get_count(get, reclaimed, "probed");
	s->totals.shutdown = sl_json_get_count(get, reclaimed, "shutdown");
	s->totals.neutralized = sl_json_get_count(get, reclaimed, "neutralized");
	s->totals.closed_by_us = sl_json_get_count(get, reclaimed, "closed");
	s->totals.app_reacted = sl_json_get_count(get, reclaimed, "app_reacted");
	s->totals.ended_by_probe = sl_json_get_count(get, reclaimed, "ended_by_probe");
	s->totals.ended_by_keepalive = sl_json_get_count(get, reclaimed, "ended_by_keepalive");
	s->totals.absorbed = sl_json_get_count(get, reclaimed, "absorbed");
}

static void read_totals(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	json_t *totals = sl_json_get_object(get, root, "totals");
	get->place = "totals";
	s->totals.opened = sl_json_get_count(get, totals, "opened");
	s->totals.closed = sl_json_get_count(get, totals, "closed");
	s->totals.open = sl_json_get_count(get, totals, "open");
	s->totals.close_wait = sl_json_get_count(get, totals, "close_wait");
	s->totals.stuck = sl_json_get_count(get, totals, "stuck");
	s->totals.retracted = sl_json_get_count(get, totals, "retracted");
	s->totals.regretted = sl_json_get_count(get, totals, "regretted");
	s->totals.rescued = sl_json_get_count(get, totals, "rescued");
	s->totals.adopted = sl_json_get_count(get, totals, "adopted");
	s->totals.dropped = sl_json_get_count(get, totals, "dropped");
	s->totals.backlog = sl_json_get_count(get, totals, "backlog");
	s->totals.dead = sl_json_get_count(get, totals, "dead");
	s->totals.dead_stuck = sl_json_get_count(get, totals, "dead_stuck");
	s->totals.oldest_stuck_ms = sl_json_get_known(get, totals, "oldest_stuck_ms");
	s->totals.began_after_ms = sl_json_get_known(get, totals, "began_after_ms");
	s->totals.growth_per_min = sl_json_get_known(get, totals, "growth_per_min");
	s->totals.held_back_bytes = sl_json_get_count(get, totals, "held_back_bytes");
	read_states(get, totals, s);
	read_reclaimed(get, totals, s);
	get->place = "";
}

static void read_limits(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	json_t *limits = sl_json_get_object(get, root, "limits");
	get->place = "limits";
	s->limits.nofile_soft = sl_json_get_known(get, limits, "nofile_soft");
	s->limits.nofile_used = sl_json_get_known(get, limits, "nofile_used");
	s->limits.port_low = sl_json_get_known(get, limits, "port_low");
	s->limits.port_high = sl_json_get_known(get, limits, "port_high");
	s->limits.fds_exhausted_in_ms = sl_json_get_known(get, limits, "fds_exhausted_in_ms");
	s->limits.fds_earliest_ms = sl_json_get_known(get, limits, "fds_exhausted_in_ms_min");
	s->limits.fds_latest_ms = sl_json_get_known(get, limits, "fds_exhausted_in_ms_max");
	s->limits.nofile_hard = sl_json_get_known(get, limits, "nofile_hard");
	s->limits.ports_reserved = sl_json_get_known(get, limits, "ports_reserved");
	s->limits.ports_taken = sl_json_get_known(get, limits, "ports_taken");
	s->limits.ports_not_counted = sl_json_get_text(get, limits, "ports_not_counted");
	get->place = "";
}

/* "EMFILE", or "EADDRNOTAVAIL connecting to ...". */
static int error_of(const char *pressure)
{
	static const int errors[] = {EADDRNOTAVAIL, EADDRINUSE, EMFILE, ENFILE};
	for (size_t i = 0; pressure && i < sizeof(errors) / sizeof(errors[0]); i++) {
		size_t n = strlen(sl_words_error(errors[i]));
		if (strncmp(pressure, sl_words_error(errors[i]), n) == 0 &&
		    (pressure[n] == ' ' || !pressure[n]))
			return errors[i];
	}
	return 0;
}

static void read_head(struct sl_json_get *get, json_t *root, struct sl_snapshot *s)
{
	int verdict = SL_JSON_GET_WORD(get, root, "verdict", sl_words_verdict, SL_VERDICT_COUNT);
	int mode = SL_JSON_GET_WORD(get, root, "mode", sl_words_mode, SL_MODE_COUNT);
	int trigger = SL_JSON_GET_WORD(get, root, "trigger", sl_words_trigger, SL_TRIGGER_COUNT);
	s->verdict = verdict < 0 ? SL_VERDICT_UNKNOWN : (enum sl_verdict)verdict;
	s->mode = mode < 0 ? SL_MODE_PRELOAD : (enum sl_mode)mode;
	s->trigger = trigger < 0 ? SL_TRIGGER_COMMAND : (enum sl_trigger)trigger;
	s->version = sl_json_get_text(get, root, "version");
	s->pressure = sl_json_get_text(get, root, "pressure");
	s->pressure_error = error_of(s->pressure);
	s->taken_wall_ms = sl_json_get_wall_ms(get, root, "taken_at");
}

static void require_members(struct sl_json_get *get, json_t *root)
{
	static const char *const names[] = {"verdict", "taken_at", "process", "totals",
	                                    "limits",  "peers",    "sites"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!json_object_get(root, names[i]))
			sl_json_get_fail(get, names[i], "is missing");
}

/* major * 1000000 + minor * 1000 + patch, or 0. */
static long number_of(const char *version)
{
	unsigned major, minor, patch;
	if (!version || sscanf(version, "%3u.%3u.%3u", &major, &minor, &patch) != 3)
		return 0;
	return (long)major * 1000000 + (long)minor * 1000 + (long)patch;
}

static void check_schema(json_t *root, struct sl_snapshot_said *said)
{
	const char *schema = json_string_value(json_object_get(root, "schema"));
	const char *version = json_string_value(json_object_get(root, "version"));
	const size_t family = sizeof(SL_SCHEMA_FAMILY) - 1;
	if (!schema || strncmp(schema, SL_SCHEMA_FAMILY, family) != 0) {
		(void)snprintf(said->error, sizeof(said->error), "no sockleak snapshot: %s",
		               schema ? "its schema is another" : "it has no member \"schema\"");
		return;
	}
	long step = strtol(schema + family, NULL, 10);
	if (step < 1 || step > 2)
		(void)snprintf(said->error, sizeof(said->error),
		               "schema %.40s: this command reads " SL_JSON_SCHEMA, schema);
	else if (step == 2)
		(void)snprintf(said->note, sizeof(said->note),
		               "schema %.40s is newer than " SL_JSON_SCHEMA
		               ": only what that has is shown",
		               schema);
	else if (number_of(version) > number_of(SL_VERSION))
		(void)snprintf(said->note, sizeof(said->note),
		               "written by version %.20s, newer than this command (" SL_VERSION
		               "): what it does not know is left out",
		               version);
	else if (number_of(version) < number_of(SL_VERSION))
		(void)snprintf(said->note, sizeof(said->note),
		               "written by version %.20s, older than this command (" SL_VERSION
		               "): what that did not tell is not known",
		               version ? version : "?");
}

static void read_all(struct sl_json_get *get, json_t *root, struct sl_snapshot *s,
                     struct sl_snapshot_said *said)
{
	if (!json_is_object(root)) {
		(void)snprintf(said->error, sizeof(said->error),
		               "no sockleak snapshot: no JSON object");
		return;
	}
	check_schema(root, said);
	if (said->error[0])
		return;
	require_members(get, root);
	read_head(get, root, s);
	read_process(get, root, s);
	read_options(get, root, s);
	read_reclaim(get, root, s);
	read_totals(get, root, s);
	read_limits(get, root, s);
	sl_snapshot_read_rows(get, root, s);
	sl_snapshot_read_elsewhere(get, root, s);
}

int sl_snapshot_read_memory(struct sl_arena *arena, const char *bytes, size_t n,
                            struct sl_snapshot *snapshot, struct sl_snapshot_said *said)
{
	json_error_t wrong;
	*said = (struct sl_snapshot_said){0};
	*snapshot = (struct sl_snapshot){.deadline_ms = SL_DEADLINE_STANDARD_MS};
	json_t *root = json_loadb(bytes, n, 0, &wrong);
	if (!root) {
		bool is_cut =
			n == 0 || json_error_code(&wrong) == json_error_premature_end_of_input;
		if (is_cut)
			(void)snprintf(said->error, sizeof(said->error),
			               "ends in the middle: half-written or cut off (%zu bytes)",
			               n);
		else
			(void)snprintf(said->error, sizeof(said->error),
			               "is not JSON: line %d: %.120s", wrong.line, wrong.text);
		return -EBADMSG;
	}
	struct sl_json_get get = {.arena = arena,
	                          .error = said->error,
	                          .error_bytes = sizeof(said->error),
	                          .place = ""};
	read_all(&get, root, snapshot, said);
	json_decref(root);
	return said->error[0] ? -EBADMSG : 0;
}

static int read_stream(FILE *file, char **bytes, size_t *n)
{
	size_t room = 0;
	*n = 0;
	*bytes = NULL;
	do {
		if (*n == room) {
			room = room ? room * 2 : 65536;
			char *more =
				room <= SL_SNAPSHOT_READ_BYTES_MAX ? realloc(*bytes, room) : NULL;
			if (!more)
				return room > SL_SNAPSHOT_READ_BYTES_MAX ? -EFBIG : -ENOMEM;
			*bytes = more;
		}
		errno = 0;
		*n += fread(*bytes + *n, 1, room - *n, file);
	} while (!feof(file) && !ferror(file));
	return ferror(file) ? (errno ? -errno : -EIO) : 0;
}

int sl_snapshot_read_file(struct sl_arena *arena, const char *path, struct sl_snapshot *snapshot,
                          struct sl_snapshot_said *said)
{
	bool is_stdin = strcmp(path, "-") == 0;
	char *bytes = NULL;
	size_t n;
	FILE *file = is_stdin ? stdin : fopen(path, "rbe");
	*said = (struct sl_snapshot_said){0};
	if (!file)
		return -errno;
	int error = read_stream(file, &bytes, &n);
	if (!is_stdin)
		(void)fclose(file);
	if (!error)
		error = sl_snapshot_read_memory(arena, bytes, n, snapshot, said);
	free(bytes);
	return error;
}
