#include "control/request.h"

#include <stddef.h>
#include <string.h>

#include "base/option.h"

#include "base/poison.h"

#define SL_PROTOCOL "sockleak/1"
#define SL_FOR_MOST_MS (366LL * 24 * 3600 * 1000)
#define SL_OLDER_THAN_MOST_MS (24LL * 3600 * 1000) /* of deadline= */

static bool is_word(const char *word, size_t n, const char *wanted)
{
	return strlen(wanted) == n && memcmp(word, wanted, n) == 0;
}

/* "90s", "2h": as an option of this type is read. */
static bool read_duration(const char *value, size_t n, int64_t low_ms, int64_t high_ms, int64_t *ms)
{
	const struct sl_option row = {
		.key = "", .words = "", .low = low_ms, .high = high_ms, .type = SL_OPTION_DURATION};
	struct sl_options read = {0};
	char text[32];
	if (n >= sizeof(text))
		return false;
	memcpy(text, value, n);
	text[n] = 0;
	if (sl_option_read(&row, text, &read))
		return false;
	memcpy(ms, &read, sizeof(*ms)); /* the row's offset is 0 */
	return true;
}

static const char *read_for(const char *value, size_t n, struct sl_request *request)
{
	if (is_word(value, n, "forever")) {
		request->for_ms = SL_FOR_EVER;
		return NULL;
	}
	return read_duration(value, n, 100, SL_FOR_MOST_MS, &request->for_ms)
	               ? NULL
	               : "for: not a duration; allowed: 100ms..8784h as ms, s, m, h, or forever";
}

/* The value behind "key="; NULL: the word is another. */
static const char *value_of(const char *word, size_t n, const char *key)
{
	size_t length = strlen(key);
	return n >= length && memcmp(word, key, length) == 0 ? word + length : NULL;
}

/* It becomes the value of only=, among other options: another key behind a comma would be one of them. */
static const char *read_peer(const char *value, size_t n, struct sl_request *request)
{
	memcpy(request->pairs, value, n);
	request->pairs[n] = 0;
	return memchr(value, '=', n) ? "peer: a rule, as only= takes it" : NULL;
}

static const char *read_reap(const char *words, struct sl_request *request)
{
	size_t n;
	const char *value, *refusal = NULL;
	for (const char *word = sl_option_piece(words, " ", &n); n > 0 && !refusal;
	     word = sl_option_piece(word + n, " ", &n)) {
		const char *end = word + n;
		if ((value = value_of(word, n, "older_than="))) {
			if (!read_duration(value, (size_t)(end - value), 0, SL_OLDER_THAN_MOST_MS,
			                   &request->for_ms))
				refusal = "older_than: not a duration; allowed: 0ms..24h as ms, s, "
					  "m, h";
		} else if ((value = value_of(word, n, "peer="))) {
			refusal = read_peer(value, (size_t)(end - value), request);
		} else if (is_word(word, n, "dry_run=1")) {
			request->is_dry = true;
		} else if (is_word(word, n, "inbound=1")) {
			request->is_inbound = true;
		} else {
			refusal = "reap: older_than=DURATION, peer=RULE, inbound=1, dry_run=1";
		}
	}
	return refusal;
}

static const char *read_set(const char *words, struct sl_request *request)
{
	size_t used = 0, n;
	const char *refusal = NULL;
	for (const char *word = sl_option_piece(words, " ", &n); n > 0 && !refusal;
	     word = sl_option_piece(word + n, " ", &n)) {
		if (n >= 4 && memcmp(word, "for=", 4) == 0) {
			refusal = read_for(word + 4, n - 4, request);
		} else if (is_word(word, n, "dry=1")) {
			request->is_dry = true;
		} else {
			memcpy(request->pairs + used, word, n); /* no longer than the line */
			used += n;
			request->pairs[used++] = ' ';
		}
	}
	request->pairs[used ? used - 1 : 0] = 0;
	return refusal;
}

static const char *read_detach(const char *words, struct sl_request *request)
{
	size_t n;
	const char *word = sl_option_piece(words, " ", &n);
	request->is_forced = is_word(word, n, "force=1");
	(void)sl_option_piece(word + n, " ", &n);
	return (n == 0 && (request->is_forced || !*word)) ? NULL : "detach: force=1, or nothing";
}

static const char *read_snapshot(const char *words, struct sl_request *request)
{
	size_t n;
	const char *word = sl_option_piece(words, " ", &n);
	if (is_word(word, n, "json"))
		request->kind = SL_REQUEST_SNAPSHOT_JSON;
	else if (is_word(word, n, "text"))
		request->kind = SL_REQUEST_SNAPSHOT_TEXT;
	else if (is_word(word, n, "short"))
		request->kind = SL_REQUEST_SNAPSHOT_SHORT;
	else
		return "snapshot: json, text or short";
	return NULL;
}

const char *sl_request_read(const char *line, struct sl_request *request, const char **code)
{
	size_t n;
	*request = (struct sl_request){.for_ms = SL_FOR_UNSAID};
	*code = "usage";
	const char *word = sl_option_piece(line, " ", &n);
	if (!is_word(word, n, SL_PROTOCOL)) {
		*code = "version";
		return "this process speaks " SL_PROTOCOL;
	}
	word = sl_option_piece(word + n, " ", &n);
	if (is_word(word, n, "version")) {
		request->kind = SL_REQUEST_VERSION;
		return NULL;
	}
	if (is_word(word, n, "snapshot"))
		return read_snapshot(word + n, request);
	request->kind = SL_REQUEST_SET;
	if (is_word(word, n, "off")) {
		const char *refusal = read_set(word + n, request);
		*code = "value";
		if (*request->pairs)
			return "off: for=DURATION, dry=1";
		memcpy(request->pairs, "enabled=0", sizeof("enabled=0"));
		return refusal;
	}
	if (is_word(word, n, "set")) {
		const char *refusal = read_set(word + n, request);
		*code = "value";
		return !refusal && !*request->pairs ? "set: key=value, at least one" : refusal;
	}
	if (is_word(word, n, "reap")) {
		request->kind = SL_REQUEST_REAP;
		*code = "value";
		return read_reap(word + n, request);
	}
	if (is_word(word, n, "detach")) {
		request->kind = SL_REQUEST_DETACH;
		*code = "value";
		return read_detach(word + n, request);
	}
	return "no such request: version, snapshot, set, off, reap, detach";
}
