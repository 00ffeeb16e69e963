/* format_pprof.c - see format_pprof.h.
 *
 * The messages are those of pprof's profile.proto; the enumerations hold the numbers of its fields.
 */
#include "cli/format_pprof.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "cli/heap.h"
#include "cli/gzip.h"
#include "cli/measure.h"
#include "cli/protobuf.h"
#include "cli/socket_group.h"
#include "report/words.h"

enum profile_field {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING = 6,
	PROFILE_TIME_NANOS = 9,
	PROFILE_COMMENT = 13,
	PROFILE_DEFAULT_SAMPLE_TYPE = 14,
};
enum value_type_field { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT = 2 };
enum sample_field { SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3 };
enum label_field { LABEL_KEY = 1, LABEL_TEXT = 2 };
enum mapping_field {
	MAPPING_ID = 1,
	MAPPING_LIMIT = 3,
	MAPPING_FILE = 5,
	MAPPING_BUILD_ID = 6,
	MAPPING_HAS_FUNCTIONS = 7,
	MAPPING_HAS_FILES = 8,
	MAPPING_HAS_LINES = 9,
};
enum location_field {
	LOCATION_ID = 1,
	LOCATION_MAPPING = 2,
	LOCATION_ADDRESS = 3,
	LOCATION_LINE = 4
};
enum line_field { LINE_FUNCTION = 1, LINE_LINE = 2 };
enum function_field {
	FUNCTION_ID = 1,
	FUNCTION_NAME = 2,
	FUNCTION_SYSTEM_NAME = 3,
	FUNCTION_FILE = 4
};

/* Something that stands in the profile once and is referred to by number, found again by its key. */
struct entry {
	uint64_t number;
	uint64_t limit;   /* mapping: past the highest address seen */
	bool is_nameless; /* mapping: some frame of it has no function */
	bool is_lineless; /* mapping: some frame of it has no file and line */
	const struct sl_frame *frame;
	UT_hash_handle hh;
	char key[];
};

struct profile {
	struct sl_frame siteless;   /* what stands for the stack of connections of no site */
	struct sl_protobuf message; /* Profile */
	struct sl_protobuf inner;   /* a message of it */
	struct sl_protobuf innermost;
	struct entry *texts, *mappings, *functions, *locations;
};

/* The entry of this key; a new one has the next number, from `first`, and *is_new. */
static struct entry *enter(struct entry **table, const void *key, size_t n, uint64_t first,
                           bool *is_new)
{
	struct entry *entry;
	HASH_FIND(hh, *table, key, n, entry);
	*is_new = !entry;
	if (entry)
		return entry;
	entry = sl_heap_grow(NULL, sizeof(*entry) + n);
	memset(entry, 0, sizeof(*entry));
	memcpy(entry->key, key, n);
	entry->number = HASH_COUNT(*table) + first;
	HASH_ADD_KEYPTR(hh, *table, entry->key, n, entry);
	return entry;
}

static void free_table(struct entry **table)
{
	struct entry *entry = *table;
	HASH_CLEAR(hh, *table);
	while (entry) {
		struct entry *next = entry->hh.next;
		free(entry);
		entry = next;
	}
}

/* The number of a string in the string table; protobuf strings are UTF-8, names are anything. */
static uint64_t text_of(struct profile *profile, const char *text)
{
	bool is_new;
	char *shown = sl_heap_shown(text);
	size_t n = strlen(shown);
	struct entry *entry = enter(&profile->texts, shown, n, 0, &is_new);
	if (is_new)
		sl_protobuf_bytes(&profile->message, PROFILE_STRING, shown, n);
	free(shown);
	return entry->number;
}

static struct entry *mapping_of(struct profile *profile, const struct sl_frame *frame)
{
	bool is_new;
	uint64_t key[] = {text_of(profile, frame->module), text_of(profile, frame->build_id)};
	struct entry *entry = enter(&profile->mappings, key, sizeof(key), 1, &is_new);
	if (is_new)
		entry->frame = frame;
	if (frame->offset >= entry->limit)
		entry->limit = frame->offset + 1;
	entry->is_nameless |= !frame->function;
	entry->is_lineless |= !frame->file || frame->line <= 0;
	return entry;
}

