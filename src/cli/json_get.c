/* json_get.c - see json_get.h. */
#include "cli/json_get.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report/snapshot.h"

#define SL_NUMBER_MAX \
	(INT64_C(1)   \
	 << 53) /* what every reader of JSON knows exactly; sums of them do not overflow */

void sl_json_get_fail(struct sl_json_get *get, const char *name, const char *what)
{
	if (get->error[0])
		return;
	(void)snprintf(get->error, get->error_bytes, "%s%s%s: %s", get->place,
	               get->place[0] ? "." : "", name, what);
}

static json_t *member(json_t *of, const char *name)
{
	json_t *value = json_object_get(of, name); /* NULL where it is no object */
	return json_is_null(value) ? NULL : value;
}

json_t *sl_json_get_object(struct sl_json_get *get, json_t *of, const char *name)
{
	json_t *value = member(of, name);
	if (value && !json_is_object(value))
		sl_json_get_fail(get, name, "is no object");
	return json_is_object(value) ? value : NULL;
}

json_t *sl_json_get_array(struct sl_json_get *get, json_t *of, const char *name)
{
	json_t *value = member(of, name);
	if (value && !json_is_array(value))
		sl_json_get_fail(get, name, "is no array");
	return json_is_array(value) ? value : NULL;
}

int64_t sl_json_get_known(struct sl_json_get *get, json_t *of, const char *name)
{
	json_t *value = member(of, name);
	if (!value)
		return SL_UNKNOWN;
	if (!json_is_integer(value)) {
		sl_json_get_fail(get, name, "is no whole number");
		return SL_UNKNOWN;
	}
	int64_t number = json_integer_value(value);
	if (number > SL_NUMBER_MAX || number < -SL_NUMBER_MAX) {
		sl_json_get_fail(get, name, "is out of range");
		return SL_UNKNOWN;
	}
	return number;
}

uint64_t sl_json_get_count(struct sl_json_get *get, json_t *of, const char *name)
{
	int64_t value = sl_json_get_known(get, of, name);
	if (value >= 0)
		return (uint64_t)value;
	if (value != SL_UNKNOWN)
		sl_json_get_fail(get, name, "is below 0");
	return 0;
}

uint64_t sl_json_get_count_to(struct sl_json_get *get, json_t *of, const char *name, uint64_t most)
{
	uint64_t value = sl_json_get_count(get, of, name);
	if (value <= most)
		return value;
	sl_json_get_fail(get, name, "is out of range");
	return 0;
}

bool sl_json_get_bool(struct sl_json_get *get, json_t *of, const char *name)
{
	json_t *value = member(of, name);
	if (value && !json_is_boolean(value))
		sl_json_get_fail(get, name, "is neither true nor false");
	return json_is_true(value);
}

static const char *text_of(struct sl_json_get *get, json_t *value, const char *name)
{
	if (!json_is_string(value)) {
		sl_json_get_fail(get, name, "is no string");
		return NULL;
	}
	const char *text =
		sl_arena_text(get->arena, json_string_value(value), json_string_length(value));
	if (!text)
		sl_json_get_fail(get, name, "no memory");
	return text;
}

const char *sl_json_get_text(struct sl_json_get *get, json_t *of, const char *name)
{
	json_t *value = member(of, name);
	return value ? text_of(get, value, name) : NULL;
}

uint64_t sl_json_get_identity(struct sl_json_get *get, json_t *of, const char *name)
{
	const char *text = sl_json_get_text(get, of, name);
	char *end;
	if (!text)
		return 0;
	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno)
		sl_json_get_fail(get, name, "is no number of 64 bits");
	return value;
}

uint64_t sl_json_get_wall_ms(struct sl_json_get *get, json_t *of, const char *name)
{
	const char *text = sl_json_get_text(get, of, name);
	struct tm tm = {0};
	if (!text)
		return 0;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	while (rest && (*rest == '.' || (*rest >= '0' && *rest <= '9')))
		rest++;
	if (!rest || strcmp(rest, "Z") != 0) {
		sl_json_get_fail(get, name, "is no time of RFC 3339 in UTC");
		return 0;
	}
	int64_t seconds = timegm(&tm);
	return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

void *sl_json_get_room(struct sl_json_get *get, size_t n, size_t item_bytes)
{
	void *room = n ? sl_arena_alloc(get->arena, n * item_bytes) : NULL;
	if (n && !room)
		sl_json_get_fail(get, "", "no memory");
	return room;
}

const char *const *sl_json_get_texts(struct sl_json_get *get, json_t *of, const char *name,
                                     uint32_t *n)
{
	json_t *array = sl_json_get_array(get, of, name);
	size_t count = json_array_size(array);
	const char **texts = sl_json_get_room(get, count + 1, sizeof(*texts));
	*n = 0;
	for (size_t i = 0; texts && i < count; i++) {
		const char *text = text_of(get, json_array_get(array, i), name);
		if (text)
			texts[(*n)++] = text;
	}
	return texts;
}