static uint64_t function_of(struct profile *profile, const struct sl_frame *frame)
{
	bool is_new;
	char *joined = NULL;
	const char *name = frame->function ? frame->function : sl_measure_frame(frame);
	if (frame->class_name && frame->method) {
		size_t n = strlen(frame->class_name) + strlen(frame->method) + 2;
		joined = sl_heap_grow(NULL, n);
		(void)snprintf(joined, n, "%s.%s", frame->class_name, frame->method);
		name = joined;
	}
	uint64_t key[] = {text_of(profile, name), text_of(profile, frame->file)};
	free(joined);
	struct entry *entry = enter(&profile->functions, key, sizeof(key), 1, &is_new);
	if (is_new) {
		struct sl_protobuf *function = &profile->inner;
		sl_protobuf_integer(function, FUNCTION_ID, entry->number);
		sl_protobuf_integer(function, FUNCTION_NAME, key[0]);
		sl_protobuf_integer(function, FUNCTION_SYSTEM_NAME, key[0]);
		sl_protobuf_integer(function, FUNCTION_FILE, key[1]);
		sl_protobuf_message(&profile->message, PROFILE_FUNCTION, function);
	}
	return entry->number;
}

static uint64_t location_of(struct profile *profile, const struct sl_frame *frame)
{
	bool is_new;
	uint64_t key[] = {
		frame->module ? mapping_of(profile, frame)->number : 0,
		frame->module ? frame->offset : 0,
		function_of(profile, frame),
		frame->line > 0 ? (uint64_t)frame->line : 0,
	};
	struct entry *entry = enter(&profile->locations, key, sizeof(key), 1, &is_new);
	if (is_new) {
		sl_protobuf_integer(&profile->innermost, LINE_FUNCTION, key[2]);
		sl_protobuf_integer(&profile->innermost, LINE_LINE, key[3]);
		sl_protobuf_integer(&profile->inner, LOCATION_ID, entry->number);
		sl_protobuf_integer(&profile->inner, LOCATION_MAPPING, key[0]);
		sl_protobuf_integer(&profile->inner, LOCATION_ADDRESS, key[1]);
		sl_protobuf_message(&profile->inner, LOCATION_LINE, &profile->innermost);
		sl_protobuf_message(&profile->message, PROFILE_LOCATION, &profile->inner);
	}
	return entry->number;
}

static void put_label(struct profile *profile, const char *key, const char *text)
{
	if (!text)
		return;
	sl_protobuf_integer(&profile->innermost, LABEL_KEY, text_of(profile, key));
	sl_protobuf_integer(&profile->innermost, LABEL_TEXT, text_of(profile, text));
	sl_protobuf_message(&profile->inner, SAMPLE_LABEL, &profile->innermost);
}

static void put_sample(struct profile *profile, const uint64_t *locations, size_t n,
                       const struct sl_socket_group *group)
{
	const uint64_t values[] = {group->open, group->close_wait, group->stuck};
	if (!group->open && !group->close_wait && !group->stuck)
		return;
	sl_protobuf_packed(&profile->inner, SAMPLE_LOCATION, locations, n);
	sl_protobuf_packed(&profile->inner, SAMPLE_VALUE, values, 3);
	put_label(profile, "direction", sl_words_direction(group->direction));
	put_label(profile, "verdict",
	          group->site ? sl_words_site_verdict(group->site->verdict) : NULL);
	put_label(profile, "peer", group->peer);
	put_label(profile, "cause", sl_words_cause(group->cause));
	put_label(profile, "thread", group->thread);
	sl_protobuf_message(&profile->message, PROFILE_SAMPLE, &profile->inner);
}

static void put_group(const struct sl_socket_group *group, void *context)
{
	struct profile *profile = context;
	const struct sl_snapshot_site *site = group->site;
	static const struct sl_frame stackless = {.text = sl_measure_no_stack};
	size_t n = site ? site->frame_count : 0;
	uint64_t *locations = sl_heap_grow(NULL, (n + 1) * sizeof(*locations));
	for (size_t i = 0; i < n; i++)
		locations[i] = location_of(profile, site->frames[i]);
	if (!n)
		locations[n++] = location_of(profile, site ? &stackless : &profile->siteless);
	put_sample(profile, locations, n, group);
	free(locations);
}

static void put_sample_type(struct profile *profile, const char *type)
{
	sl_protobuf_integer(&profile->inner, VALUE_TYPE_TYPE, text_of(profile, type));
	sl_protobuf_integer(&profile->inner, VALUE_TYPE_UNIT, text_of(profile, "count"));
	sl_protobuf_message(&profile->message, PROFILE_SAMPLE_TYPE, &profile->inner);
}

/* Addresses are offsets from where the module is loaded: it is mapped at 0. */
static void put_mappings(struct profile *profile)
{
	for (struct entry *entry = profile->mappings; entry; entry = entry->hh.next) {
		struct sl_protobuf *mapping = &profile->inner;
		sl_protobuf_integer(mapping, MAPPING_ID, entry->number);
		sl_protobuf_integer(mapping, MAPPING_LIMIT, entry->limit);
		sl_protobuf_integer(mapping, MAPPING_FILE, text_of(profile, entry->frame->module));
		sl_protobuf_integer(mapping, MAPPING_BUILD_ID,
		                    text_of(profile, entry->frame->build_id));
		sl_protobuf_integer(mapping, MAPPING_HAS_FUNCTIONS, !entry->is_nameless);
		sl_protobuf_integer(mapping, MAPPING_HAS_FILES, !entry->is_lineless);
		sl_protobuf_integer(mapping, MAPPING_HAS_LINES, !entry->is_lineless);
		sl_protobuf_message(&profile->message, PROFILE_MAPPING, mapping);
	}
}

static void put_comment(struct profile *profile, const struct sl_snapshot *s)
{
	char comment[1024];
	(void)snprintf(comment, sizeof(comment), "%s, pid %d on %s: %s",
	               s->process.name ? s->process.name : "?", s->process.pid,
	               s->process.hostname ? s->process.hostname : "?",
	               sl_words_verdict(s->verdict) ? sl_words_verdict(s->verdict) : "?");
	const uint64_t number = text_of(profile, comment);
	sl_protobuf_packed(&profile->message, PROFILE_COMMENT, &number, 1);
}

void sl_format_pprof(FILE *to, const struct sl_snapshot *s, enum sl_measure measure)
{
	struct profile profile = {.siteless = {.text = sl_measure_no_site(s)}};
	(void)text_of(&profile, ""); /* the string table begins with it */
	put_sample_type(&profile, sl_measure_word(SL_MEASURE_OPEN));
	put_sample_type(&profile, sl_measure_word(SL_MEASURE_CLOSE_WAIT));
	put_sample_type(&profile, sl_measure_word(SL_MEASURE_STUCK));
	sl_protobuf_integer(&profile.message, PROFILE_DEFAULT_SAMPLE_TYPE,
	                    text_of(&profile, sl_measure_word(sl_measure_of(measure, s))));
	sl_protobuf_integer(&profile.message, PROFILE_TIME_NANOS, s->taken_wall_ms * 1000000);
	put_comment(&profile, s);
	sl_socket_groups(s, put_group, &profile);
	put_mappings(&profile);
	sl_gzip_write(to, profile.message.bytes, profile.message.length);
	free_table(&profile.texts);
	free_table(&profile.mappings);
	free_table(&profile.functions);
	free_table(&profile.locations);
	sl_protobuf_free(&profile.message);
	sl_protobuf_free(&profile.inner);
	sl_protobuf_free(&profile.innermost);
}
